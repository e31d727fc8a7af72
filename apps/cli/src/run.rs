//! `flowlake run`.

use std::path::Path;

use flowlake_data_action::{
    ActionRequest, Answer, Caller, Environment, Failure as ActionFailure, Pipeline,
    ProcessEnvironment, Project, RowOutput,
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::Run, destination::Destination, failure::Failure, format::Format, output, text,
};

pub(crate) async fn run(config: &Path, arguments: &Run) -> Result<(), Failure> {
    let pipeline = Pipeline::builder(Project::load(config)?)
        .with_broken_actions(true)
        .build(&ProcessEnvironment)
        .await?;
    let (format, to) = (arguments.format, arguments.output.as_deref());
    // Rows alone can be many: they are put by until the audit record is written, and are not kept in memory.
    let mut destination = match (format.of_rows(), to) {
        (None, None) => None,
        _ => Some(Destination::new(to, format)?),
    };
    let mut request = request(&arguments.action, &arguments.params);
    if let (Some(format), Some(destination)) = (format.of_rows(), &destination) {
        request.output = RowOutput {
            format,
            file: Some(destination.handle()?),
            ..RowOutput::default()
        };
    }
    let answer = match finished(&pipeline, request).await {
        Ok(answer) => answer,
        Err(failure) => {
            if format == Format::Json {
                output::print(&format!("{:#}\n", failure.to_json()))?;
            }
            return Err(failure.into());
        }
    };
    if format.of_rows().is_none() {
        let text = output::answer(&answer, format, arguments.full)?;
        match &mut destination {
            Some(destination) => destination.write(&text)?,
            None => output::print(&text)?,
        }
    }
    if let Some(destination) = destination {
        destination.release()?;
    }
    remarks(&answer, to, "the action's max_rows");
    Ok(())
}

/// Runs a request to its end; Ctrl-C ends it earlier.
pub(crate) async fn finished(
    pipeline: &Pipeline,
    request: ActionRequest,
) -> Result<Answer, ActionFailure> {
    let cancellation = request.cancellation.clone();
    let mut attempt = std::pin::pin!(pipeline.run(request));
    tokio::select! {
        result = &mut attempt => result,
        _ = tokio::signal::ctrl_c() => {
            // The attempt still ends by itself, with its audit record.
            cancellation.cancel();
            attempt.await
        }
    }
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
pub(crate) fn request(action: &str, params: &[(String, String)]) -> ActionRequest {
    let user = ProcessEnvironment
        .get("USER")
        .unwrap_or_else(|| "unknown".to_owned());
    ActionRequest {
        action: action.to_owned(),
        params: parameters(params),
        caller: Caller {
            name: format!("cli:{user}"),
            ..Caller::default()
        },
        cancellation: CancellationToken::new(),
        ..ActionRequest::default()
    }
}

/// Parameters as typed: text that the action reads as each parameter's own type.
pub(crate) fn parameters(params: &[(String, String)]) -> Map<String, Value> {
    params
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect()
}
