//! Policy documents, parsed strictly: what AWS would refuse is refused here too.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::condition::Condition;

/// One policy, with the names the simulation reports it by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(crate) id: String,
    /// `user`, `group`, `role`, `resource` or `none`, as the service model has it.
    pub(crate) source_type: &'static str,
    /// Whether `${…}` are variables: only since this version of the language.
    pub(crate) has_variables: bool,
    pub(crate) statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// Where a statement lies in its policy's text: lines from 1, columns from 0, as IAM tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: (usize, usize),
    pub(crate) end: (usize, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) span: Span,
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) principals: Option<Principals>,
    pub(crate) actions: Clause,
    /// Trust policies have none.
    pub(crate) resources: Option<Clause>,
    pub(crate) conditions: Vec<Condition>,
}

/// A list of patterns, or everything but the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clause {
    Any(Vec<String>),
    Except(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principals {
    Any(Vec<String>),
    Except(Vec<String>),
}

impl Policy {
    /// Reads a policy of the document; its text is taken to be indented by two.
    pub(crate) fn parse(
        id: impl Into<String>,
        source_type: &'static str,
        document: &Value,
    ) -> Result<Self, String> {
        let text = format!("{document:#}");
        Self::parse_text(id, source_type, &text)
    }

    /// Reads a policy from its text; the error is a sentence for `MalformedPolicyDocument`.
    pub(crate) fn parse_text(
        id: impl Into<String>,
        source_type: &'static str,
        text: &str,
    ) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text)
            .map_err(|error| format!("Syntax errors in policy: {error}"))?;
        let object = document
            .as_object()
            .ok_or("Syntax errors in policy: not a JSON object")?;
        known_keys(object, &["Version", "Id", "Statement"])?;
        let has_variables = match object.get("Version").map(Value::as_str) {
            None | Some(Some("2008-10-17")) => false,
            Some(Some("2012-10-17")) => true,
            _ => return Err("Version must be 2012-10-17 or 2008-10-17".to_owned()),
        };
        let mut statements: Vec<Statement> = match object.get("Statement") {
            Some(Value::Array(list)) => list.iter().map(Statement::parse).collect::<Result<_, _>>(),
            Some(one @ Value::Object(_)) => Ok(vec![Statement::parse(one)?]),
            _ => Err("Syntax errors in policy: Statement is missing".to_owned()),
        }?;
        for (statement, span) in statements.iter_mut().zip(spans(text)) {
            statement.span = span;
        }
        Ok(Self {
            id: id.into(),
            source_type,
            has_variables,
            statements,
        })
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, String> {
        let object = value
            .as_object()
            .ok_or("Syntax errors in policy: a statement is not an object")?;
        known_keys(
            object,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let effect = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        Ok(Self {
            span: Span::default(),
            sid: object.get("Sid").and_then(Value::as_str).map(str::to_owned),
            effect,
            principals: principals(object)?,
            actions: clause(object, "Action", "NotAction")?
                .ok_or("Policy statement must contain actions")?,
            resources: clause(object, "Resource", "NotResource")?,
            conditions: conditions(object)?,
        })
    }
}

/// The policy with its statements left as text.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, rename = "Statement")]
    statement: &'a RawValue,
}

/// Where each statement lies in the text.
fn spans(text: &str) -> Vec<Span> {
    let Ok(outline) = serde_json::from_str::<Outline<'_>>(text) else {
        return Vec::new();
    };
    let statements: Vec<&RawValue> =
        serde_json::from_str(outline.statement.get()).unwrap_or_else(|_| vec![outline.statement]);
    let place = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, column)
    };
    statements
        .into_iter()
        .map(|statement| {
            // The raw value borrows the text, so its place is the difference of the addresses.
            let start = statement.get().as_ptr() as usize - text.as_ptr() as usize;
            Span {
                start: place(start),
                end: place(start + statement.get().len()),
            }
        })
        .collect()
}

fn known_keys(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("Syntax errors in policy: unknown element {key}")),
        None => Ok(()),
    }
}

fn clause(object: &Map<String, Value>, any: &str, except: &str) -> Result<Option<Clause>, String> {
    match (object.get(any), object.get(except)) {
        (Some(_), Some(_)) => Err(format!("{any} and {except} exclude each other")),
        (Some(value), None) => Ok(Some(Clause::Any(strings(value, any)?))),
        (None, Some(value)) => Ok(Some(Clause::Except(strings(value, except)?))),
        (None, None) => Ok(None),
    }
}

fn strings(value: &Value, element: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("Syntax errors in policy: {element} must be a string or strings");
    match value {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(list) if !list.is_empty() => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        _ => Err(wrong()),
    }
}

/// `"*"`, or an object of kinds. Services and federated principals never match a caller here,
/// but they are kept so that a list of only them matches nobody.
fn principals(object: &Map<String, Value>) -> Result<Option<Principals>, String> {
    let read = |value: &Value| -> Result<Vec<String>, String> {
        match value {
            Value::String(any) if any == "*" => Ok(vec!["*".to_owned()]),
            Value::Object(kinds) => {
                let mut all = Vec::new();
                for (kind, value) in kinds {
                    if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str()) {
                        return Err(format!("Invalid principal in policy: {kind}"));
                    }
                    all.extend(strings(value, "Principal")?);
                }
                Ok(all)
            }
            _ => Err("Invalid principal in policy".to_owned()),
        }
    };
    match (object.get("Principal"), object.get("NotPrincipal")) {
        (Some(_), Some(_)) => Err("Principal and NotPrincipal exclude each other".to_owned()),
        (Some(value), None) => Ok(Some(Principals::Any(read(value)?))),
        (None, Some(value)) => Ok(Some(Principals::Except(read(value)?))),
        (None, None) => Ok(None),
    }
}

fn conditions(object: &Map<String, Value>) -> Result<Vec<Condition>, String> {
    let Some(value) = object.get("Condition") else {
        return Ok(Vec::new());
    };
    let operators = value
        .as_object()
        .ok_or("Syntax errors in policy: Condition must be an object")?;
    let mut all = Vec::new();
    for (operator, keys) in operators {
        let keys = keys
            .as_object()
            .ok_or("Syntax errors in policy: a condition operator takes an object")?;
        for (key, values) in keys {
            let values = match values {
                Value::Array(list) => list.iter().map(scalar).collect::<Result<_, _>>()?,
                one => vec![scalar(one)?],
            };
            all.push(Condition::try_new(operator, key, values)?);
        }
    }
    Ok(all)
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(bool) => Ok(bool.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("Syntax errors in policy: a condition value must be a scalar".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statements_know_their_places() {
        let text = "{\n    \"Version\": \"2012-10-17\",\n    \"Statement\": {\n        \"Effect\": \"Allow\", \"Action\": \"*\"\n    }\n}";
        let policy = Policy::parse_text("p", "user", text).unwrap();
        assert_eq!(
            policy.statements[0].span,
            Span {
                start: (3, 17),
                end: (5, 5)
            }
        );
        let two = r#"{"Statement": [{"Effect": "Deny", "Action": "*"}, {"Effect": "Deny", "Action": "a:b"}]}"#;
        let policy = Policy::parse_text("p", "user", two).unwrap();
        assert_eq!(policy.statements[1].span.start, (1, 50));
    }

    #[test]
    fn what_aws_would_refuse_is_refused() {
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        let with = |key: &str, value: Value| {
            let mut statement = statement.clone();
            statement[key] = value;
            json!({ "Version": "2012-10-17", "Statement": statement })
        };
        assert!(Policy::parse("p", "user", &with("Sid", json!("fine"))).is_ok());
        for wrong in [
            json!([]),
            json!({ "Version": "2012-10-17" }),
            json!({ "Version": "2020-01-01", "Statement": statement }),
            json!({ "Statement": statement, "Extra": 1 }),
            with("Effect", json!("allow")),
            with("Effects", json!("Allow")),
            with("NotAction", json!("*")),
            with("NotResource", json!("*")),
            with("Action", json!([])),
            with("Action", json!({})),
            with("Principal", json!({ "Everyone": "*" })),
            with("Condition", json!({ "StringIs": { "a": "b" } })),
            with("Condition", json!({ "StringEquals": "b" })),
        ] {
            assert!(Policy::parse("p", "user", &wrong).is_err(), "{wrong}");
        }
    }
}
