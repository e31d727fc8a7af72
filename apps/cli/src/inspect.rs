//! `flowlake inspect`: what files are, and what they hold.

mod arguments;
mod report;

use std::{env, path::Path, sync::Arc};

use bytesize::ByteSize;
use flowlake_data_action::{
    Action, ActionError, Answer, AnswerObject, EngineChoice, ErrorCode, Inspected, Pipeline,
    ProcessEnvironment, Question,
};
use flowlake_transform::{Limits, TableSpec, table_name};
use serde::Serialize;
use serde_json::value::RawValue;
use toml::{Table, Value};

pub(crate) use self::arguments::Inspect;
use crate::{
    answering::finished,
    failure::Failure,
    format::Format,
    grid,
    interrupt::Interrupt,
    output, run,
    sql::{note_log, project},
};

/// Files that somebody has looked into.
pub(crate) struct Looked {
    pub(crate) answer: Answer,
    pub(crate) inspected: Inspected,
    /// The table's name.
    pub(crate) name: String,
    /// Its `[tables.NAME]`.
    pub(crate) table: Table,
}

impl Looked {
    /// What somebody has to know who takes the table over.
    pub(crate) fn remarks(&self) {
        let differing = self.inspected.differing();
        if !differing.is_empty() {
            output::note(&format!(
                "the files differ in {}, which is left out: it is detected in each file",
                differing.join(", ")
            ));
        }
        if self.inspected.has_unfit() {
            output::note(
                "there are rows that cannot be divided, or values that are not even text: with on_error = \"null\" they are left out or null (`flowlake inspect` shows where)",
            );
        }
    }
}

/// The report for programs: numbers keep all digits, since values are written as they came.
#[derive(Serialize)]
struct Report<'a> {
    objects: &'a [AnswerObject],
    rows: &'a RawValue,
    is_sample: bool,
    inspected: &'a Inspected,
    toml: &'a str,
    audit_id: &'a str,
}

pub(crate) async fn inspect(
    config: &Path,
    as_json: bool,
    arguments: &Inspect,
) -> Result<(), Failure> {
    let looked = Box::pin(look(config, arguments)).await?;
    let Looked {
        answer, inspected, ..
    } = &looked;
    for warning in &answer.cost_tracking.warnings {
        output::missing(warning);
    }
    let toml = block(&looked.name, &looked.table)?;
    if arguments.toml {
        output::print(&toml)?;
    } else if as_json {
        output::print(&output::json(&Report {
            objects: &answer.metadata,
            rows: &answer.data,
            is_sample: answer.truncated,
            inspected,
            toml: &toml,
            audit_id: &answer.audit_log.id,
        })?)?;
    } else {
        let width = arguments.width.or_else(grid::terminal_width);
        output::print(&report::report(answer, inspected, width)?)?;
    }
    if arguments.toml {
        looked.remarks();
        if answer.metadata.iter().any(|read| read.is_local()) {
            output::note(
                "actions read objects of S3 alone: set `uri` to where the files lie there",
            );
        }
    }
    match &inspected.broke_off {
        Some(why) => {
            output::missing(&format!("the files cannot be read to their end: {why}"));
            Err(Failure::Findings(ErrorCode::DataMalformed.exit_code()))
        }
        None => Ok(()),
    }
}

/// Reads the files once, as a question that is guarded and recorded as every other.
pub(crate) async fn look(config: &Path, arguments: &Inspect) -> Result<Looked, Failure> {
    let given = arguments.name.clone();
    let name = given.unwrap_or_else(|| table_name(&arguments.uri));
    let mut options = Table::from_iter([("uri".to_owned(), Value::from(arguments.uri.clone()))]);
    options.extend(arguments.options.iter().cloned());
    let mut read = options.clone();
    // What does not fit is counted, and does not keep the rest from being looked at.
    read.insert("on_error".to_owned(), "null".into());
    let spec: TableSpec = Value::Table(read)
        .try_into()
        .map_err(|error: toml::de::Error| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the options of --set are no table: {}", error.message()),
                "Use the keys of docs/tables.md.",
            )
        })?;
    let question = Question {
        sql: format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")),
        tables: [(name.clone(), spec)].into(),
        params: [].into(),
        limits: Limits {
            timeout: arguments.timeout,
            max_rows: arguments.sample.unwrap_or(u64::MAX),
            // Rows pass by; nothing of them is kept but the first.
            max_output_bytes: ByteSize(u64::MAX),
            ..Limits::default()
        },
        engine: EngineChoice::default(),
        folder: env::current_dir()?,
    };
    let interrupt = Interrupt::listen()?;
    let action = Arc::new(Action::ask(question)?);
    let project = project(config)?;
    let confirm = (!arguments.yes).then(|| project.config.confirm.clone());
    let mut builder = Pipeline::builder(project);
    if action.prepared().is_local() {
        builder = builder.without_aws();
    }
    let pipeline = builder.build(&ProcessEnvironment).await?;
    note_log(&pipeline);
    let mut request = run::request("", serde_json::Map::new());
    request.question = Some(action);
    request.confirm = confirm;
    request.output.reader = Format::Table.reader();
    request.output.inspect = Some(arguments.rows);
    let mut answer = finished(&pipeline, request, &interrupt).await?;
    let inspected = answer.inspected.take().ok_or_else(|| {
        ActionError::new(
            ErrorCode::Internal,
            "the files were not looked into",
            "Report this.",
        )
    })?;
    Ok(Looked {
        table: inspected.to_table(&options),
        inspected: *inspected,
        answer,
        name,
    })
}

/// `[tables.NAME]` as text.
pub(crate) fn block(name: &str, table: &Table) -> Result<String, Failure> {
    let named = Table::from_iter([(name.to_owned(), Value::from(table.clone()))]);
    let all = Table::from_iter([("tables".to_owned(), Value::from(named))]);
    toml::to_string(&all).map_err(|error| Failure::Io(std::io::Error::other(error)))
}
