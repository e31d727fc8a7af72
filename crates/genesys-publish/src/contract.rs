//! Contracts: what goes into a data action and what comes out.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};
use crate::rules::violations;

/// A type that a contract can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// Text; also dates, times and whatever else has no type of its own.
    String,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Number,
    /// True or false.
    Boolean,
}

impl ValueType {
    /// The word of JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Digits of a decimal that a double keeps, whatever they are.
const EXACT_DIGITS: u32 = 15;

/// How many digits a type such as `decimal128(10, 2)` has; none when it does not say.
fn digits(name: &str) -> u32 {
    name.split_once('(')
        .and_then(|(_, inner)| inner.split([',', ')']).next())
        .and_then(|digits| digits.trim().parse().ok())
        .unwrap_or(0)
}

/// The types as SQL and configuration files name them: `bigint`, `double`, `date`, `text`…
impl FromStr for ValueType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let name = name.to_ascii_lowercase();
        if let Some(values) = name
            .strip_prefix("dictionary(")
            .and_then(|inner| inner.strip_suffix(')'))
            .and_then(|inner| inner.split_once(", "))
        {
            return values.1.parse();
        }
        let base = name.split(['(', ' ']).next().unwrap_or_default();
        match base {
            "string" | "text" | "varchar" | "char" | "utf8" | "largeutf8" | "utf8view" | "uuid"
            | "date" | "date32" | "date64" | "time" | "time32" | "time64" | "timestamp"
            | "timestamptz" | "datetime" | "interval" | "duration" => Ok(Self::String),
            "integer" | "int" | "bigint" | "smallint" | "tinyint" | "int8" | "int16" | "int32"
            | "int64" | "uint8" | "uint16" | "uint32" | "uint64" => Ok(Self::Integer),
            _ if base.starts_with("decimal") && digits(&name) > EXACT_DIGITS => Err(Error::new(
                ErrorKind::InvalidSetting,
                format!(
                    "a flow holds {EXACT_DIGITS} digits of a number exactly and {name:?} can have more, \
                     cast it to double or to text in the SELECT"
                ),
            )),
            "number" | "double" | "float" | "real" | "decimal" | "numeric" | "float16"
            | "float32" | "float64" | "decimal128" | "decimal256" => Ok(Self::Number),
            "boolean" | "bool" => Ok(Self::Boolean),
            _ => Err(Error::new(
                ErrorKind::InvalidSetting,
                format!(
                    "the type {name:?} has no counterpart in a contract, cast it in the SELECT"
                ),
            )),
        }
    }
}

/// One input or one output column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in SQL, contract and flow.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// Whether a flow must give it. Meaningless for outputs.
    pub required: bool,
    /// Whether it can be null. Meaningless for inputs.
    pub nullable: bool,
    /// What the author of a flow should know.
    pub description: Option<String>,
}

impl Field {
    /// A field that must be given.
    #[must_use]
    pub fn new(name: impl Into<String>, value_type: ValueType) -> Self {
        Self {
            name: name.into(),
            value_type,
            required: true,
            nullable: false,
            description: None,
        }
    }

    /// The field of a column of an answer, of an Arrow type such as `Int64`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] when a flow cannot hold values of the type.
    pub fn of_column(name: &str, data_type: &str, nullable: bool) -> Result<Self, Error> {
        let field = Self::new(name, data_type.parse()?);
        Ok(if nullable { field.nullable() } else { field })
    }

    /// The same field, not required.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// The same field, as a column that can be null.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same field with a description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(crate) fn schema(&self) -> Value {
        let mut schema = json!({ "type": self.value_type.as_str() });
        if let Some(description) = &self.description {
            schema["description"] = json!(description);
        }
        schema
    }
}

/// Inputs and outputs, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    input: Value,
    output: Value,
}

impl Contract {
    /// A contract from its two schemas.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] naming every rule that they break.
    pub fn try_new(input: Value, output: Value) -> Result<Self, Error> {
        let violations = violations(&input, &output);
        if violations.is_empty() {
            Ok(Self { input, output })
        } else {
            Err(Error::broken(violations))
        }
    }

    /// The input schema.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
    }

    /// The success schema.
    #[must_use]
    pub fn output(&self) -> &Value {
        &self.output
    }
}

/// An object schema of these properties.
pub(crate) fn object_schema(
    title: &str,
    properties: &Map<String, Value>,
    required: &[&str],
) -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": true,
    });
    // This version of JSON schema forbids an empty list here.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_their_sql_names() {
        for (name, expected) in [
            ("BIGINT", ValueType::Integer),
            ("Decimal128(10, 2)", ValueType::Number),
            ("timestamp", ValueType::String),
            ("Timestamp(Microsecond, None)", ValueType::String),
            ("bool", ValueType::Boolean),
            ("Dictionary(Int32, Utf8)", ValueType::String),
            ("Decimal128(15, 2)", ValueType::Number),
        ] {
            assert_eq!(name.parse::<ValueType>().unwrap(), expected, "{name}");
        }
        assert_eq!(
            "List(Utf8)".parse::<ValueType>().unwrap_err().kind(),
            ErrorKind::InvalidSetting
        );
        let wide = "Decimal128(16, 2)".parse::<ValueType>().unwrap_err();
        assert!(wide.to_string().contains("cast it to double"), "{wide}");
    }
}
