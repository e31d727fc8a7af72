//! Parameters out of JSON, with all digits of their numbers, and no name twice.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

/// How deep values are read. No type of a parameter is deeper than a list; each level is read once more than the one around it.
const MOST_LEVELS: u32 = 8;

/// A text that is no object of parameters. It names the position and not the content, which may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotParameters {
    what: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for NotParameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, line, column } = self;
        write!(formatter, "{what}, at line {line}, column {column}")
    }
}

impl std::error::Error for NotParameters {}

/// The members of a JSON object. A number with more digits than a double holds is given as its text, which parameters of the
/// types `integer` and `decimal` take as well.
///
/// # Errors
/// What is no JSON object, and an object in which a name stands twice: readers differ in which of the two they take.
pub fn parameters(json: &[u8]) -> Result<Map<String, Value>, NotParameters> {
    let what = Cell::new("not a JSON object");
    let object = Object {
        levels: MOST_LEVELS,
        what: &what,
    };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let members = object.deserialize(&mut reader);
    let members = members.and_then(|members| reader.end().map(|()| members));
    members.map_err(|error| NotParameters {
        what: what.get(),
        // The reader counts a place before the first character.
        line: error.line().max(1),
        column: error.column().max(1),
    })
}

/// Reads an object; `what` says what is wrong with it, when it is read no further.
#[derive(Clone, Copy)]
struct Object<'a> {
    levels: u32,
    what: &'a Cell<&'static str>,
}

impl Object<'_> {
    fn exact(self, raw: &str) -> serde_json::Result<Value> {
        let Some(levels) = self.levels.checked_sub(1) else {
            self.what.set("a value is nested too deep");
            return Err(serde_json::Error::custom("too deep"));
        };
        let inner = Self { levels, ..self };
        match raw.as_bytes().first() {
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(raw)?;
                let items = items.iter().map(|item| inner.exact(item.get()));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Some(b'{') => {
                let mut reader = serde_json::Deserializer::from_str(raw);
                Ok(Value::Object(inner.deserialize(&mut reader)?))
            }
            Some(b'-' | b'0'..=b'9') => scalar(raw).inspect_err(|_beyond_double| {
                self.what.set("a number is too large");
            }),
            _ => scalar(raw),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let raw: &RawValue = members.next_value()?;
            // The error of a part has a position of its own; this one has that of the whole.
            let value = self
                .exact(raw.get())
                .map_err(|_| A::Error::custom("no value"))?;
            if object.insert(name, value).is_some() {
                self.what.set("a name stands twice in an object");
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(object)
    }
}

fn scalar(raw: &str) -> serde_json::Result<Value> {
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
    use serde_json::{Value, json};

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
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (text, what) in [
            ("[1]", "not a JSON object"),
            ("7", "not a JSON object"),
            ("{\"a\": 1,\n \"b\": }", "not a JSON object"),
            ("{\"a\": 1} {}", "not a JSON object"),
            ("{\"a\": -1e999}", "a number is too large"),
            ("{\"a\": [0, 1e400]}", "a number is too large"),
            ("{\"a\": \"\\ud800\"}", "not a JSON object"),
            (&deep, "a value is nested too deep"),
        ] {
            let error = parameters(text.as_bytes()).unwrap_err();
            assert_eq!(error.what, what, "{error}");
        }
        for start in ["[]", "7", ""] {
            let error = parameters(start.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), (1, 1), "{start}");
        }
        let error = parameters(b"{\"a\": 1,\n \"b\": }").unwrap_err();
        assert_eq!((error.line, error.column), (2, 7));
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error_wherever_it_stands() {
        for text in [
            "{\"a\": 1, \"a\": 1}",
            "{\"a\": 1, \"\\u0061\": 2}",
            "{\"b\": {\"a\": 1, \"c\": 2, \"a\": 3}}",
            "{\"b\": [{\"a\": 1, \"c\": 2, \"a\": 3}]}",
        ] {
            let error = parameters(text.as_bytes()).unwrap_err();
            assert_eq!(error.what, "a name stands twice in an object", "{text}");
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
        assert!(parameters(b"{\"b\": [{\"a\": 1}, {\"a\": 1}], \"a\": 1}").is_ok());
    }
}
