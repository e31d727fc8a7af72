//! Values of parameters, and locations that they are part of.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone, Utc};
use object_store::path::Path;
use serde_json::{Value, json};

use crate::{
    BoundValue, ParamSpec, ParamType,
    params::ParamSet,
    uri::{UriTemplate, WILDCARDS},
};

const KINDS: [ParamType; 8] = [
    ParamType::String,
    ParamType::Integer,
    ParamType::Decimal,
    ParamType::Boolean,
    ParamType::Date,
    ParamType::Timestamp,
    ParamType::Enum,
    ParamType::Phone,
];
/// What an enum may be; a refusal lists it.
const VALUES: [&str; 2] = ["Sales", "Tech Tier 2"];
/// Of the lists.
const MOST_ITEMS: usize = 5;
/// A value of this length is not in a message by chance.
const TELLING: usize = 9;

fn name(kind: ParamType) -> String {
    format!("{kind:?}").to_lowercase()
}

fn one(spec: Value) -> Option<ParamSet> {
    let spec: ParamSpec = serde_json::from_value(spec).ok()?;
    ParamSet::try_new(BTreeMap::from([("p".to_owned(), spec)])).ok()
}

fn now() -> DateTime<Utc> {
    Utc.timestamp_opt(1_767_323_045, 0)
        .single()
        .unwrap_or_default()
}

fn bind(set: &ParamSet, value: &Value) -> Result<BoundValue, String> {
    let sent = json!({ "p": value });
    let sent = sent.as_object().cloned().unwrap_or_default();
    match set.bind(&sent, now()) {
        Ok(bound) => Ok(bound
            .get("p")
            .cloned()
            .unwrap_or(BoundValue::Boolean(false))),
        Err(error) => Err(error.to_string()),
    }
}

/// A declaration and a value for it. The first byte chooses the type, the second what is declared besides; the rest is the
/// value as JSON or as text, or with the highest bit a declaration.
///
/// # Panics
/// If a value that is taken is not what its declaration says, reads otherwise when it is written, or appears in an error.
pub fn params(data: &[u8]) {
    let [kind, choice, rest @ ..] = data else {
        return;
    };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    if choice & 0x80 != 0 {
        // A declaration may be refused, and nothing else.
        if let Some(set) = serde_json::from_slice(rest).ok().and_then(one) {
            bind(&set, &Value::from(7)).ok();
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let value = match serde_json::from_str(text) {
        Ok(value) if choice & 1 != 0 => value,
        _ => Value::from(text),
    };
    let (list, pattern, zone) = (choice & 2 != 0, choice & 4 != 0, choice & 8 != 0);
    let mut spec = json!({ "type": name(kind) });
    if list {
        spec = json!({ "type": "list", "items": name(kind), "max_items": MOST_ITEMS });
    }
    if kind == ParamType::Enum {
        spec["values"] = json!(VALUES);
    }
    if pattern {
        spec["pattern"] = json!("[a-z0-9-]{1,8}");
    }
    if zone {
        spec["time_zone"] = json!("America/Sao_Paulo");
    }
    let Some(set) = one(spec) else {
        return;
    };
    match bind(&set, &value) {
        Ok(bound) => taken(&bound, kind, list, pattern, &set),
        Err(message) => {
            let told = text.len() >= TELLING
                && message.contains(text)
                && !kind.expectation().contains(text)
                && !VALUES.join(", ").contains(text);
            assert!(!told || value.is_null(), "{message} tells {text:?}");
        }
    }
}

/// What must hold of a value that was taken.
fn taken(bound: &BoundValue, kind: ParamType, list: bool, pattern: bool, set: &ParamSet) {
    let _ = bound.to_scalar();
    let items = match bound {
        BoundValue::List(_, items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    assert_eq!(matches!(bound, BoundValue::List(..)), list, "a list is one");
    assert!(
        !list || items.len() <= MOST_ITEMS,
        "a list ends at its bound"
    );
    for item in items {
        let text = item.to_string();
        let right = match (kind, item) {
            (ParamType::Phone, BoundValue::String(text)) => {
                text.len() <= 16
                    && text
                        .strip_prefix('+')
                        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            }
            (ParamType::Enum, BoundValue::String(text)) => VALUES.contains(&text.as_str()),
            (ParamType::String, BoundValue::String(text)) => {
                text.len() <= 4096 && !text.contains('\0')
            }
            (ParamType::Integer, BoundValue::Integer(_))
            | (ParamType::Decimal, BoundValue::Decimal { .. })
            | (ParamType::Boolean, BoundValue::Boolean(_))
            | (ParamType::Date, BoundValue::Date(_))
            | (ParamType::Timestamp, BoundValue::Timestamp(_)) => true,
            _ => false,
        };
        assert!(right, "{text:?} is no {kind:?}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(
            !pattern || (1..=8).contains(&text.len()) && text.bytes().all(plain),
            "{text:?} does not match its pattern"
        );
        if !list {
            // What goes into a location and into the audit record is what was bound.
            let again = bind(set, &Value::from(text.clone()));
            assert!(again.as_ref() == Ok(item), "{text:?} reads as {again:?}");
        }
    }
}

/// A uri, a line end, and the value of all of its parameters.
///
/// # Panics
/// If the location is in another bucket, has more segments, climbs, names more than one object, or is another one to the
/// engine than to the policy.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (written, value) = text.split_once('\n').unwrap_or((text, "x"));
    let Ok(template) = UriTemplate::parse("t", written) else {
        return;
    };
    let Some((bucket, pattern)) = written
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
    else {
        panic!("{written:?} is no location");
    };
    assert_eq!(template.bucket(), bucket);
    let names: Vec<String> = template.params().map(str::to_owned).collect();
    let specs: BTreeMap<String, ParamSpec> = names
        .iter()
        .filter_map(|name| {
            Some((
                name.clone(),
                serde_json::from_value(json!({ "type": "string" })).ok()?,
            ))
        })
        .collect();
    let Ok(set) = ParamSet::try_new(specs) else {
        return;
    };
    let sent = names
        .iter()
        .map(|name| (name.clone(), Value::from(value)))
        .collect();
    let Ok(bound) = set.bind(&sent, now()) else {
        return;
    };
    let Ok(location) = template.fill(&bound) else {
        return;
    };
    let key = location.as_written().to_owned();
    let mut fixed = pattern.to_owned();
    for name in &names {
        fixed = fixed.replace(&format!("{{{name}}}"), "");
    }
    let count =
        |text: &str, wanted: &dyn Fn(char) -> bool| text.chars().filter(|c| wanted(*c)).count();
    let slash = |c| c == '/';
    let wild = |c| WILDCARDS.contains(&c);
    assert_eq!(
        count(&key, &slash),
        count(&fixed, &slash),
        "{key:?} of {written:?}"
    );
    assert_eq!(
        count(&key, &wild),
        count(&fixed, &wild),
        "{key:?} of {written:?}"
    );
    let climbs = key
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    assert!(!climbs, "{key:?} of {written:?}");
    let Ok(path) = Path::parse(&key) else {
        panic!("{key:?} is no key");
    };
    assert!(
        location.path().is_none_or(|own| *own == path),
        "{key:?} is another object to the engine"
    );
    assert!(
        location.key().is_none() || location.covers(&key) && location.list_prefix().is_none(),
        "{written:?}"
    );
    let prefix = location.list_prefix().unwrap_or(&key);
    assert!(
        key.starts_with(location.folder()) && prefix.starts_with(location.folder()),
        "{written:?}"
    );
}
