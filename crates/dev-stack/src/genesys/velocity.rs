//! As much of the Velocity template language as data actions commonly use: references, the
//! escapes, and `#if("…" != "")`. What it does not know it refuses, as a broken template would be.

use serde_json::{Map, Value};

/// Where references look: the first segment names the map.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    maps: Vec<(String, Map<String, Value>)>,
}

impl Scope {
    pub(crate) fn with(mut self, name: &str, map: Map<String, Value>) -> Self {
        self.maps.push((name.to_owned(), map));
        self
    }

    /// `input.name`, or a bare name when the map of that name is empty (`""`).
    fn get(&self, path: &str) -> Option<&Value> {
        let (map, key) = path.split_once('.').unwrap_or(("", path));
        self.maps
            .iter()
            .find(|(name, _)| name == map)
            .and_then(|(_, values)| values.get(key))
            .filter(|value| !value.is_null())
    }
}

/// Renders a template; the error says where it is not understood.
pub(crate) fn render(template: &str, scope: &Scope) -> Result<String, String> {
    let mut out = String::new();
    let rest = block(template, scope, true, &mut out)?;
    if rest.is_empty() {
        Ok(out)
    } else {
        Err("#end or #else without #if".to_owned())
    }
}

/// Writes up to the end or to the block's `#end`, and gives what follows.
fn block<'a>(
    template: &'a str,
    scope: &Scope,
    write: bool,
    out: &mut String,
) -> Result<&'a str, String> {
    let mut rest = template;
    while let Some(index) = rest.find(['$', '#']) {
        let mut ignored = String::new();
        let target = if write { &mut *out } else { &mut ignored };
        target.push_str(&rest[..index]);
        rest = &rest[index..];
        if rest.starts_with("#end") || after_else(rest).is_some() {
            return Ok(rest);
        }
        if let Some(condition) = rest.strip_prefix("#if(") {
            let (condition, after) = condition.split_once(')').ok_or("#if without )")?;
            let holds = condition_holds(condition, scope)?;
            let mut after = block(after, scope, write && holds, out)?;
            if let Some(otherwise) = after_else(after) {
                after = block(otherwise, scope, write && !holds, out)?;
            }
            rest = after.strip_prefix("#end").ok_or("#if without #end")?;
        } else if rest.starts_with('#') {
            target.push('#');
            rest = &rest[1..];
        } else {
            let (text, after) = reference(rest, scope)?;
            target.push_str(&text);
            rest = after;
        }
    }
    if write {
        out.push_str(rest);
    }
    Ok("")
}

/// What follows `#{else}`, or `#else` where no letter follows it.
fn after_else(rest: &str) -> Option<&str> {
    rest.strip_prefix("#{else}").or_else(|| {
        rest.strip_prefix("#else")
            .filter(|after| !after.starts_with(|char: char| char.is_ascii_alphanumeric()))
    })
}

/// Comparisons such as `"$!{x}" != ""`, joined by `&&` or by `||`, whose `&&` bind closer.
fn condition_holds(condition: &str, scope: &Scope) -> Result<bool, String> {
    for alternative in condition.split("||") {
        let mut all = true;
        for comparison in alternative.split("&&") {
            all &= comparison_holds(comparison, scope)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `"…" != "…"` or `==`.
fn comparison_holds(comparison: &str, scope: &Scope) -> Result<bool, String> {
    let (left, right, equal) = if let Some((left, right)) = comparison.split_once("!=") {
        (left, right, false)
    } else if let Some((left, right)) = comparison.split_once("==") {
        (left, right, true)
    } else {
        return Err(format!("condition {comparison:?} is not understood"));
    };
    let side = |text: &str| {
        text.trim()
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .ok_or_else(|| format!("condition {comparison:?} is not understood"))
            .and_then(|text| render(text, scope))
    };
    Ok((side(left)? == side(right)?) == equal)
}

/// `${x}`, `$!{x}`, `$x`, `$esc.jsonString(…)` and `$esc.url(…)`.
fn reference<'a>(text: &'a str, scope: &Scope) -> Result<(String, &'a str), String> {
    for (name, escape) in [
        ("$esc.jsonString(", json_string as fn(&str) -> String),
        ("$esc.jsonEncode(", json_string),
        ("$esc.url(", url_encode),
    ] {
        if let Some(inner) = text.strip_prefix(name) {
            let (argument, after) = inner.split_once(')').ok_or("an escape without )")?;
            let argument = argument.trim().trim_matches('"');
            let (value, left) = reference(argument, scope)?;
            if !left.is_empty() {
                return Err(format!("the argument {argument:?} is not understood"));
            }
            return Ok((escape(&value), after));
        }
    }
    let (quiet, body) = match text.strip_prefix("$!") {
        Some(body) => (true, body),
        None => (false, &text[1..]),
    };
    let (path, after) = match body.strip_prefix('{') {
        Some(inner) => inner.split_once('}').ok_or("a reference without }")?,
        None => {
            let end = body
                .find(|char: char| !(char.is_ascii_alphanumeric() || "._-".contains(char)))
                .unwrap_or(body.len());
            body.split_at(end)
        }
    };
    if path.is_empty() {
        return Ok(("$".to_owned(), &text[1..]));
    }
    let written = &text[..text.len() - after.len()];
    let value = match scope.get(path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None if quiet => String::new(),
        // Velocity prints the reference itself: the very fault that data actions must avoid.
        None => written.to_owned(),
    };
    Ok((value, after))
}

fn json_string(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url_encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_escapes_and_conditions() {
        let input = json!({"a": "say \"hi\" & go", "n": 7, "none": null});
        let scope = Scope::default().with("input", input.as_object().unwrap().clone());
        for (template, expected) in [
            (
                "{\"a\":\"$esc.jsonString($!{input.a})\"}",
                "{\"a\":\"say \\\"hi\\\" & go\"}",
            ),
            (
                "?q=$esc.url($input.a)&n=${input.n}",
                "?q=say+%22hi%22+%26+go&n=7",
            ),
            ("${input.none}|$!{input.none}|", "${input.none}||"),
            ("#if(\"$!{input.n}\" != \"\"),n=${input.n}#end!", ",n=7!"),
            ("#if(\"$!{input.x}\" != \"\"),x=${input.x}#end!", "!"),
            (
                "#if(\"$!{input.x}\" != \"\")a#if(\"$!{input.n}\" != \"\")b#end#end!",
                "!",
            ),
            (
                "#if(\"$!{input.n}\" != \"\" && \"$!{input.n}\" != \"7\")a#end!",
                "!",
            ),
            (
                "#if(\"$!{input.n}\" == \"\" || \"$!{input.n}\" == \"7\")a#end!",
                "a!",
            ),
            ("#if(\"$!{input.n}\" == \"7\")a#{else}b#end!", "a!"),
            ("#if(\"$!{input.n}\" == \"8\")a#else b#end!", " b!"),
            ("100 $ and #1", "100 $ and #1"),
        ] {
            assert_eq!(
                render(template, &scope).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
        assert!(render("#if(\"a\" != \"\")", &scope).is_err());
        assert!(render("a#end", &scope).is_err());
    }
}
