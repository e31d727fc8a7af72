//! `flowlake init --from`: a project over files that somebody has, with an action that looks rows up.

use flowlake_data_action::{ActionError, Answer, ErrorCode, KeyColumn};
use flowlake_transform::LOCAL_FILES;
use serde_json::Map;
use toml::{Table, Value};

use super::made_up;
use crate::{
    failure::Failure,
    inspect::{Looked, block},
};

/// What is written into a project.
pub(super) struct FirstProject {
    /// `flowlake.toml`.
    pub(super) config: String,
    /// The action's name.
    pub(super) name: String,
    /// Its file.
    pub(super) action: String,
    /// The file that tests it, where one can be made up.
    pub(super) tests: Option<String>,
    /// What to type after `flowlake run` to see rows.
    pub(super) call: String,
}

impl FirstProject {
    /// Files of this machine are none that an action can read.
    pub(super) fn of(looked: &Looked, config: &str) -> Result<Self, Failure> {
        let read = looked.answer.metadata.iter();
        if read.clone().any(|object| object.bucket == LOCAL_FILES) {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "actions read objects of S3 alone, and this is a file of this machine",
                "Copy it to a bucket and name s3://BUCKET/KEY; `flowlake sql` asks files of this machine without a project.",
            )
            .into());
        }
        let key = looked.inspected.key_column();
        let name = action_name(&looked.name);
        let param = key.as_ref().map(|key| param_name(&key.name));
        let action = action(looked, &name, key.as_ref().zip(param.as_deref()))?;
        let asked = key.as_ref().zip(param.as_deref());
        let tests = made_up::file(&looked.inspected, &looked.table, &looked.name, asked);
        let value = key
            .as_ref()
            .and_then(|key| first_value(&looked.answer, &key.name));
        let call = match (&param, value) {
            (Some(param), Some(value)) => format!("{name} --param {param}={}", in_shell(&value)),
            (Some(param), None) => format!("{name} --param {param}=VALUE"),
            (None, _) => name.clone(),
        };
        Ok(Self {
            config: config_over(config, &looked.table),
            name,
            action,
            tests,
            call,
        })
    }
}

/// The example configuration with the files as its policy, read with what AWS's own tools use.
fn config_over(config: &str, table: &Table) -> String {
    let mut section = String::new();
    let lines = config.lines().map(|line| {
        if let Some(name) = line.strip_prefix('[') {
            name.clone_into(&mut section);
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        match (section.as_str(), key) {
            ("policy]", "allow") => format!("allow = {}\n", patterns(table)),
            // AWS's usual chain knows it, or the files would not have been read.
            ("aws]", "region") => format!("# {line}\n"),
            ("access]", "mode") => {
                "mode = \"probe\"                     # S3 itself is asked; \"enforce\" asks IAM before each read, \"advise\" only logs\n"
                    .to_owned()
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// What a policy has to allow for a table.
fn patterns(table: &Table) -> String {
    let uris: Vec<&str> = match table.get("uri") {
        Some(Value::String(uri)) => vec![uri.as_str()],
        Some(Value::Array(uris)) => uris.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let patterns = uris.into_iter().map(|uri| match uri.ends_with('/') {
        true => format!("{}*", pattern(uri)),
        false => pattern(uri),
    });
    Value::from(patterns.collect::<Vec<_>>()).to_string()
}

/// A pattern of a policy, in which `*` is the only wildcard, that has in it what a glob has.
fn pattern(uri: &str) -> String {
    let mut pattern = String::new();
    let mut rest = uri;
    while let Some(at) = rest.find(['?', '[']) {
        pattern += &rest[..at];
        let class = &rest[at + 1..];
        // A `]` that comes first is one of the class.
        let end = class.chars().next().map_or(0, char::len_utf8);
        let end = class
            .get(end..)
            .and_then(|more| Some(end + more.find(']')?));
        let (one, behind) = match (rest[at..].starts_with('['), end) {
            (true, Some(end)) => (&class[..end], &class[end + 1..]),
            _ => ("", class),
        };
        // A class of one character stands for it.
        pattern += if one.chars().count() == 1 { one } else { "*" };
        rest = behind;
    }
    pattern += rest;
    pattern
}

fn action(looked: &Looked, name: &str, key: Option<(&KeyColumn, &str)>) -> Result<String, Failure> {
    let table = quoted(&looked.name);
    let block = block(&looked.name, &looked.table)?;
    let (description, params, sql) = match key {
        None => (
            format!("The first rows of {}", looked.name),
            String::new(),
            format!("SELECT *\nFROM {table}"),
        ),
        Some((key, param)) => {
            let column = quoted(&key.name);
            let description = format!("Rows of {} by {}", looked.name, key.name);
            let params = format!(
                "[params.{param}]\ntype = \"{}\"\ndescription = {}\nsensitive = true                   # recorded as a keyed hash; leave it out where a value is nobody's data\n\n",
                key.kind,
                Value::from(format!("The {} to look for", key.name)),
            );
            (
                description,
                params,
                format!("SELECT *\nFROM {table}\nWHERE {column} = ${param}"),
            )
        }
    };
    let description = Value::from(description);
    Ok(format!(
        "name = \"{name}\"\ndescription = {description}\n\n{block}\n{params}[limits]\ntimeout = \"60s\"\nmax_rows = 100\n\n[query]\nsql = {}\n",
        toml_lines(&sql)
    ))
}

/// A text of several lines, as people write it where that is possible.
fn toml_lines(text: &str) -> String {
    if text.contains(['\'', '\\']) || text.contains(|c: char| c.is_control() && c != '\n') {
        return Value::from(text).to_string();
    }
    format!("'''\n{text}\n'''")
}

/// A name as SQL has it in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Lowercase letters, digits and `-`.
fn action_name(table: &str) -> String {
    let name = plain(table, '-');
    match name.is_empty() {
        true => "files".to_owned(),
        false => name.chars().take(64).collect(),
    }
}

/// Lowercase letters, digits and `_`, a letter first.
fn param_name(column: &str) -> String {
    let name = plain(column, '_');
    match name.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => name,
        false => format!("key_{name}").trim_end_matches('_').to_owned(),
    }
}

fn plain(name: &str, other: char) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { other })
        .collect();
    plain.trim_matches(other).to_owned()
}

/// The first value of a column in the rows that were kept.
fn first_value(answer: &Answer, column: &str) -> Option<String> {
    use serde_json::Value;

    let rows: Vec<Map<String, Value>> = serde_json::from_str(answer.data.get()).ok()?;
    rows.into_iter()
        .find_map(|mut row| match row.remove(column)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        })
}

/// A word as shells take it.
fn in_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-_.:@/,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{action_name, in_shell, param_name, pattern, toml_lines};

    #[test]
    fn globs_as_patterns_of_a_policy() {
        assert_eq!(pattern("s3://b/a/*.csv"), "s3://b/a/*.csv");
        assert_eq!(pattern("s3://b/sp ace [[]1].csv"), "s3://b/sp ace [1].csv");
        assert_eq!(pattern("s3://b/[]]?[a-c]/[!x]é[é]"), "s3://b/]**/*éé");
        assert_eq!(pattern("s3://b/a["), "s3://b/a*");
    }

    #[test]
    fn names_and_words() {
        assert_eq!(action_name("calls_2026"), "calls-2026");
        assert_eq!(action_name("Ünïcode"), "n-code");
        assert_eq!(action_name("日本"), "files");
        assert_eq!(param_name("Agent ID"), "agent_id");
        assert_eq!(param_name("1st"), "key_1st");
        assert_eq!(param_name("日本"), "key");
        assert_eq!(in_shell("+12025550142"), "+12025550142");
        assert_eq!(in_shell("it's"), r"'it'\''s'");
        assert_eq!(toml_lines("a\nb"), "'''\na\nb\n'''");
        assert_eq!(toml_lines("a'\nb").lines().count(), 3);
    }
}
