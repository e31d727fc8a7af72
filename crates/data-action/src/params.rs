//! Parameters out of JSON, with all digits of their numbers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

/// The members of a JSON object. A number with more digits than a double holds is given as its text, which parameters of the
/// types `integer` and `decimal` take as well.
///
/// # Errors
/// What is no JSON object.
pub fn parameters(json: &[u8]) -> serde_json::Result<Map<String, Value>> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(json)?;
    let members = members.into_iter();
    members
        .map(|(name, raw)| Ok((name, exact(raw.get())?)))
        .collect()
}

fn exact(raw: &str) -> serde_json::Result<Value> {
    if raw.starts_with('[') {
        let items: Vec<Box<RawValue>> = serde_json::from_str(raw)?;
        let items = items.iter().map(|item| exact(item.get()));
        return Ok(Value::Array(items.collect::<Result<_, _>>()?));
    }
    let value: Value = serde_json::from_str(raw)?;
    Ok(match &value {
        Value::Number(number) if !is_same(&number.to_string(), raw) => {
            Value::String(raw.to_owned())
        }
        _ => value,
    })
}

/// Whether two numbers have the same digits, zeros at the end of a fraction aside. One with an exponent is as it is.
fn is_same(kept: &str, raw: &str) -> bool {
    if raw.contains(['e', 'E']) {
        return true;
    }
    let shortest = |text: &str| match text.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() {
                whole.to_owned()
            } else {
                format!("{whole}.{fraction}")
            }
        }
        None => text.to_owned(),
    };
    shortest(kept) == shortest(raw)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parameters;

    #[test]
    fn numbers_keep_their_digits() {
        let body = br#"{"a": 1234567890123456.78, "b": [0.1, 12345678901234567890123], "c": 1.50, "d": 7, "e": "x", "f": null, "g": 18446744073709551615, "h": 1e3, "i": 0.30000000000000001, "j": {"k": 1}}"#;
        let expected = json!({
            "a": "1234567890123456.78", "b": [0.1, "12345678901234567890123"], "c": 1.5, "d": 7, "e": "x", "f": null,
            "g": 18_446_744_073_709_551_615_u64, "h": 1000.0, "i": "0.30000000000000001", "j": { "k": 1 },
        });
        assert_eq!(json!(parameters(body).unwrap()), expected);
    }

    #[test]
    fn what_is_no_object_is_an_error_with_its_place() {
        assert!(parameters(b"[1]").is_err());
        let error = parameters(b"{\"a\": 1,\n \"b\": }").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 7));
    }
}
