//! Policy documents, parsed strictly: what AWS would refuse is refused here too.

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

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
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
    /// Reads a policy; the error is a sentence for `MalformedPolicyDocument`.
    pub(crate) fn parse(
        id: impl Into<String>,
        source_type: &'static str,
        document: &Value,
    ) -> Result<Self, String> {
        let object = document
            .as_object()
            .ok_or("Syntax errors in policy: not a JSON object")?;
        known_keys(object, &["Version", "Id", "Statement"])?;
        let has_variables = match object.get("Version").map(Value::as_str) {
            None | Some(Some("2008-10-17")) => false,
            Some(Some("2012-10-17")) => true,
            _ => return Err("Version must be 2012-10-17 or 2008-10-17".to_owned()),
        };
        let statements = match object.get("Statement") {
            Some(Value::Array(list)) => list.iter().map(Statement::parse).collect::<Result<_, _>>(),
            Some(one @ Value::Object(_)) => Ok(vec![Statement::parse(one)?]),
            _ => Err("Syntax errors in policy: Statement is missing".to_owned()),
        }?;
        Ok(Self {
            id: id.into(),
            source_type,
            has_variables,
            statements,
        })
    }

    /// Reads a policy from its text, as it comes in a request.
    pub(crate) fn parse_text(
        id: impl Into<String>,
        source_type: &'static str,
        text: &str,
    ) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text)
            .map_err(|error| format!("Syntax errors in policy: {error}"))?;
        Self::parse(id, source_type, &document)
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
