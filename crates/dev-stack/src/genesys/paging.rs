//! Pages of a list, and fields of a query.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::reply::{self, Reply};

/// A field of a query, decoded.
pub(super) fn field(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The page of a list that `pageSize` and `pageNumber` ask for, without the members of the answer that are left out.
pub(super) fn page(status: u16, all: &[Value], query: &str, left_out: &BTreeSet<String>) -> Reply {
    let number = |name: &str, default: usize| {
        let given = field(query, name).and_then(|text| text.parse().ok());
        given.unwrap_or(default).max(1)
    };
    let (size, page) = (number("pageSize", 25).min(100), number("pageNumber", 1));
    let entities: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let mut answer = json!({
        "entities": entities,
        "pageSize": size,
        "pageNumber": page,
        "pageCount": all.len().div_ceil(size).max(1),
        "total": all.len(),
    });
    if let Some(members) = answer.as_object_mut() {
        members.retain(|name, _| !left_out.contains(name));
    }
    reply::json(status, &answer)
}
