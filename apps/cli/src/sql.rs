//! `flowlake sql`: a question that no action file declares.

mod arguments;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    sync::Arc,
};

use bytesize::ByteSize;
use flowlake_data_action::{
    Action, ActionError, Answer, ErrorCode, Pipeline, ProcessEnvironment, Project, Question,
    RowFormat, RowOutput,
};
use flowlake_transform::{LONGEST_SQL, Limits, ParamSpec, ParamType};

pub(crate) use self::arguments::{Sql, option, time};
use crate::{
    answering::{deliver, finished},
    destination::{Destination, is_object},
    failure::{Failure, unreadable},
    format::Format,
    grid,
    interrupt::Interrupt,
    output,
    parameter::by_name,
    run, state, text,
};

const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Rows of a table, unless the command says otherwise.
const TABLE_ROWS: u64 = 1000;

pub(crate) async fn sql(config: &Path, arguments: &Sql) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let sql = text_of(arguments)?;
    let format = format(arguments)?;
    let action = Arc::new(Action::ask(question(arguments, sql, format)?)?);
    let project = project(config)?;
    let confirm = (!arguments.yes).then(|| project.config.confirm.clone());
    let mut builder = Pipeline::builder(project);
    let to = arguments.output.as_deref();
    if action.prepared().is_local() && !to.is_some_and(is_object) {
        builder = builder.without_aws();
    }
    let pipeline = builder.build(&ProcessEnvironment).await?;
    interrupt.work_begins();
    let destination = Destination::new(to, format)?;
    interrupt.removes(destination.unfinished());
    let params = arguments.params.iter();
    let params = params.map(|param| (param.name.clone(), param.value.clone().into()));
    let mut request = run::request("", params.collect());
    request.question = Some(action);
    request.confirm = confirm;
    match row_format(format) {
        Some(rows) => {
            request.output = RowOutput {
                format: rows,
                file: Some(destination.handle()?),
                ..RowOutput::default()
            };
        }
        None => request.output.reader = format.reader(),
    }
    request.output.object = destination.object();
    let answer = finished(&pipeline, request, &interrupt).await?;
    let text = match format {
        Format::Table => {
            let width = arguments.width.or_else(grid::terminal_width);
            output::table(&answer, width.filter(|_| to.is_none()))? + "\n"
        }
        Format::Json => "\n".to_owned(),
        _ => String::new(),
    };
    deliver(&pipeline, &answer, destination, &text).await?;
    run::remarks(&answer, None, "--rows");
    if let Some(path) = to {
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

/// One line: rows, bytes, time, cost, audit id.
pub(crate) fn summary(answer: &Answer) -> String {
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
        Some(path) if path != Path::new("-") => {
            let opened = File::open(path).and_then(read_text);
            opened.map_err(|error| unreadable(path, &error).into())
        }
        _ if io::stdin().is_terminal() => Err(ActionError::new(
            ErrorCode::SqlInvalid,
            "there is no SQL",
            "Write it in quotes behind `flowlake sql`, or name its file with -f.",
        )
        .into()),
        _ => {
            let read = read_text(io::stdin().lock());
            read.map_err(|error| unreadable(Path::new("standard input"), &error).into())
        }
    }
}

/// A text without its byte order mark, as far as SQL can be long: longer ones are refused where SQL is.
fn read_text(from: impl Read) -> io::Result<String> {
    let most = BYTE_ORDER_MARK.len() + LONGEST_SQL + 1;
    let mut bytes = Vec::new();
    from.take(most as u64).read_to_end(&mut bytes)?;
    if bytes.len() == most {
        // What is cut off may be in the midst of a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(text
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(&text)
        .to_owned())
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
        tables: by_name("table", arguments.tables.iter().cloned())?,
        params: by_name("parameter", params)?,
        limits,
        folder: env::current_dir()?,
    })
}

/// The configuration, where there is one.
pub(crate) fn project(config: &Path) -> Result<Project, ActionError> {
    if state::has_config(config) {
        return Project::for_questions(config);
    }
    state::without_config()
}
