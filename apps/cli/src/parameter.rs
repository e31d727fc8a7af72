//! `NAME=VALUE`, as parameters are typed.

use std::collections::BTreeMap;

use flowlake_data_action::{ActionError, ErrorCode};
use serde_json::{Map, Value};

/// Name and value; the name is not empty.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// What was typed, by name. `what` is what the option names, such as `table`.
///
/// # Errors
/// [`ErrorCode::ParamInvalid`] for a name that is given twice: one of the two would have no effect.
pub(crate) fn by_name<T>(
    what: &str,
    typed: impl IntoIterator<Item = (String, T)>,
) -> Result<BTreeMap<String, T>, ActionError> {
    let mut all = BTreeMap::new();
    for (name, value) in typed {
        if all.contains_key(&name) {
            return Err(ActionError::new(
                ErrorCode::ParamInvalid,
                format!("the {what} `{name}` is given twice"),
                "Give each name once.",
            ));
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// Parameters as typed: text that the action reads as each parameter's own type.
///
/// # Errors
/// As of [`by_name`].
pub(crate) fn parameters(typed: &[(String, String)]) -> Result<Map<String, Value>, ActionError> {
    let all = by_name("parameter", typed.iter().cloned())?;
    Ok(all
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect())
}
