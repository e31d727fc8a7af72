//! `flowlake sql`: a question that no action file declares.

mod arguments;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytesize::ByteSize;
use flowlake_data_action::{
    Action, ActionError, Answer, ErrorCode, Pipeline, ProcessEnvironment, Project, Question,
};
use flowlake_transform::{LONGEST_SQL, Limits, ParamSpec, ParamType};

pub(crate) use self::arguments::{
    Sql, TABLE_ROWS, TypedParameter, option, pause, table, time, typed_parameter,
};
use crate::{
    answering::{Delivery, View, delivered},
    destination::is_object,
    failure::{Failure, unreadable},
    format::Format,
    grid,
    interrupt::Interrupt,
    output,
    parameter::by_name,
    run, spreadsheet, state, text,
    watch::{Watch, see_changes},
};

const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(crate) async fn sql(config: &Path, arguments: &Sql) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let sql = text_of(arguments)?;
    let to = arguments.output.as_deref();
    let format = Format::of(arguments.format, to)?;
    let action = Arc::new(Action::ask(question(arguments, sql, format)?)?);
    let mut project = project(config)?;
    if arguments.watch.is_some() {
        see_changes(&mut project);
    }
    let confirm = (!arguments.yes).then(|| project.config.confirm.clone());
    let mut builder = Pipeline::builder(project);
    if action.prepared().is_local() && !to.is_some_and(is_object) {
        builder = builder.without_aws();
    }
    let pipeline = builder.build(&ProcessEnvironment).await?;
    note_log(&pipeline);
    let params = arguments.params.iter();
    let params = params.map(|param| (param.name.clone(), param.value.clone().into()));
    let mut request = run::request("", params.collect());
    request.question = Some(action);
    request.confirm = confirm;
    let mut watch = Watch::default();
    loop {
        if arguments.watch.is_some() {
            request.if_none_match = Some(watch.known());
        }
        let width = arguments.width.or_else(grid::terminal_width);
        let view = View::Rows { width };
        let delivery = Delivery { format, to, view };
        match delivered(&pipeline, request.clone(), delivery, &interrupt).await {
            Ok(answer) if watch.is_new(&answer) => remarks(&answer, delivery),
            Ok(_) => {}
            Err(failure) if arguments.watch.is_some() => watch.outlive(failure)?,
            Err(failure) => return Err(failure),
        }
        match arguments.watch {
            // A signal ends the process here.
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Ok(()),
        }
    }
}

/// Says where records go, where that is not the configured log.
pub(crate) fn note_log(pipeline: &Pipeline) {
    if let Some(log) = pipeline.log_beside() {
        output::note(&format!(
            "another process writes the audit log; records of this one are in {}",
            log.display()
        ));
    }
}

/// What rows do not say.
fn remarks(answer: &Answer, delivery: Delivery<'_>) {
    run::remarks(answer, None, "--rows");
    if let Some(path) = delivery.to {
        output::note(&format!(
            "{} written to {}",
            summary(answer),
            path.display()
        ));
    } else if delivery.format == Format::Table {
        output::note(&summary(answer));
    }
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

/// What an answer may take in a format.
pub(crate) fn limits(format: Format, rows: Option<u64>, timeout: Duration) -> Limits {
    // A table is kept in memory until it is drawn; other rows go to a file as they come.
    let (most_rows, most_bytes) = match format {
        Format::Table => (TABLE_ROWS, ByteSize::mib(64)),
        // One row more says that there are more.
        Format::Xlsx => (spreadsheet::MOST_ROWS + 1, ByteSize(u64::MAX)),
        _ => (u64::MAX, ByteSize(u64::MAX)),
    };
    Limits {
        timeout,
        max_rows: rows.unwrap_or(most_rows),
        max_output_bytes: most_bytes,
        ..Limits::default()
    }
}

fn question(arguments: &Sql, sql: String, format: Format) -> Result<Question, Failure> {
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
        limits: limits(format, arguments.rows, arguments.timeout),
        engine: arguments.engine,
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
