//! The helpers of templates (`esc`, `math`, …), the methods of texts and lists, and operators.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::parse::Operator;

/// The roots that are helpers unless a value has the name.
pub(super) const NAMES: [&str; 6] = [
    "esc",
    "math",
    "urlTool",
    "successTemplateUtils",
    "encoding",
    "salesforce",
];

/// How a value prints.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            Err("a list or an object prints as Java writes it, which is no JSON".to_owned())
        }
    }
}

/// A helper's member without arguments.
pub(super) fn constant(tool: &str, name: &str) -> Option<Value> {
    if tool != "esc" {
        return None;
    }
    let text = match name {
        "quote" | "q" => "\"",
        "singleQuote" | "s" => "'",
        "dollar" | "d" => "$",
        "hash" | "h" => "#",
        "backslash" | "b" => "\\",
        "newline" | "n" => "\n",
        "exclamation" | "e" => "!",
        _ => return None,
    };
    Some(json!(text))
}

/// A helper's function.
pub(super) fn call(tool: &str, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let unknown = || {
        format!(
            "${tool}.{name} with {} arguments is not understood",
            arguments.len()
        )
    };
    match (tool, arguments) {
        // What has no value stays so: `$!esc.url($x)` prints nothing then.
        ("esc" | "encoding", [Value::Null]) => Ok(Value::Null),
        ("esc", [value]) => escaped(name, &text(value)?)
            .map(Value::String)
            .ok_or_else(unknown),
        ("encoding", [value]) if name == "base64" => Ok(json!(STANDARD.encode(text(value)?))),
        ("urlTool", [parameter, value]) if name == "optionalQueryParam" => Ok(match value {
            Value::Null => json!(""),
            value => match text(value)?.as_str() {
                "" => json!(""),
                value => json!(format!("{}={}", encoded(&text(parameter)?), encoded(value))),
            },
        }),
        ("successTemplateUtils", [Value::Null, ..]) if name == "firstFromArray" => Ok(Value::Null),
        ("successTemplateUtils", [list, rest @ ..])
            if name == "firstFromArray" && rest.len() < 2 =>
        {
            let items = parsed(list)?;
            let first = items.as_array().ok_or("the value is no list")?.first();
            match (first, rest) {
                (Some(first), _) => Ok(json!(first.to_string())),
                (None, [default]) => text(default).map(Value::String),
                (None, _) => Ok(json!("null")),
            }
        }
        ("successTemplateUtils", [_, _]) if name == "moveKeysIntoArrayOfObjects" => {
            Err(unknown_result(tool, name))
        }
        ("salesforce", [Value::Null]) => Ok(Value::Null),
        ("salesforce", [value]) if name == "escReserved" => {
            let text = text(value)?;
            // Whatever it escapes, it is none of these.
            if text.chars().all(|c| c.is_alphanumeric() || c == ' ') {
                Ok(json!(text))
            } else {
                Err(unknown_result(tool, name))
            }
        }
        ("math", arguments) => math(name, arguments)?.ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

/// The JSON that a text holds.
fn parsed(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|_| "the value is no JSON".to_owned())
        }
        other => Ok(other.clone()),
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn escaped(name: &str, text: &str) -> Option<String> {
    Some(match name {
        "jsonString" | "jsonEncode" | "json" => {
            let quoted = Value::String(text.to_owned()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        "url" | "urlFormEncode" => encoded(text),
        // A path has no `+` for a blank.
        "uriEncode" => encoded(text).replace('+', "%20"),
        "html" | "xml" => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;"),
        "sql" => text.replace('\'', "''"),
        _ => return None,
    })
}

/// Genesys Cloud's documentation names the helper, and does not say what it makes of its arguments.
fn unknown_result(tool: &str, name: &str) -> String {
    format!(
        "what ${tool}.{name} makes of this value is not known here: test the action on the platform"
    )
}

fn math(name: &str, arguments: &[Value]) -> Result<Option<Value>, String> {
    let numbers: Vec<f64> = arguments.iter().map(number).collect::<Result<_, _>>()?;
    Ok(Some(whole(match (name, numbers.as_slice()) {
        ("add", [first, rest @ ..]) => first + rest.iter().sum::<f64>(),
        ("sub", [first, rest @ ..]) => first - rest.iter().sum::<f64>(),
        ("mul", numbers) if !numbers.is_empty() => numbers.iter().product(),
        ("div", [left, right]) if *right != 0.0 => left / right,
        ("mod", [left, right]) if *right != 0.0 => left % right,
        ("max", [first, rest @ ..]) => rest.iter().copied().fold(*first, f64::max),
        ("min", [first, rest @ ..]) => rest.iter().copied().fold(*first, f64::min),
        ("abs", [value]) => value.abs(),
        ("ceil", [value]) => value.ceil(),
        ("floor", [value]) => value.floor(),
        // Java rounds halves up.
        ("round", [value]) => (value + 0.5).floor(),
        ("toInteger", [value]) => value.trunc(),
        ("toNumber" | "toDouble", [value]) => *value,
        _ => return Ok(None),
    })))
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
    .ok_or_else(|| "an argument is no number".to_owned())
}

/// A number without a fraction as a whole one.
fn whole(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is within the range of i64"
    )]
    if value.fract() == 0.0 && value.abs() < 9.0e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// A method of a value, as Java has it.
pub(super) fn method(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let found = match (value, name, arguments) {
        (value, "toString", []) => Some(json!(text(value)?)),
        (value, "equals", [other]) => Some(json!(value == other)),
        (Value::String(text), name, arguments) => text_method(text, name, arguments)?,
        (Value::Array(items), "size", []) => Some(json!(items.len())),
        (Value::Array(items), "isEmpty", []) => Some(json!(items.is_empty())),
        (Value::Array(items), "contains", [item]) => Some(json!(items.contains(item))),
        (Value::Array(items), "get", [index]) => {
            let item = index
                .as_u64()
                .and_then(|index| items.get(usize::try_from(index).ok()?));
            Some(item.cloned().unwrap_or_default())
        }
        (Value::Object(members), "size", []) => Some(json!(members.len())),
        (Value::Object(members), "isEmpty", []) => Some(json!(members.is_empty())),
        (Value::Object(members), "get", [Value::String(key)]) => {
            Some(members.get(key).cloned().unwrap_or_default())
        }
        (Value::Object(members), "containsKey", [Value::String(key)]) => {
            Some(json!(members.contains_key(key)))
        }
        (Value::Object(members), "keySet", []) => {
            Some(members.keys().map(|key| json!(key)).collect())
        }
        (Value::Number(_), "intValue" | "longValue", []) => Some(whole(number(value)?.trunc())),
        (Value::Number(_), "doubleValue", []) => Some(json!(number(value)?)),
        _ => None,
    };
    found.ok_or_else(|| {
        format!(
            "the method {name} with {} arguments is not understood",
            arguments.len()
        )
    })
}

fn text_method(text: &str, name: &str, arguments: &[Value]) -> Result<Option<Value>, String> {
    let chars = || text.chars().collect::<Vec<char>>();
    let part = |start: &Value, end: Option<&Value>| -> Result<Value, String> {
        let chars = chars();
        let at = |value: &Value| value.as_u64().and_then(|index| usize::try_from(index).ok());
        let end = end.map_or(Some(chars.len()), at);
        at(start)
            .zip(end)
            .and_then(|(start, end)| chars.get(start..end))
            .map(|part| json!(part.iter().collect::<String>()))
            .ok_or_else(|| "substring goes beyond the text".to_owned())
    };
    let index = |found: Option<usize>| match found {
        Some(bytes) => json!(text[..bytes].chars().count()),
        None => json!(-1),
    };
    Ok(Some(match (name, arguments) {
        ("length", []) => json!(text.chars().count()),
        ("isEmpty", []) => json!(text.is_empty()),
        ("toLowerCase", []) => json!(text.to_lowercase()),
        ("toUpperCase", []) => json!(text.to_uppercase()),
        ("trim", []) => json!(text.trim()),
        ("substring", [start]) => part(start, None)?,
        ("substring", [start, end]) => part(start, Some(end))?,
        ("charAt", [at]) => {
            let next = at.as_u64().map(|at| json!(at + 1));
            part(at, next.as_ref())?
        }
        ("contains", [Value::String(inner)]) => json!(text.contains(inner.as_str())),
        ("startsWith", [Value::String(begin)]) => json!(text.starts_with(begin.as_str())),
        ("endsWith", [Value::String(end)]) => json!(text.ends_with(end.as_str())),
        ("equalsIgnoreCase", [Value::String(other)]) => {
            json!(text.to_lowercase() == other.to_lowercase())
        }
        ("indexOf", [Value::String(inner)]) => index(text.find(inner.as_str())),
        ("lastIndexOf", [Value::String(inner)]) => index(text.rfind(inner.as_str())),
        ("concat", [Value::String(more)]) => json!(format!("{text}{more}")),
        ("replace", [Value::String(from), Value::String(to)]) => {
            json!(text.replace(from.as_str(), to))
        }
        ("replaceAll", [Value::String(pattern), Value::String(to)]) => {
            json!(regex(pattern)?.replace_all(text, to.as_str()))
        }
        ("replaceFirst", [Value::String(pattern), Value::String(to)]) => {
            json!(regex(pattern)?.replace(text, to.as_str()))
        }
        ("matches", [Value::String(pattern)]) => {
            json!(regex(&format!("^(?:{pattern})$"))?.is_match(text))
        }
        ("split", [Value::String(pattern)]) => {
            let mut parts: Vec<&str> = regex(pattern)?.split(text).collect();
            // Java leaves empty parts at the end out.
            while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
                parts.pop();
            }
            json!(parts)
        }
        _ => return Ok(None),
    }))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|_| format!("the pattern {pattern:?} is not understood"))
}

/// An operator between two values.
pub(super) fn binary(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    let order = || -> Result<Ordering, String> {
        number(left)?
            .partial_cmp(&number(right)?)
            .ok_or_else(|| "a comparison is of no numbers".to_owned())
    };
    Ok(match operator {
        Operator::Equal => json!(equal(left, right)?),
        Operator::Unequal => json!(!equal(left, right)?),
        Operator::Below => json!(order()? == Ordering::Less),
        Operator::AtMost => json!(order()? != Ordering::Greater),
        Operator::Above => json!(order()? == Ordering::Greater),
        Operator::AtLeast => json!(order()? != Ordering::Less),
        Operator::Add if left.is_string() || right.is_string() => {
            json!(format!("{}{}", text(left)?, text(right)?))
        }
        Operator::Add => whole(number(left)? + number(right)?),
        Operator::Subtract => whole(number(left)? - number(right)?),
        Operator::Multiply => whole(number(left)? * number(right)?),
        Operator::Divide | Operator::Remainder => {
            let (left, right) = (number(left)?, number(right)?);
            if right == 0.0 {
                return Err("a division by zero".to_owned());
            }
            let exact = if operator == Operator::Divide {
                left / right
            } else {
                left % right
            };
            // Between whole numbers Velocity divides without a fraction.
            if left.fract() == 0.0 && right.fract() == 0.0 {
                whole(exact.trunc())
            } else {
                json!(exact)
            }
        }
        Operator::Or | Operator::And => unreachable!("conditions are evaluated by themselves"),
    })
}

/// Numbers by their value, all else as text when the types differ.
fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match (left, right) {
        (Value::Number(_), Value::Number(_)) => {
            number(left)?.partial_cmp(&number(right)?) == Some(Ordering::Equal)
        }
        (Value::Null, other) | (other, Value::Null) => other.is_null(),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            left == right
        }
        _ => text(left)? == text(right)?,
    })
}
