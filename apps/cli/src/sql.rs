//! `flowlake sql`: a question that no action file declares.

mod arguments;

use std::{
    env,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytesize::ByteSize;
use flowlake_data_action::{
    Action, ActionError, ActionRequest, Answer, CONFIG_FILE, Environment, ErrorCode,
    Failure as ActionFailure, Pipeline, ProcessEnvironment, Project, Question, RowFormat,
    RowOutput,
};
use flowlake_transform::{Limits, ParamSpec, ParamType};

pub(crate) use self::arguments::Sql;
use crate::{
    destination::Destination,
    failure::Failure,
    format::Format,
    grid, output,
    run::{self, finished},
    text,
};

/// Rows of a table, unless the command says otherwise.
const TABLE_ROWS: u64 = 1000;

pub(crate) async fn sql(config: &Path, arguments: &Sql) -> Result<(), Failure> {
    let sql = text_of(arguments)?;
    let format = format(arguments)?;
    let failed = |error, audit_id| Failure::Question {
        failure: Box::new(ActionFailure { error, audit_id }),
        sql: sql.clone(),
    };
    let action = Action::ask(question(arguments, sql.clone(), format)?);
    let action = Arc::new(action.map_err(|error| failed(error, None))?);
    let mut builder = Pipeline::builder(project(config)?);
    if action.prepared().is_local() {
        builder = builder.without_aws();
    }
    let pipeline = builder.build(&ProcessEnvironment).await?;
    let mut request = run::request("", &[]);
    request.params = arguments
        .params
        .iter()
        .map(|param| (param.name.clone(), param.value.clone().into()))
        .collect();
    request.question = Some(action);
    let answer = answered(&pipeline, request, format, arguments).await;
    let answer = answer.map_err(|failure| match failure {
        Failure::Action(error, audit_id) => failed(*error, audit_id),
        other => other,
    })?;
    run::remarks(&answer, None, "--rows");
    if let Some(path) = &arguments.output {
        output::note(&format!(
            "{} written to {}",
            summary(&answer),
            path.display()
        ));
    } else if format == Format::Table {
        output::note(&summary(&answer));
    }
    Ok(())
}

/// Runs the request and writes its rows.
async fn answered(
    pipeline: &Pipeline,
    mut request: ActionRequest,
    format: Format,
    arguments: &Sql,
) -> Result<Answer, Failure> {
    let to = arguments.output.as_deref();
    let Some(rows) = row_format(format) else {
        let answer = finished(pipeline, request).await?;
        let width = arguments.width.or_else(grid::terminal_width);
        let table = output::table(&answer, width.filter(|_| to.is_none()))? + "\n";
        match to {
            None => output::print(&table)?,
            Some(_) => {
                let mut destination = Destination::new(to, format)?;
                destination.write(&table)?;
                destination.release()?;
            }
        }
        return Ok(answer);
    };
    let mut destination = Destination::new(to, format)?;
    request.output = RowOutput {
        format: rows,
        file: Some(destination.handle()?),
        ..RowOutput::default()
    };
    let answer = finished(pipeline, request).await?;
    if format == Format::Json {
        destination.write("\n")?;
    }
    destination.release()?;
    Ok(answer)
}

/// One line: rows, bytes, time, cost, audit id.
fn summary(answer: &Answer) -> String {
    let has_s3 = answer.metadata.iter().any(|read| !read.is_local());
    match has_s3 {
        true => text::summary(answer),
        false => format!(
            "{} rows, {} read, {:.1} ms, audit {}",
            answer.row_count,
            text::bytes(answer.run.bytes_scanned),
            answer.duration_ms,
            answer.audit_log.id
        ),
    }
}

fn text_of(arguments: &Sql) -> Result<String, Failure> {
    if let Some(sql) = &arguments.sql {
        return Ok(sql.clone());
    }
    match arguments.file.as_deref() {
        Some(path) if path != Path::new("-") => std::fs::read_to_string(path).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            Failure::Io(io::Error::new(error.kind(), what))
        }),
        _ if io::stdin().is_terminal() => Err(ActionError::new(
            ErrorCode::SqlInvalid,
            "there is no SQL",
            "Write it in quotes behind `flowlake sql`, or name its file with -f.",
        )
        .into()),
        _ => {
            let mut sql = String::new();
            io::stdin().read_to_string(&mut sql)?;
            Ok(sql)
        }
    }
}

/// The format that is asked for, or that the name of the file says.
fn format(arguments: &Sql) -> Result<Format, Failure> {
    if let Some(format) = arguments.format {
        return Ok(format);
    }
    let Some(path) = &arguments.output else {
        return Ok(Format::Table);
    };
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    match extension.to_lowercase().as_str() {
        "json" => Ok(Format::Json),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        "csv" => Ok(Format::Csv),
        "arrow" | "arrows" => Ok(Format::Arrow),
        "parquet" => Ok(Format::Parquet),
        "txt" => Ok(Format::Table),
        _ => Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("the name {} does not say a format", path.display()),
            "Say it with --format: table, json, ndjson, csv, arrow or parquet.",
        )
        .into()),
    }
}

/// The encoding of the rows; none for a table.
const fn row_format(format: Format) -> Option<RowFormat> {
    match format {
        Format::Json => Some(RowFormat::Json),
        other => other.of_rows(),
    }
}

fn question(arguments: &Sql, sql: String, format: Format) -> Result<Question, Failure> {
    let is_table = format == Format::Table;
    let all = if is_table { TABLE_ROWS } else { u64::MAX };
    let limits = Limits {
        timeout: arguments.timeout,
        max_rows: arguments.rows.unwrap_or(all),
        // A table is kept in memory until it is drawn; other rows go to a file as they come.
        max_output_bytes: if is_table {
            ByteSize::mib(64)
        } else {
            ByteSize(u64::MAX)
        },
        ..Limits::default()
    };
    let params = arguments.params.iter().map(|param| {
        let kind = param
            .kind
            .unwrap_or_else(|| ParamType::of_text(&param.value));
        (param.name.clone(), ParamSpec::of(kind))
    });
    Ok(Question {
        sql,
        tables: arguments.tables.iter().cloned().collect(),
        params: params.collect(),
        limits,
        folder: env::current_dir()?,
    })
}

/// The configuration, where there is one.
fn project(config: &Path) -> Result<Project, Failure> {
    let is_named = config != Path::new(".");
    if is_named || config.join(CONFIG_FILE).exists() {
        return Ok(Project::for_questions(config)?);
    }
    Ok(Project::without_files(&state_folder()?))
}

/// Where programs keep what is not to be lost (XDG Base Directory Specification).
fn state_folder() -> Result<PathBuf, Failure> {
    let named = |name: &str| {
        let value = ProcessEnvironment.get(name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "there is no folder for the audit log: neither XDG_STATE_HOME nor HOME is set",
            "Set one of them, or name a configuration with --config.",
        )
    })?;
    Ok(state.join("flowlake"))
}
