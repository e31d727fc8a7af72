//! A parsed path, and what it finds.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone)]
pub(crate) struct JsonPath {
    pub(super) segments: Vec<Segment>,
    pub(super) function: Option<Function>,
}

/// One step from values to values.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Whether it looks at every depth.
    pub(super) deep: bool,
    pub(super) selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
pub(super) enum Selector {
    Name(String),
    /// From the end when negative.
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Every,
    Filter(Filter),
}

/// A function at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Function {
    Length,
    Min,
    Max,
    Sum,
    Average,
}

impl JsonPath {
    /// What the path finds. A path that can find several values always gives a list, possibly empty; any other gives
    /// nothing when its value is missing.
    pub(crate) fn find(&self, document: &Value) -> Option<Value> {
        let found = self.select(document, document);
        let found = if self.is_definite() {
            found.first().map(|value| (*value).clone())?
        } else {
            Value::Array(found.into_iter().cloned().collect())
        };
        match self.function {
            None => Some(found),
            Some(function) => function.apply(&found),
        }
    }

    /// Whether it can find one value at most.
    fn is_definite(&self) -> bool {
        self.segments.iter().all(|segment| {
            !segment.deep
                && matches!(
                    segment.selectors.as_slice(),
                    [Selector::Name(_) | Selector::Index(_)]
                )
        })
    }

    fn select<'a>(&self, from: &'a Value, root: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![from];
        for segment in &self.segments {
            let mut next = Vec::new();
            for value in found {
                segment.select(value, root, &mut next);
            }
            found = next;
        }
        found
    }
}

impl Segment {
    fn select<'a>(&self, value: &'a Value, root: &'a Value, into: &mut Vec<&'a Value>) {
        for selector in &self.selectors {
            selector.select(value, root, into);
        }
        if self.deep {
            for child in children(value) {
                self.select(child, root, into);
            }
        }
    }
}

impl Selector {
    fn select<'a>(&self, value: &'a Value, root: &'a Value, into: &mut Vec<&'a Value>) {
        match self {
            Self::Name(name) => into.extend(value.as_object().and_then(|object| object.get(name))),
            Self::Index(index) => {
                into.extend(
                    value
                        .as_array()
                        .and_then(|list| list.get(at(list, *index)?)),
                );
            }
            Self::Slice(start, end) => {
                let Some(list) = value.as_array() else { return };
                let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                let bound = |bound: i64| {
                    let bound = if bound < 0 { bound + length } else { bound };
                    usize::try_from(bound.clamp(0, length)).unwrap_or(0)
                };
                let (start, end) = (bound(start.unwrap_or(0)), bound(end.unwrap_or(length)));
                into.extend(list.get(start..end).unwrap_or_default());
            }
            Self::Every => into.extend(children(value)),
            Self::Filter(filter) => match value {
                Value::Array(list) => {
                    into.extend(list.iter().filter(|item| filter.holds(item, root)));
                }
                Value::Object(_) if filter.holds(value, root) => into.push(value),
                _ => {}
            },
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

fn at(list: &[Value], index: i64) -> Option<usize> {
    if index < 0 {
        list.len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

impl Function {
    fn apply(self, value: &Value) -> Option<Value> {
        let list = match (self, value) {
            (Self::Length, Value::Object(members)) => return Some(members.len().into()),
            (Self::Length, Value::String(text)) => return Some(text.chars().count().into()),
            (_, Value::Array(list)) => list,
            _ => return None,
        };
        if self == Self::Length {
            return Some(list.len().into());
        }
        let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
        if numbers.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a list is never that long")]
        let count = numbers.len() as f64;
        Some(Value::from(match self {
            Self::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Average => numbers.iter().sum::<f64>() / count,
            _ => numbers.iter().sum(),
        }))
    }
}

/// A condition on one value of a list.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    Exists(Operand),
    Compares(Operand, Comparison, Operand),
    Matches(Operand, Regex),
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// A path, and whether it starts at the document instead of the value.
    Path(JsonPath, bool),
    Literal(Value),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
    In,
    NotIn,
}

impl Filter {
    fn holds(&self, value: &Value, root: &Value) -> bool {
        match self {
            Self::Any(any) => any.iter().any(|filter| filter.holds(value, root)),
            Self::All(all) => all.iter().all(|filter| filter.holds(value, root)),
            Self::Not(filter) => !filter.holds(value, root),
            Self::Exists(operand) => operand.of(value, root).is_some(),
            Self::Matches(operand, regex) => operand
                .of(value, root)
                .is_some_and(|found| found.as_str().is_some_and(|text| regex.is_match(text))),
            Self::Compares(left, comparison, right) => comparison.holds(
                left.of(value, root).as_ref(),
                right.of(value, root).as_ref(),
            ),
        }
    }
}

impl Operand {
    fn of(&self, value: &Value, root: &Value) -> Option<Value> {
        match self {
            Self::Literal(literal) => Some(literal.clone()),
            Self::Path(path, from_root) => path.find(if *from_root { root } else { value }),
        }
    }
}

impl Comparison {
    fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let order = || match (left?, right?) {
            (Value::Number(left), Value::Number(right)) => {
                left.as_f64()?.partial_cmp(&right.as_f64()?)
            }
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            _ => None,
        };
        let equal = || match (left, right) {
            (Some(Value::Number(_)), Some(Value::Number(_))) => order() == Some(Ordering::Equal),
            (left, right) => left == right,
        };
        let among = || {
            let list = right.and_then(Value::as_array);
            list.is_some_and(|list| left.is_some_and(|left| list.contains(left)))
        };
        match self {
            Self::Equal => equal(),
            Self::Unequal => !equal(),
            Self::Below => order() == Some(Ordering::Less),
            Self::AtMost => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Self::Above => order() == Some(Ordering::Greater),
            Self::AtLeast => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            Self::In => among(),
            Self::NotIn => !among(),
        }
    }
}
