//! `flowlake run`.

use std::path::Path;

use flowlake_data_action::{
    ActionRequest, Answer, Caller, Environment, Pipeline, ProcessEnvironment, Project, RowOutput,
};
use serde_json::{Map, Value};

use crate::{
    answering::{deliver, finished},
    arguments::Run,
    destination::Destination,
    failure::Failure,
    format::Format,
    interrupt::Interrupt,
    output,
    parameter::parameters,
    text,
};

pub(crate) async fn run(config: &Path, arguments: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let params = parameters(&arguments.params)?;
    let project = Project::load(config)?;
    let confirm = (!arguments.yes).then(|| project.config.confirm.clone());
    let pipeline = Pipeline::builder(project)
        .with_broken_actions(true)
        .build(&ProcessEnvironment)
        .await?;
    let (format, to) = (arguments.format, arguments.output.as_deref());
    interrupt.work_begins();
    let destination = Destination::new(to, format)?;
    interrupt.removes(destination.unfinished());
    let mut request = request(&arguments.action, params);
    request.confirm = confirm;
    match format.of_rows() {
        // Rows alone can be many: they are put by until the audit record is written, and are not kept in memory.
        Some(format) => {
            request.output = RowOutput {
                format,
                file: Some(destination.handle()?),
                ..RowOutput::default()
            };
        }
        None => request.output.reader = format.reader(),
    }
    request.output.object = destination.object();
    let answer = match finished(&pipeline, request, &interrupt).await {
        Ok(answer) => answer,
        Err(failure) => {
            if format == Format::Json {
                output::print(&format!("{:#}\n", failure.to_json()))?;
            }
            return Err(failure.into());
        }
    };
    let text = match format.of_rows() {
        None => output::answer(&answer, format, arguments.full)?,
        Some(_) => String::new(),
    };
    deliver(&pipeline, &answer, destination, &text).await?;
    remarks(&answer, to, "the action's max_rows");
    Ok(())
}

/// What rows alone do not say.
pub(crate) fn remarks(answer: &Answer, to: Option<&Path>, row_limit: &str) {
    for warning in &answer.cost_tracking.warnings {
        output::note(warning);
    }
    if answer.truncated {
        output::note(&format!(
            "only the first {} rows: {row_limit} cut the rest off",
            answer.row_count
        ));
    }
    for (count, what) in [
        (answer.skipped_rows, "rows that did not fit were left out"),
        (
            answer.nulled_values,
            "values that did not fit were made null",
        ),
    ] {
        if count > 0 {
            output::note(&format!("{count} {what}"));
        }
    }
    if let Some(path) = to {
        output::note(&format!(
            "{} written to {}",
            text::summary(answer),
            path.display()
        ));
    }
}

/// A request of the person at this terminal.
pub(crate) fn request(action: &str, params: Map<String, Value>) -> ActionRequest {
    let user = ProcessEnvironment
        .get("USER")
        .unwrap_or_else(|| "unknown".to_owned());
    ActionRequest {
        action: action.to_owned(),
        params,
        caller: Caller {
            name: format!("cli:{user}"),
            ..Caller::default()
        },
        ..ActionRequest::default()
    }
}
