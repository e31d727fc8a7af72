//! From an event to its answer, over the pipeline that the server has too.

use std::time::Duration;

use flowlake_data_action::{
    ActionError, ActionRequest, Caller, ClientSettings, ErrorCode, JsonReader, Pipeline, RowFormat,
    RowOutput,
};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::{
    Map,
    value::{RawValue, to_raw_value},
};

use crate::event::Event;

/// What is left of the time of an event for its record and its way back, once the attempt has to end.
const MARGIN: Duration = Duration::from_millis(500);

/// Longest text of a caller that is recorded, as in the server.
const LONGEST_ID: usize = 128;

/// The names that Genesys Cloud has for identifiers of a call; they are recorded when the client context has them.
const ORGANIZATION: &str = "ININ-Organization-Id";
const CORRELATION: &str = "ININ-Correlation-Id";
const USER: &str = "ININ-User-Id";

/// Answers events.
#[derive(Debug)]
pub(crate) struct Function {
    pipeline: Pipeline,
}

/// An event without an answer, in the form of the runtime API: `errorType` is a stable code.
#[derive(Debug)]
pub(crate) struct Refused(Diagnostic);

impl From<Refused> for Diagnostic {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

impl Function {
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        Self { pipeline }
    }

    /// Runs the action of an event, and gives what a data action's translation map reads: the answer for flows.
    pub(crate) async fn answer(
        &self,
        event: LambdaEvent<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Refused> {
        let LambdaEvent { payload, context } = event;
        let event = Event::read(&payload).map_err(|error| {
            // There is no attempt, and so no line about one.
            tracing::warn!(
                event = context.request_id,
                code = error.code().as_str(),
                "{error}"
            );
            refused(&error, None)
        })?;
        let now_ms = self.pipeline.now_unix_ms();
        let left = Duration::from_millis(context.deadline.saturating_sub(now_ms));
        let caller = caller(&event, &context);
        // IAM decides who calls the function: a caller may run every action of it, and cannot choose the parameter `caller`.
        let client = ClientSettings {
            name: caller.name.clone(),
            ..ClientSettings::default()
        };
        let action = self.pipeline.action(&event.action).ok();
        let bound = match action {
            Some(action) => client.bind(action.definition(), &caller.name, event.params),
            // The pipeline says which actions there are, and records it.
            None => Ok(event.params),
        };
        let (params, denied) = match bound {
            Ok(params) => (params, None),
            Err(denied) => (Map::new(), Some(denied)),
        };
        let request = ActionRequest {
            action: event.action,
            params,
            denied,
            caller,
            output: RowOutput {
                format: RowFormat::Json,
                reader: JsonReader::Flow,
                file: None,
                object: None,
                inspect: None,
            },
            time_left: Some(left.saturating_sub(MARGIN)),
            ..ActionRequest::default()
        };
        let answered = self.pipeline.run(request).await;
        let answer =
            answered.map_err(|failure| refused(&failure.error, failure.audit_id.as_deref()))?;
        to_raw_value(&answer.to_flow()).map_err(|error| {
            let error = ActionError::new(
                ErrorCode::Internal,
                "the answer cannot be written as JSON",
                "Report this with the audit id.",
            )
            .with_source(error);
            tracing::error!(
                audit_id = answer.audit_log.id,
                detail = error.log_detail(),
                "{error}"
            );
            refused(&error, Some(&answer.audit_log.id))
        })
    }
}

/// Who asks: the function's address, by which IAM let the caller in, and what the event and the client context say.
fn caller(event: &Event, context: &Context) -> Caller {
    let custom = context.client_context.as_ref().map(|client| &client.custom);
    let given = |name: &str| {
        let found = custom?
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        Some(found?.1.clone())
    };
    let short = |text: String| -> String {
        let chars = text.chars().filter(char::is_ascii_graphic);
        chars.take(LONGEST_ID).collect()
    };
    let organization = given(ORGANIZATION).or_else(|| event.organization.clone());
    let correlation = given(CORRELATION).or_else(|| event.correlation_id.clone());
    Caller {
        name: context.invoked_function_arn.clone(),
        organization: organization.map(short),
        conversation_id: event.conversation_id.clone().map(short),
        // Without one, the event's own id, which CloudWatch Logs has too.
        correlation_id: Some(short(
            correlation.unwrap_or_else(|| context.request_id.clone()),
        )),
        trace_id: None,
        user: given(USER).map(short),
    }
}

fn refused(error: &ActionError, audit_id: Option<&str>) -> Refused {
    Refused(Diagnostic {
        error_type: error.code().as_str().to_owned(),
        error_message: message(error, audit_id),
    })
}

/// What is wrong and what to do about it, on one line.
pub(crate) fn message(error: &ActionError, audit_id: Option<&str>) -> String {
    let mut text = format!("{}. {}", error.message(), error.advice());
    if let Some(id) = audit_id {
        text += &format!(" Audit record: {id}.");
    }
    text
}
