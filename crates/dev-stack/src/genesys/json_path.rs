//! The paths of a translation map: `$.a.b`, `$.a[0].b` and `$.a[*].b`.

use serde_json::Value;

/// What a path finds. A path with `[*]` always gives a list, possibly empty.
pub(crate) fn find(document: &Value, path: &str) -> Result<Option<Value>, String> {
    let wrong = || format!("{path:?} is not a path that is understood here");
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut found = vec![document];
    let mut many = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            many = true;
            found = found
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .collect();
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']').ok_or_else(wrong)?;
            if let Some(name) = index
                .strip_prefix('\'')
                .and_then(|name| name.strip_suffix('\''))
            {
                found = found
                    .into_iter()
                    .filter_map(|value| value.get(name))
                    .collect();
            } else {
                let index: usize = index.parse().map_err(|_| wrong())?;
                found = found
                    .into_iter()
                    .filter_map(|value| value.get(index))
                    .collect();
            }
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(wrong)?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name.is_empty() {
                return Err(wrong());
            }
            found = found
                .into_iter()
                .filter_map(|value| value.get(name))
                .collect();
            rest = after;
        }
    }
    if many {
        Ok(Some(found.into_iter().cloned().collect()))
    } else {
        Ok(found.first().map(|value| (*value).clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let document = json!({"data": [{"q": "a"}, {"q": "b"}], "row_count": 2});
        let at = |path: &str| find(&document, path).unwrap();
        assert_eq!(at("$.row_count"), Some(json!(2)));
        assert_eq!(at("$.data[0].q"), Some(json!("a")));
        assert_eq!(at("$.data[0]['q']"), Some(json!("a")));
        assert_eq!(at("$.data[*].q"), Some(json!(["a", "b"])));
        assert_eq!(at("$.data[*].none"), Some(json!([])));
        assert_eq!(at("$.data[9].q"), None);
        assert!(find(&document, "data").is_err());
    }
}
