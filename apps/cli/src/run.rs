//! `flowlake run`.

use std::path::Path;

use flowlake_data_action::{ActionRequest, Caller, Environment, Pipeline, Project};
use flowlake_server::ProcessEnvironment;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::{Format, Run},
    failure::Failure,
    output,
};

pub(crate) async fn run(config: &Path, arguments: &Run) -> Result<(), Failure> {
    let pipeline = Pipeline::builder(Project::load(config)?)
        .build(&ProcessEnvironment)
        .await?;
    let request = request(&arguments.action, &arguments.params);
    let cancellation = request.cancellation.clone();
    let mut attempt = std::pin::pin!(pipeline.run(request));
    let result = tokio::select! {
        result = &mut attempt => result,
        _ = tokio::signal::ctrl_c() => {
            // The attempt still ends by itself, with its audit record.
            cancellation.cancel();
            attempt.await
        }
    };
    let answer = match result {
        Ok(answer) => answer,
        Err(failure) => {
            if arguments.output == Format::Json {
                output::print(&format!("{:#}\n", failure.to_json()))?;
            }
            return Err(failure.into());
        }
    };
    output::print(&output::rows(&answer, arguments.output, arguments.full)?)?;
    for warning in &answer.cost_tracking.warnings {
        output::note(warning);
    }
    if answer.truncated {
        output::note(&format!(
            "only the first {} rows: the action's max_rows cut the rest off",
            answer.row_count
        ));
    }
    Ok(())
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
