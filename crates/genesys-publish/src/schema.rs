//! Values held to the schemas of a contract.

use serde_json::Value;

/// The largest whole number that a flow holds exactly: 2^53 - 1.
const LARGEST_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// Whether a value is as its schema says; the error names the place and not the value.
pub(crate) fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
        return Err(format!(
            "{place} is {} and should be {}",
            kind_of(value),
            kinds.join(" or ")
        ));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{place} is none of the values of its schema"));
    }
    let exact = value
        .as_i64()
        .map(i64::unsigned_abs)
        .or_else(|| value.as_u64());
    if exact.is_some_and(|number| number > LARGEST_SAFE_INTEGER) {
        return Err(format!(
            "{place} is beyond 2^53 - 1, which a flow cannot hold exactly"
        ));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{place} lacks {name:?}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(property) => check(property, member, &format!("{place}/{name}"))?,
            None if schema["additionalProperties"] == Value::Bool(false) => {
                return Err(format!("{place} has {name:?}, which its schema does not"));
            }
            None => {}
        }
    }
    if schema["items"].is_object() {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            check(&schema["items"], item, &format!("{place}/{index}"))?;
        }
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_and_their_schemas() {
        let schema = json!({
            "type": "object",
            "required": ["a"],
            "additionalProperties": false,
            "properties": {
                "a": { "type": "string", "enum": ["x", "y"] },
                "n": { "type": ["integer", "null"] },
                "l": { "type": "array", "items": { "type": "number" } },
            },
        });
        for (value, problem) in [
            (json!({"a": "x", "n": 1, "l": [1, 2.5]}), ""),
            (json!({"a": "x", "n": null}), ""),
            (json!([]), "is an array and should be object"),
            (json!({"n": 1}), "lacks \"a\""),
            (json!({"a": "z"}), "none of the values"),
            (json!({"a": null}), "/a is null and should be string"),
            (
                json!({"a": "x", "n": 1.5}),
                "/n is a number and should be integer or null",
            ),
            (json!({"a": "x", "l": [1, "2"]}), "/l/1 is a string"),
            (json!({"a": "x", "b": 1}), "has \"b\""),
            (json!({"a": "x", "n": 9_007_199_254_740_992_u64}), "2^53"),
            (json!({"a": "x", "n": -9_007_199_254_740_991_i64}), ""),
        ] {
            let found = check(&schema, &value, "it").err().unwrap_or_default();
            assert!(
                found.contains(problem) && found.is_empty() == problem.is_empty(),
                "{value}: {found}"
            );
        }
    }
}
