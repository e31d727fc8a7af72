//! Condition operators, and how they look at the context of a request.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::pattern::Pattern;

/// One operator on one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    operator: Operator,
    negated: bool,
    if_exists: bool,
    pub(crate) key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Single,
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    pub(crate) fn try_new(operator: &str, key: &str, values: Vec<String>) -> Result<Self, String> {
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::ForAllValues, name),
            Some(("ForAnyValue", name)) => (Quantifier::ForAnyValue, name),
            Some(_) => return Err(format!("Invalid Condition type : {operator}")),
            None => (Quantifier::Single, operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (operator, negated) =
            operator_of(name).ok_or_else(|| format!("Invalid Condition type : {operator}"))?;
        if operator == Operator::Null && if_exists {
            return Err("Invalid Condition type : NullIfExists".to_owned());
        }
        Ok(Self {
            quantifier,
            operator,
            negated,
            if_exists,
            key: key.to_owned(),
            values,
        })
    }

    /// Whether the request meets it. Keys the context lacks are noted in `missing`.
    pub(crate) fn holds(
        &self,
        context: &Context,
        has_variables: bool,
        missing: &mut BTreeSet<String>,
    ) -> bool {
        let present = context.get(&self.key);
        if self.operator == Operator::Null {
            let wants_absent = self.values.iter().any(|value| value == "true");
            return present.is_none() == wants_absent;
        }
        let Some(actual) = present else {
            missing.insert(self.key.clone());
            return self.if_exists
                || match self.quantifier {
                    Quantifier::Single => self.negated,
                    Quantifier::ForAllValues => true,
                    Quantifier::ForAnyValue => false,
                };
        };
        let mut meets = |value: &String| {
            let any = self
                .values
                .iter()
                .any(|wanted| self.same(wanted, value, context, has_variables, missing));
            any != self.negated
        };
        match self.quantifier {
            Quantifier::ForAllValues => actual.iter().all(meets),
            Quantifier::Single if self.negated => actual.iter().all(meets),
            Quantifier::Single | Quantifier::ForAnyValue => actual.iter().any(&mut meets),
        }
    }

    fn same(
        &self,
        wanted: &str,
        actual: &str,
        context: &Context,
        has_variables: bool,
        missing: &mut BTreeSet<String>,
    ) -> bool {
        let pattern = || {
            if has_variables {
                Pattern::expand(wanted, context)
            } else {
                Ok(Pattern::new(wanted))
            }
        };
        let literal = || expand_literal(wanted, context, has_variables);
        let outcome = match self.operator {
            Operator::StringEquals | Operator::Binary => literal().map(|wanted| wanted == actual),
            Operator::StringEqualsIgnoreCase => {
                literal().map(|wanted| wanted.to_lowercase() == actual.to_lowercase())
            }
            Operator::StringLike => pattern().map(|pattern| pattern.matches(actual)),
            Operator::Arn => Ok(arn_like(wanted, actual, context, has_variables)),
            Operator::Numeric(order) => Ok(numeric(order, wanted, actual)),
            Operator::Date(order) => Ok(date(order, wanted, actual)),
            Operator::Bool => Ok(wanted.eq_ignore_ascii_case(actual)),
            Operator::IpAddress => Ok(ip_in(wanted, actual)),
            Operator::Null => Ok(false),
        };
        outcome.unwrap_or_else(|key| {
            missing.insert(key);
            false
        })
    }
}

fn operator_of(name: &str) -> Option<(Operator, bool)> {
    let order = |name: &str| match name {
        "Equals" => Some((Order::Equal, false)),
        "NotEquals" => Some((Order::Equal, true)),
        "LessThan" => Some((Order::Less, false)),
        "LessThanEquals" => Some((Order::LessOrEqual, false)),
        "GreaterThan" => Some((Order::Greater, false)),
        "GreaterThanEquals" => Some((Order::GreaterOrEqual, false)),
        _ => None,
    };
    if let Some(rest) = name.strip_prefix("Numeric") {
        return order(rest).map(|(order, negated)| (Operator::Numeric(order), negated));
    }
    if let Some(rest) = name.strip_prefix("Date") {
        return order(rest).map(|(order, negated)| (Operator::Date(order), negated));
    }
    Some(match name {
        "StringEquals" => (Operator::StringEquals, false),
        "StringNotEquals" => (Operator::StringEquals, true),
        "StringEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, true),
        "StringLike" => (Operator::StringLike, false),
        "StringNotLike" => (Operator::StringLike, true),
        "Bool" => (Operator::Bool, false),
        "BinaryEquals" => (Operator::Binary, false),
        "IpAddress" => (Operator::IpAddress, false),
        "NotIpAddress" => (Operator::IpAddress, true),
        "ArnEquals" | "ArnLike" => (Operator::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Operator::Arn, true),
        "Null" => (Operator::Null, false),
        _ => return None,
    })
}

/// A value with its variables replaced, `*` and `?` being ordinary characters.
fn expand_literal(text: &str, context: &Context, has_variables: bool) -> Result<String, String> {
    if !has_variables || !text.contains("${") {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        out.push_str(&rest[..start]);
        let key = &rest[start + 2..start + length];
        match context.get(key) {
            Some([value]) => out.push_str(value),
            _ => return Err(key.to_owned()),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Each of the six parts of an ARN is compared by itself.
fn arn_like(wanted: &str, actual: &str, context: &Context, has_variables: bool) -> bool {
    let wanted: Vec<&str> = wanted.splitn(6, ':').collect();
    let actual: Vec<&str> = actual.splitn(6, ':').collect();
    wanted.len() == actual.len()
        && wanted.iter().zip(&actual).all(|(wanted, actual)| {
            let pattern = if has_variables {
                Pattern::expand(wanted, context)
            } else {
                Ok(Pattern::new(wanted))
            };
            pattern.is_ok_and(|pattern| pattern.matches(actual))
        })
}

fn compare<T: PartialOrd>(order: Order, actual: &T, wanted: &T) -> bool {
    match order {
        Order::Equal => actual == wanted,
        Order::Less => actual < wanted,
        Order::LessOrEqual => actual <= wanted,
        Order::Greater => actual > wanted,
        Order::GreaterOrEqual => actual >= wanted,
    }
}

fn numeric(order: Order, wanted: &str, actual: &str) -> bool {
    match (actual.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(actual), Ok(wanted)) => compare(order, &actual, &wanted),
        _ => false,
    }
}

fn date(order: Order, wanted: &str, actual: &str) -> bool {
    match (moment(actual), moment(wanted)) {
        (Some(actual), Some(wanted)) => compare(order, &actual, &wanted),
        _ => false,
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = text.parse::<i64>() {
        return DateTime::from_timestamp(seconds, 0);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.to_utc())
        .ok()
}

/// Whether an address lies in a network such as `203.0.113.0/24`; a bare address is itself.
fn ip_in(network: &str, address: &str) -> bool {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Ok(address), Some(bits)) =
        (base.parse::<IpAddr>(), address.parse::<IpAddr>(), bits)
    else {
        return false;
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            u32::from(base) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            u128::from(base) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: &str, values: &[&str], actual: Option<&[&str]>, expected: bool) {
        let condition = Condition::try_new(
            operator,
            "aws:Key",
            values.iter().map(|value| (*value).to_owned()).collect(),
        )
        .unwrap();
        let mut context = Context::default().with("aws:username", ["ada"]);
        if let Some(actual) = actual {
            context = context.with("AWS:KEY", actual.iter().copied());
        }
        let mut missing = BTreeSet::new();
        assert_eq!(
            condition.holds(&context, true, &mut missing),
            expected,
            "{operator} {values:?} {actual:?}"
        );
    }

    #[test]
    fn operators() {
        check("StringEquals", &["a", "b"], Some(&["b"]), true);
        check("StringEquals", &["a*"], Some(&["ab"]), false);
        check("StringEquals", &["${aws:username}"], Some(&["ada"]), true);
        check("StringEquals", &["a"], None, false);
        check("StringEqualsIfExists", &["a"], None, true);
        check("StringNotEquals", &["a"], None, true);
        check("StringNotEquals", &["a", "b"], Some(&["b"]), false);
        check("StringEqualsIgnoreCase", &["AbC"], Some(&["aBc"]), true);
        check("StringLike", &["exports/*"], Some(&["exports/x"]), true);
        check("StringNotLike", &["exports/*"], Some(&["exports/x"]), false);
        check("Bool", &["true"], Some(&["true"]), true);
        check("Bool", &["false"], Some(&["true"]), false);
        check("NumericLessThan", &["10"], Some(&["9.5"]), true);
        check("NumericLessThan", &["10"], Some(&["x"]), false);
        check(
            "DateGreaterThan",
            &["2026-01-01T00:00:00Z"],
            Some(&["2026-01-02T00:00:00Z"]),
            true,
        );
        check(
            "DateLessThan",
            &["0"],
            Some(&["2026-01-02T00:00:00Z"]),
            false,
        );
        check(
            "IpAddress",
            &["203.0.113.0/24"],
            Some(&["203.0.113.9"]),
            true,
        );
        check(
            "IpAddress",
            &["203.0.113.0/24"],
            Some(&["203.0.114.9"]),
            false,
        );
        check(
            "NotIpAddress",
            &["203.0.113.0/24"],
            Some(&["203.0.114.9"]),
            true,
        );
        check("IpAddress", &["0.0.0.0/0"], Some(&["203.0.114.9"]), true);
        check(
            "IpAddress",
            &["2001:db8::/32"],
            Some(&["2001:db8::1"]),
            true,
        );
        check("IpAddress", &["203.0.113.7"], Some(&["203.0.113.7"]), true);
        check(
            "ArnLike",
            &["arn:aws:iam::*:role/team/*"],
            Some(&["arn:aws:iam::1:role/team/x"]),
            true,
        );
        check(
            "ArnLike",
            &["arn:aws:*:role/x"],
            Some(&["arn:aws:iam::1:role/x"]),
            false,
        );
        check("Null", &["true"], None, true);
        check("Null", &["false"], None, false);
        check("Null", &["false"], Some(&["x"]), true);
    }

    #[test]
    fn sets_of_values() {
        check(
            "ForAllValues:StringEquals",
            &["a", "b"],
            Some(&["a", "b"]),
            true,
        );
        check(
            "ForAllValues:StringEquals",
            &["a"],
            Some(&["a", "b"]),
            false,
        );
        check("ForAllValues:StringEquals", &["a"], None, true);
        check("ForAnyValue:StringEquals", &["a"], Some(&["a", "b"]), true);
        check("ForAnyValue:StringEquals", &["a"], None, false);
    }

    #[test]
    fn unknown_operators_are_refused() {
        assert!(Condition::try_new("StringIs", "k", vec![]).is_err());
        assert!(Condition::try_new("ForSome:StringEquals", "k", vec![]).is_err());
    }
}
