//! `flowlake run`.

use std::path::Path;

use flowlake_data_action::{
    ActionRequest, Answer, Caller, Environment, Failure as ActionFailure, Pipeline,
    ProcessEnvironment, Project,
};
use serde_json::{Map, Value};

use crate::{
    answering::{Delivery, View, delivered},
    arguments::Run,
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
    let to = arguments.output.as_deref();
    let format = Format::of(arguments.format, to)?;
    let project = Project::load(config)?;
    let confirm = (!arguments.yes).then(|| project.config.confirm.clone());
    let pipeline = Pipeline::builder(project)
        .with_broken_actions(true)
        .build(&ProcessEnvironment)
        .await?;
    let mut request = request(&arguments.action, params);
    request.confirm = confirm;
    let view = if arguments.full {
        View::Full
    } else {
        View::Answer
    };
    let delivery = Delivery { format, to, view };
    let answer = delivered(&pipeline, request, delivery, &interrupt).await;
    if let Err(Failure::Action(error, audit_id)) = &answer
        && format == Format::Json
    {
        let failure = ActionFailure {
            error: error.as_ref().clone(),
            audit_id: audit_id.clone(),
        };
        output::print(&format!("{:#}\n", failure.to_json()))?;
    }
    remarks(&answer?, to, "the action's max_rows");
    Ok(())
}

/// What rows alone do not say.
pub(crate) fn remarks(answer: &Answer, to: Option<&Path>, row_limit: &str) {
    for warning in &answer.cost_tracking.warnings {
        output::missing(warning);
    }
    if answer.truncated {
        output::missing(&format!(
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
            output::missing(&format!("{count} {what}"));
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
