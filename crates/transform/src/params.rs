//! `[params.NAME]` of an action: typed values from outside.

mod parse;
mod value;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::value::{BoundParams, BoundValue};
use crate::{Error, ErrorKind};

/// The declaration of one parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Its value when none is sent; a date may also be `today`, `yesterday` or `tomorrow` (UTC).
    #[serde(default)]
    pub default: Option<Value>,
    /// A regular expression that the whole text must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// The smallest value.
    #[serde(default)]
    pub min: Option<Value>,
    /// The largest value.
    #[serde(default)]
    pub max: Option<Value>,
    /// The values of an enum.
    #[serde(default)]
    pub values: Vec<String>,
    /// Whether the value is personal or secret: it is then recorded as a keyed hash only.
    #[serde(default)]
    pub sensitive: bool,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Text of up to 4,096 bytes.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal number of up to 38 digits, kept exactly.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A day, `2026-01-31`.
    Date,
    /// A moment with its offset, `2026-01-31T12:00:00Z`.
    Timestamp,
    /// One of `values`.
    Enum,
    /// A telephone number in E.164: `+`, then 2 to 15 digits of which the first is not 0.
    Phone,
}

/// Checked declarations.
#[derive(Debug, Clone)]
pub(crate) struct ParamSet(BTreeMap<String, Param>);

#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) spec: ParamSpec,
    pub(crate) pattern: Option<Regex>,
}

impl ParamSet {
    /// Checks names, patterns, ranges, values and defaults.
    pub(crate) fn try_new(specs: BTreeMap<String, ParamSpec>) -> Result<Self, Error> {
        let mut params = BTreeMap::new();
        for (name, spec) in specs {
            let invalid = |why: String| {
                Error::new(ErrorKind::InvalidSpec, format!("parameter `{name}` {why}"))
            };
            if !name.starts_with(|c: char| c.is_ascii_lowercase())
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            {
                return Err(invalid(
                    "must be named with lowercase letters, digits and `_`, a letter first"
                        .to_owned(),
                ));
            }
            let pattern = match &spec.pattern {
                Some(text) => Some(Regex::new(&format!("^(?:{text})$")).map_err(|_error| {
                    invalid(format!(
                        "has a pattern that is no regular expression: {text}"
                    ))
                })?),
                None => None,
            };
            if (spec.kind == ParamType::Enum) == spec.values.is_empty() {
                return Err(invalid(
                    "needs `values` if its type is enum, and only then".to_owned(),
                ));
            }
            params.insert(name, Param { spec, pattern });
        }
        let set = Self(params);
        for (name, param) in &set.0 {
            for text in [&param.spec.min, &param.spec.max].into_iter().flatten() {
                param
                    .spec
                    .kind
                    .parse(name, text, DateTime::UNIX_EPOCH)
                    .map_err(|error| {
                        Error::new(
                            ErrorKind::InvalidSpec,
                            format!("a bound is not of the type: {error}"),
                        )
                    })?;
            }
            if let Some(default) = &param.spec.default {
                param
                    .accept(name, default, DateTime::UNIX_EPOCH)
                    .map_err(|error| {
                        Error::new(
                            ErrorKind::InvalidSpec,
                            format!("the default is not accepted: {error}"),
                        )
                    })?;
            }
        }
        Ok(set)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Param> {
        self.0.get(name)
    }

    /// Values for every parameter: those sent, else the defaults.
    pub(crate) fn bind(
        &self,
        sent: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<BoundParams, Error> {
        if let Some(unknown) = sent.keys().find(|name| !self.contains(name)) {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() {
                "the action has none".to_owned()
            } else {
                format!("known are {known}")
            };
            let unknown: String = unknown
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .take(64)
                .collect();
            return Err(Error::new(
                ErrorKind::InvalidParam,
                format!("there is no parameter `{unknown}`; {known}"),
            ));
        }
        let mut bound = BoundParams::default();
        for (name, param) in &self.0 {
            let value = sent
                .get(name)
                .filter(|value| !value.is_null())
                .or(param.spec.default.as_ref());
            let value = value.ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidParam,
                    format!("the parameter `{name}` is missing and has no default"),
                )
            })?;
            bound.insert(
                name.clone(),
                param.accept(name, value, now)?,
                param.spec.sensitive,
            );
        }
        Ok(bound)
    }
}

impl Param {
    /// The value as the declared type, if pattern, range and values allow it. Errors never hold the value.
    fn accept(&self, name: &str, value: &Value, now: DateTime<Utc>) -> Result<BoundValue, Error> {
        let invalid = |why: String| {
            Error::new(
                ErrorKind::InvalidParam,
                format!("the parameter `{name}` {why}"),
            )
        };
        let spec = &self.spec;
        let bound = spec.kind.parse(name, value, now)?;
        if let (Some(pattern), Some(text)) = (&self.pattern, &spec.pattern)
            && !pattern.is_match(&bound.to_string())
        {
            return Err(invalid(format!("does not match its pattern {text}")));
        }
        if spec.kind == ParamType::Enum && !spec.values.contains(&bound.to_string()) {
            return Err(invalid(format!(
                "must be one of {}",
                spec.values.join(", ")
            )));
        }
        for (limit, is_min) in [(&spec.min, true), (&spec.max, false)] {
            let Some(limit) = limit else { continue };
            let limit = spec.kind.parse(name, limit, now)?;
            let order = bound.compare(&limit);
            if order.is_none_or(|order| if is_min { order.is_lt() } else { order.is_gt() }) {
                return Err(invalid(format!(
                    "must be at {} {limit}",
                    if is_min { "least" } else { "most" }
                )));
            }
        }
        Ok(bound)
    }
}
