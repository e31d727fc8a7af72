//! An event: what the request template of a data action sends, `{"action": NAME, "params": {…}}`.

use flowlake_data_action::{ActionError, ErrorCode, parameters};
use serde_json::{Map, Value, value::RawValue};

/// An event that has been read.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) action: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) organization: Option<String>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) correlation_id: Option<String>,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`ErrorCode::RequestInvalid`]. It names the place and not the content, which may hold personal data.
    pub(crate) fn read(json: &RawValue) -> Result<Self, ActionError> {
        let members = parameters(json.get().as_bytes());
        let mut members = members.map_err(|error| invalid(&error.to_string()))?;
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(&format!("`{name}` is not a text"))),
        };
        let action = text("action")?.ok_or_else(|| invalid("`action` is missing"))?;
        let organization = text("organization")?;
        let conversation_id = text("conversation_id")?;
        let correlation_id = text("correlation_id")?;
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(invalid("`params` is not an object")),
        };
        if !members.is_empty() {
            return Err(invalid("it has members that no event has"));
        }
        Ok(Self {
            action,
            params,
            organization,
            conversation_id,
            correlation_id,
        })
    }
}

fn invalid(what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the event cannot be read: {what}"),
        "Send what `flowlake actions export --via lambda` writes: {\"action\": \"NAME\", \"params\": {…}}, and perhaps `organization`, `conversation_id` and `correlation_id`.",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Event, ActionError> {
        let json: Box<RawValue> = serde_json::from_str(text).unwrap();
        Event::read(&json)
    }

    #[test]
    fn an_event_names_an_action_and_its_parameters() {
        let event = read(
            r#"{"action": "look-up", "params": {"ani": "+12025550142", "id": 12345678901234567890123}, "conversation_id": "c"}"#,
        )
        .unwrap();
        assert_eq!(event.action, "look-up");
        let expected = json!({ "ani": "+12025550142", "id": "12345678901234567890123" });
        assert_eq!(Value::Object(event.params), expected);
        assert_eq!(event.conversation_id.as_deref(), Some("c"));
        assert!(read(r#"{"action": "all"}"#).unwrap().params.is_empty());
    }

    #[test]
    fn what_is_no_event_is_an_error_without_its_content() {
        for text in [
            "[]",
            "\"+12025550142\"",
            "{}",
            r#"{"action": 1}"#,
            r#"{"action": "a", "params": ["+12025550142"]}"#,
            r#"{"action": "a", "ani": "+12025550142"}"#,
            r#"{"action": "a", "action": "b"}"#,
            r#"{"action": "a", "params": {"x": 1, "x": 2}}"#,
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), ErrorCode::RequestInvalid, "{text}");
            assert!(!error.message().contains("+1202"), "{error}");
        }
    }
}
