//! `[params.NAME]` of an action: typed values from outside.

mod parse;
mod relative;
mod value;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::parse::is_e164;
use self::relative::Now;
pub use self::value::{BoundParams, BoundValue};
use crate::{Error, ErrorKind, sent_name};

/// The declaration of one parameter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// The type of a list's items: any type but `list`.
    #[serde(default)]
    pub items: Option<ParamType>,
    /// Its value when none is sent. A date may also be `today`, `yesterday`, `tomorrow` or an offset from today such as
    /// `-7d`, `+2w`, `-1mo`, `-1y`; a timestamp also `now`, `-30min`, `-12h`, or the beginning of such a day.
    #[serde(default)]
    pub default: Option<Value>,
    /// The zone whose calendar such days are of, and whose clock a timestamp without an offset is read on; a name of the
    /// IANA database such as `Europe/Berlin`. UTC when left out.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Most items of a list; 1,000 when left out.
    #[serde(default)]
    pub max_items: Option<usize>,
    /// A regular expression that the whole text must match; of a list, the text of each item.
    #[serde(default)]
    pub pattern: Option<String>,
    /// The smallest value, or item of a list.
    #[serde(default)]
    pub min: Option<Value>,
    /// The largest value, or item of a list.
    #[serde(default)]
    pub max: Option<Value>,
    /// The values of an enum, or of a list of enums.
    #[serde(default)]
    pub values: Vec<String>,
    /// Whether the value is personal or secret: it is then recorded as a keyed hash only. Left out: telephone numbers are, also
    /// those in texts, and nothing else.
    #[serde(default)]
    pub sensitive: Option<bool>,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// Any number of values of the type `items`, for `IN ($name)`.
    List,
}

impl ParamSpec {
    /// A parameter of a type, without a default.
    #[must_use]
    pub fn of(kind: ParamType) -> Self {
        Self {
            kind,
            items: None,
            default: None,
            time_zone: None,
            max_items: None,
            pattern: None,
            min: None,
            max: None,
            values: Vec::new(),
            sensitive: None,
            description: String::new(),
        }
    }
}

/// Most items of a list that does not say otherwise.
const DEFAULT_MAX_ITEMS: usize = 1000;
/// Most items that a list can be allowed to have: each is a literal in the plan.
const LARGEST_MAX_ITEMS: usize = 10_000;
/// Largest compiled pattern in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Checked declarations.
#[derive(Debug, Clone)]
pub(crate) struct ParamSet(BTreeMap<String, Param>);

#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) spec: ParamSpec,
    pattern: Option<Regex>,
    zone: Tz,
}

impl ParamSet {
    /// Checks names, patterns, ranges, values and defaults.
    pub(crate) fn try_new(specs: BTreeMap<String, ParamSpec>) -> Result<Self, Error> {
        let params = specs.into_iter().map(|(name, spec)| {
            let param = Param::try_new(&name, spec)?;
            Ok((name, param))
        });
        Ok(Self(params.collect::<Result<_, Error>>()?))
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
        self.bind_or(sent, now, |_, _| None)
    }

    /// Values for every parameter: those sent, else the defaults, else what `missing` gives.
    pub(crate) fn bind_or(
        &self,
        sent: &Map<String, Value>,
        now: DateTime<Utc>,
        missing: impl Fn(&str, &ParamSpec) -> Option<BoundValue>,
    ) -> Result<BoundParams, Error> {
        if let Some(unknown) = sent.keys().find(|name| !self.contains(name)) {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() {
                "the action has none".to_owned()
            } else {
                format!("known are {known}")
            };
            let unknown = sent_name(unknown);
            return Err(Error::new(
                ErrorKind::InvalidParam,
                format!("there is no parameter `{unknown}`; {known}"),
            ));
        }
        let mut bound = BoundParams::at(now);
        for (name, param) in &self.0 {
            let value = sent
                .get(name)
                .filter(|value| !value.is_null())
                .or(param.spec.default.as_ref());
            let value = match value {
                Some(value) => param.accept(name, value, now)?,
                None => missing(name, &param.spec).ok_or_else(|| {
                    let what = if sent.contains_key(name) {
                        "null"
                    } else {
                        "missing"
                    };
                    Error::new(
                        ErrorKind::InvalidParam,
                        format!("the parameter `{name}` is {what} and has no default"),
                    )
                })?,
            };
            let sensitive = param.spec.is_sensitive()
                || (param.spec.sensitive.is_none() && value.holds_telephone_number());
            bound.insert(name.clone(), value, sensitive);
        }
        Ok(bound)
    }
}

impl Param {
    fn try_new(name: &str, spec: ParamSpec) -> Result<Self, Error> {
        let invalid = |why: &str| {
            Error::new(
                ErrorKind::InvalidParamSpec,
                format!("parameter `{name}` {why}"),
            )
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(plain) {
            return Err(invalid(
                "must be named with lowercase letters, digits and `_`, a letter first",
            ));
        }
        if (spec.kind == ParamType::List)
            != spec.items.is_some_and(|items| items != ParamType::List)
        {
            return Err(invalid(
                "needs `items`, which is any type but list, if its type is list, and only then",
            ));
        }
        if spec.kind != ParamType::List && spec.max_items.is_some() {
            return Err(invalid("is no list and cannot have `max_items`"));
        }
        if !(1..=LARGEST_MAX_ITEMS).contains(&spec.most_items()) {
            return Err(invalid("must have `max_items` from 1 to 10000"));
        }
        if (spec.item_kind() == ParamType::Enum) == spec.values.is_empty() {
            return Err(invalid("needs `values` if its type is enum, and only then"));
        }
        let zone = match &spec.time_zone {
            None => Tz::UTC,
            Some(text) => text.parse().map_err(|_error| {
                invalid(
                    "has a time_zone that is no name of the IANA database, such as Europe/Berlin",
                )
            })?,
        };
        let compiled = spec.pattern.as_ref().map(|text| {
            RegexBuilder::new(&format!("^(?:{text})$"))
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|_error| {
                    invalid(&format!(
                        "has a pattern that is no regular expression, or a very large one: {text}"
                    ))
                })
        });
        let pattern = compiled.transpose()?;
        let param = Self {
            spec,
            pattern,
            zone,
        };
        param.check_defaults(name)?;
        Ok(param)
    }

    /// Bounds and default must be of the type, and the default within the bounds.
    fn check_defaults(&self, name: &str) -> Result<(), Error> {
        let invalid = |what: &str| {
            let what = what.to_owned();
            move |error: Error| Error::new(ErrorKind::InvalidParamSpec, format!("{what}: {error}"))
        };
        for bound in [&self.spec.min, &self.spec.max].into_iter().flatten() {
            let bound = self
                .spec
                .item_kind()
                .parse(name, bound, self.now(DateTime::UNIX_EPOCH))
                .map_err(invalid("a bound is not of the type"))?;
            if bound.compare(&bound).is_none() {
                return Err(Error::new(
                    ErrorKind::InvalidParamSpec,
                    format!(
                        "parameter `{name}` is of a type without an order and cannot have bounds"
                    ),
                ));
            }
        }
        if let Some(default) = &self.spec.default {
            // A relative default may be within relative bounds on one day and not on another.
            self.accept(name, default, DateTime::UNIX_EPOCH)
                .map_err(invalid("the default is not accepted"))?;
        }
        Ok(())
    }

    const fn now(&self, moment: DateTime<Utc>) -> Now {
        Now {
            moment,
            zone: self.zone,
        }
    }

    /// The value as the declared type, if pattern, range and values allow it. Errors never hold the value.
    fn accept(&self, name: &str, value: &Value, now: DateTime<Utc>) -> Result<BoundValue, Error> {
        if self.spec.kind != ParamType::List {
            return self.accept_one(name, value, now);
        }
        let invalid = |why: String| {
            let message = format!("the parameter `{name}` {why}");
            Error::new(ErrorKind::InvalidParam, message)
        };
        let items = parse::items(value).ok_or_else(|| {
            invalid("must be a list, or text with commas between its items".to_owned())
        })?;
        if items.len() > self.spec.most_items() {
            return Err(invalid(format!(
                "has more than {} items",
                self.spec.most_items()
            )));
        }
        let items = items
            .iter()
            .map(|item| self.accept_one(name, item, now))
            .collect::<Result<_, _>>()?;
        let list = BoundValue::List(self.spec.item_kind(), items);
        if list.is_too_precise() {
            return Err(invalid(
                "has items that need more than 38 digits in one column".to_owned(),
            ));
        }
        Ok(list)
    }

    /// One value, or one item of a list.
    fn accept_one(
        &self,
        name: &str,
        value: &Value,
        now: DateTime<Utc>,
    ) -> Result<BoundValue, Error> {
        let spec = &self.spec;
        let part = if spec.kind == ParamType::List {
            "an item of "
        } else {
            ""
        };
        let invalid = |why: String| {
            let message = format!("{part}the parameter `{name}` {why}");
            Error::new(ErrorKind::InvalidParam, message)
        };
        let bound = spec.item_kind().parse(name, value, self.now(now))?;
        if let (Some(pattern), Some(text)) = (&self.pattern, &spec.pattern)
            && !pattern.is_match(&bound.to_string())
        {
            return Err(invalid(format!("does not match its pattern {text}")));
        }
        if !spec.values.is_empty() && !spec.values.contains(&bound.to_string()) {
            return Err(invalid(format!(
                "must be one of {}",
                spec.values.join(", ")
            )));
        }
        for (limit, is_min) in [(&spec.min, true), (&spec.max, false)] {
            let Some(limit) = limit else { continue };
            let limit = spec.item_kind().parse(name, limit, self.now(now))?;
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

impl ParamSpec {
    /// The type of one value: of the parameter, or of the items of a list.
    fn item_kind(&self) -> ParamType {
        self.items.unwrap_or(self.kind)
    }

    /// Whether the value is personal or secret.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
            .unwrap_or(self.item_kind() == ParamType::Phone)
    }

    /// Most items of a list.
    #[must_use]
    pub fn most_items(&self) -> usize {
        self.max_items.unwrap_or(DEFAULT_MAX_ITEMS)
    }
}
