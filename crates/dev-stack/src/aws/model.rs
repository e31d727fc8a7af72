//! What AWS accepts as input, field by field: names, types, enumerations, lengths and patterns of the service models.
//!
//! Every request to the stand-ins is held against it, so that a wrong parameter fails each test that sends it.
//! `data/aws-requests.json` is taken from botocore's models by `python/aws_requests.py`.

mod body;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::HeaderMap;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use body::{check_xml, has_xml_body};

#[derive(Debug, Deserialize)]
struct Models {
    services: BTreeMap<String, Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    uri: String,
    input: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    r#type: String,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    r#enum: Vec<String>,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<String>,
    /// A list whose items stand in the structure itself, without an element around them.
    #[serde(default)]
    flattened: bool,
    /// The member that is the body of the request.
    payload: Option<String>,
    #[serde(default)]
    members: BTreeMap<String, Member>,
    member: Option<Member>,
    value: Option<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    shape: String,
    location: Option<String>,
    #[serde(rename = "locationName")]
    location_name: Option<String>,
}

static MODELS: LazyLock<Models> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/aws-requests.json"))
        .expect("the excerpt is part of this crate and read by its tests")
});

/// Compiled patterns; what the `regex` crate cannot say (look-around) is left out.
static PATTERNS: LazyLock<BTreeMap<&'static str, Regex>> = LazyLock::new(|| {
    let shapes = MODELS
        .services
        .values()
        .flat_map(|service| service.shapes.values());
    let patterns = shapes.filter_map(|shape| shape.pattern.as_deref());
    patterns
        .filter_map(|text| Some((text, Regex::new(&format!("^(?:{text})$")).ok()?)))
        .collect()
});

/// A request's fields, whatever its protocol.
#[derive(Debug)]
enum Field {
    Text(String),
    Json(Value),
    Fields(BTreeMap<String, Field>),
    Items(Vec<Field>),
}

/// Checks the form fields of STS and IAM.
pub(crate) fn check_query(
    service: &str,
    operation: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<(), String> {
    let mut tree = BTreeMap::new();
    for (name, value) in parameters {
        let mut parts = name.split('.').peekable();
        let mut fields = &mut tree;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                fields.insert(part.to_owned(), Field::Text(value.clone()));
                break;
            }
            let below = fields
                .entry(part.to_owned())
                .or_insert_with(|| Field::Fields(BTreeMap::new()));
            let Field::Fields(deeper) = below else {
                return Err(format!("{part} is both a value and a structure"));
            };
            fields = deeper;
        }
    }
    check(service, operation, &Field::Fields(tree))
}

/// Checks the JSON body of Cost Explorer.
pub(crate) fn check_json(service: &str, operation: &str, body: &[u8]) -> Result<(), String> {
    let body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    check(service, operation, &Field::Json(body))
}

/// Checks query and headers of S3, those that must be there as well; operations that are not in the excerpt pass.
pub(crate) fn check_rest(
    operation: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), String> {
    let Some((service, known, input)) = s3_operation(operation) else {
        return Ok(());
    };
    let member = |location: &str, name: &str| {
        input.members.values().find(|member| {
            let is_named = |own: &String| own.eq_ignore_ascii_case(name);
            member.location.as_deref() == Some(location)
                && member.location_name.as_ref().is_some_and(is_named)
        })
    };
    let fixed = known.uri.split_once('?').map_or("", |(_, fixed)| fixed);
    let query: BTreeMap<_, _> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
    for name in &input.required {
        let member = &input.members[name];
        let own = member.location_name.as_deref().unwrap_or(name);
        let is_there = match member.location.as_deref() {
            Some("querystring") => query.contains_key(own),
            Some("header") => headers.contains_key(own),
            _ => true,
        };
        if !is_there {
            return Err(format!("{operation} needs {own}"));
        }
    }
    for (name, value) in query {
        // `x-id` names the operation, `X-Amz-…` is a signature in the address.
        let is_fixed = fixed
            .split('&')
            .any(|pair| pair.split('=').next() == Some(&*name));
        if is_fixed || name == "x-id" || name.starts_with("X-Amz-") {
            continue;
        }
        let member = member("querystring", &name)
            .ok_or_else(|| format!("{operation} has no query parameter {name}"))?;
        check_member(service, member, &name, &Field::Text(value.into_owned()))?;
    }
    // Where an algorithm may be named, its checksum may be sent, whether or not the model has a member for it.
    let has_checksum = input.members.contains_key("ChecksumAlgorithm");
    for (name, value) in headers {
        let name = name.as_str();
        let member = member("header", name);
        let has_prefix = input.members.values().any(|member| {
            let prefix = member.location_name.as_deref().unwrap_or_default();
            member.location.as_deref() == Some("headers") && name.starts_with(prefix)
        });
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match member {
            Some(member) => check_member(service, member, name, &Field::Text(text))?,
            // What belongs to the signature or the SDK and not to the operation.
            None if has_prefix
                || !name.starts_with("x-amz-")
                || has_checksum && name.starts_with("x-amz-checksum-")
                || matches!(
                    name,
                    "x-amz-date"
                        | "x-amz-content-sha256"
                        | "x-amz-security-token"
                        | "x-amz-user-agent"
                        | "x-amz-decoded-content-length"
                        | "x-amz-trailer"
                ) => {}
            None => return Err(format!("{operation} has no header {name}")),
        }
    }
    Ok(())
}

/// An operation of S3 with its input.
fn s3_operation(name: &str) -> Option<(&'static Service, &'static Operation, &'static Shape)> {
    let service = &MODELS.services["s3"];
    let operation = service.operations.get(name)?;
    let input = service.shapes.get(operation.input.as_ref()?)?;
    Some((service, operation, input))
}

fn check(service: &str, operation: &str, fields: &Field) -> Result<(), String> {
    let Some(model) = MODELS.services.get(service) else {
        return Ok(());
    };
    let Some(known) = model.operations.get(operation) else {
        return Ok(());
    };
    match &known.input {
        Some(input) => walk(model, &model.shapes[input], operation, fields),
        None => Ok(()),
    }
}

fn check_member(
    service: &Service,
    member: &Member,
    path: &str,
    field: &Field,
) -> Result<(), String> {
    walk(service, &service.shapes[&member.shape], path, field)
}

/// Compares one field with its shape, and what is below it.
fn walk(service: &Service, shape: &Shape, path: &str, field: &Field) -> Result<(), String> {
    match (shape.r#type.as_str(), field) {
        ("structure", Field::Fields(fields)) => structure(service, shape, path, fields),
        ("structure", Field::Json(Value::Object(object))) => {
            structure(service, shape, path, &below(object))
        }
        ("list", Field::Fields(fields)) => query_list(service, shape, path, fields),
        ("list", Field::Items(items)) => {
            in_range(shape, path, items.len(), "items")?;
            let member = item(shape, path)?;
            items.iter().enumerate().try_for_each(|(index, item)| {
                check_member(service, member, &format!("{path}[{index}]"), item)
            })
        }
        // An empty list in the query protocol.
        ("list", Field::Text(text)) if text.is_empty() => Ok(()),
        ("list", Field::Json(Value::Array(items))) => {
            in_range(shape, path, items.len(), "items")?;
            let member = item(shape, path)?;
            items.iter().enumerate().try_for_each(|(index, item)| {
                let path = format!("{path}[{index}]");
                check_member(service, member, &path, &Field::Json(item.clone()))
            })
        }
        ("map", Field::Json(Value::Object(object))) => match &shape.value {
            Some(value) => below(object).iter().try_for_each(|(key, field)| {
                check_member(service, value, &format!("{path}.{key}"), field)
            }),
            None => Ok(()),
        },
        ("string", Field::Text(text)) => string(shape, path, text),
        ("string", Field::Json(Value::String(text))) => string(shape, path, text),
        ("integer" | "long", Field::Text(text)) => {
            let number: i64 = text
                .parse()
                .map_err(|_| format!("{path} must be an integer"))?;
            number_in_range(shape, path, number)
        }
        ("integer" | "long", Field::Json(Value::Number(number))) if number.is_i64() => {
            number_in_range(shape, path, number.as_i64().unwrap_or_default())
        }
        ("boolean", Field::Text(text)) if matches!(text.as_str(), "true" | "false") => Ok(()),
        ("boolean", Field::Json(Value::Bool(_))) => Ok(()),
        ("timestamp" | "blob" | "float" | "double", _) => Ok(()),
        (wanted, _) => Err(format!("{path} must be a {wanted}")),
    }
}

fn below(object: &serde_json::Map<String, Value>) -> BTreeMap<String, Field> {
    let pairs = object.iter();
    pairs
        .map(|(key, value)| (key.clone(), Field::Json(value.clone())))
        .collect()
}

fn structure(
    service: &Service,
    shape: &Shape,
    path: &str,
    fields: &BTreeMap<String, Field>,
) -> Result<(), String> {
    for (name, field) in fields {
        let member = shape
            .members
            .get(name)
            .ok_or_else(|| format!("Unknown parameter {name} in {path}"))?;
        check_member(service, member, &format!("{path}.{name}"), field)?;
    }
    match shape
        .required
        .iter()
        .find(|name| !fields.contains_key(*name))
    {
        Some(missing) => Err(format!(
            "1 validation error detected: Value null at '{missing}' in {path} failed to satisfy \
             constraint: Member must not be null"
        )),
        None => Ok(()),
    }
}

/// `Name.member.1`, `Name.member.2` and so on, without gaps.
fn query_list(
    service: &Service,
    shape: &Shape,
    path: &str,
    fields: &BTreeMap<String, Field>,
) -> Result<(), String> {
    let Some(Field::Fields(items)) = fields.get("member").filter(|_| fields.len() == 1) else {
        return Err(format!("{path} must be a list: {path}.member.N"));
    };
    in_range(shape, path, items.len(), "items")?;
    let member = item(shape, path)?;
    for index in 1..=items.len() {
        let field = items
            .get(&index.to_string())
            .ok_or_else(|| format!("{path} has a gap at {index}"))?;
        check_member(service, member, &format!("{path}.{index}"), field)?;
    }
    Ok(())
}

fn item<'shape>(shape: &'shape Shape, path: &str) -> Result<&'shape Member, String> {
    shape
        .member
        .as_ref()
        .ok_or_else(|| format!("{path} is a list of nothing"))
}

fn string(shape: &Shape, path: &str, text: &str) -> Result<(), String> {
    if !shape.r#enum.is_empty() && !shape.r#enum.iter().any(|known| known == text) {
        return Err(format!("{path} must be one of {}", shape.r#enum.join(", ")));
    }
    in_range(shape, path, text.chars().count(), "characters")?;
    let pattern = shape
        .pattern
        .as_deref()
        .and_then(|pattern| PATTERNS.get(pattern));
    match pattern {
        Some(pattern) if !pattern.is_match(text) => Err(format!(
            "{path} must satisfy regular expression pattern: {}",
            shape.pattern.as_deref().unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the models' limits are small")]
fn in_range(shape: &Shape, path: &str, count: usize, what: &str) -> Result<(), String> {
    let count = count as f64;
    if shape.min.is_some_and(|min| count < min) || shape.max.is_some_and(|max| count > max) {
        return Err(format!(
            "{path} has {count} {what}, and must have {} to {}",
            shape.min.unwrap_or_default(),
            shape
                .max
                .map_or_else(|| "any".to_owned(), |max| max.to_string())
        ));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "the models' limits are small")]
fn number_in_range(shape: &Shape, path: &str, number: i64) -> Result<(), String> {
    let number = number as f64;
    if shape.min.is_some_and(|min| number < min) || shape.max.is_some_and(|max| number > max) {
        return Err(format!("{path} is out of range"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
