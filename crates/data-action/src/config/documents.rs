//! The files of a configuration as they are written: what operators are shown of them, and what a reload changes.

mod shown;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use toml::Table;

use self::shown::{is_hidden, is_shown};
use super::TomlSource;
use crate::ActionError;

/// What stands for a value that is not shown.
const HIDDEN: &str = "******";

/// What takes effect at the next start only.
const AT_START: [&str; 20] = [
    "access",
    "audit",
    "aws",
    "budget.shared",
    "cache",
    "cost",
    "genesys",
    "hot",
    "profiler",
    "publish",
    "s3",
    "server.admin",
    "server.allow_plain_http",
    "server.allow_remote_admin",
    "server.listen",
    "server.reuse_port",
    "server.shutdown_drain_seconds",
    "server.shutdown_grace_seconds",
    "server.tls",
    "telemetry",
];

/// Where paths of action files begin. What is in these is shown: an action holds no credentials.
const ACTIONS: &str = "actions";

/// The longest text that a difference repeats.
const LONGEST_SHOWN: usize = 64;

/// `flowlake.toml` and the action files.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    config: Table,
    /// `flowlake.toml` as it is written; none where there is none.
    source: Option<TomlSource>,
    actions: BTreeMap<String, Table>,
}

/// One key that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, such as `server.max_body_bytes` or `actions.agent-scorecard.limits.timeout`.
    pub key: String,
    /// What it was, where that may be shown.
    pub old: Option<String>,
    /// What it is, where that may be shown.
    pub new: Option<String>,
    /// Whether it takes effect at the next start only.
    pub at_start: bool,
}

impl Documents {
    pub(super) const fn new(config: Table, source: TomlSource) -> Self {
        Self {
            config,
            source: Some(source),
            actions: BTreeMap::new(),
        }
    }

    /// An error of a setting of `flowlake.toml`, with its place there; any other as it is.
    #[must_use]
    pub fn locate(&self, error: ActionError) -> ActionError {
        error.in_file(self.source.as_ref())
    }

    pub(super) fn add_action(&mut self, name: &str, document: Table) {
        self.actions.insert(name.to_owned(), document);
    }

    /// Everything that is set, without what operators need not see.
    #[must_use]
    pub fn shown(&self) -> Value {
        let actions = self.actions.iter();
        let actions = actions.map(|(name, action)| {
            let mut path = vec![ACTIONS.to_owned(), name.clone()];
            (name.clone(), shown(action, &mut path))
        });
        json!({
            "config": shown(&self.config, &mut Vec::new()),
            "actions": actions.collect::<Map<_, _>>(),
        })
    }

    /// Whether the file of this action is the same in both.
    #[must_use]
    pub fn same_action(&self, other: &Self, name: &str) -> bool {
        let (one, other) = (self.actions.get(name), other.actions.get(name));
        one.is_some() && one == other
    }

    /// What is different in `new`, in order of key.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(&self.whole(), &new.whole(), &mut Vec::new(), &mut changes);
        changes
    }

    /// These documents with what takes effect at the next start as it is in `running`.
    #[must_use]
    pub fn in_effect(&self, running: &Self) -> Self {
        let mut effective = self.clone();
        for key in AT_START {
            let path: Vec<_> = key.split('.').collect();
            match find(&running.config, &path) {
                Some(value) => put(&mut effective.config, &path, value.clone()),
                None => remove(&mut effective.config, &path),
            }
        }
        effective
    }

    fn whole(&self) -> Table {
        let mut whole = self.config.clone();
        let actions = self.actions.iter();
        let actions = actions.map(|(name, action)| (name.clone(), action.clone().into()));
        whole.insert(ACTIONS.to_owned(), toml::Value::Table(actions.collect()));
        whole
    }
}

fn shown(table: &Table, path: &mut Vec<String>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        path.push(key.clone());
        let shown = if is_hidden(path) {
            hidden(value)
        } else {
            shown_value(value, path)
        };
        path.pop();
        (key.clone(), shown)
    });
    Value::Object(entries.collect())
}

fn shown_value(value: &toml::Value, path: &mut Vec<String>) -> Value {
    match value {
        toml::Value::Table(table) => shown(table, path),
        toml::Value::Array(values) => values
            .iter()
            .map(|value| shown_value(value, path))
            .collect(),
        toml::Value::String(text) if has_user_info(text) => HIDDEN.into(),
        toml::Value::String(text) if is_of_action(path) || is_shown(path) => text.as_str().into(),
        toml::Value::String(_) => HIDDEN.into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
    }
}

/// The shape of a hidden value: which names there are, or how many values.
fn hidden(value: &toml::Value) -> Value {
    match value {
        toml::Value::Table(table) => {
            let entries = table.iter();
            let entries = entries.map(|(key, value)| (key.clone(), hidden(value)));
            Value::Object(entries.collect())
        }
        toml::Value::Array(values) => values.iter().map(hidden).collect(),
        _ => HIDDEN.into(),
    }
}

fn is_of_action(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == ACTIONS)
}

/// Whether a text is an address with a user or a password in it.
fn has_user_info(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest);
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

fn compare(old: &Table, new: &Table, path: &mut Vec<String>, changes: &mut Vec<Change>) {
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        path.push(key.clone());
        match (old.get(key), new.get(key)) {
            (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) if !is_hidden(path) => {
                compare(old, new, path, changes);
            }
            (old, new) if old == new => {}
            (old, new) => {
                let key = path.join(".");
                let is_in = |section: &&str| {
                    let rest = key.strip_prefix(*section);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                changes.push(Change {
                    at_start: AT_START.iter().any(is_in),
                    old: old.and_then(|value| brief(value, path)),
                    new: new.and_then(|value| brief(value, path)),
                    key,
                });
            }
        }
        path.pop();
    }
}

/// A short plain value that may be repeated.
fn brief(value: &toml::Value, path: &mut Vec<String>) -> Option<String> {
    let is_short = |text: &String| text.chars().count() <= LONGEST_SHOWN;
    let is_plain = |value: &toml::Value| !value.is_table() && !value.is_array();
    match value {
        // A query may hold what only its callers are to see.
        _ if is_hidden(path) || path.ends_with(&["sql".to_owned()]) => None,
        value if !is_plain(value) => None,
        value => Some(shown_value(value, path))
            .filter(|shown| shown != HIDDEN)
            .map(|shown| shown.to_string())
            .filter(is_short),
    }
}

fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a toml::Value> {
    match path {
        [] => None,
        [last] => table.get(*last),
        [first, rest @ ..] => find(table.get(*first)?.as_table()?, rest),
    }
}

fn put(table: &mut Table, path: &[&str], value: toml::Value) {
    match path {
        [] => {}
        [last] => {
            table.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = table.entry(*first).or_insert_with(|| Table::new().into());
            if let Some(inner) = inner.as_table_mut() {
                put(inner, rest, value);
            }
        }
    }
}

fn remove(table: &mut Table, path: &[&str]) {
    match path {
        [] => {}
        [last] => {
            table.remove(*last);
        }
        [first, rest @ ..] => {
            if let Some(inner) = table.get_mut(*first).and_then(toml::Value::as_table_mut) {
                remove(inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Documents, TomlSource};

    fn documents(config: &str, action: &str) -> Documents {
        let source = TomlSource::new(Path::new("flowlake.toml"), config);
        let mut documents = Documents::new(toml::from_str(config).unwrap(), source);
        documents.add_action("look-up", toml::from_str(action).unwrap());
        documents
    }

    const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:8080"
max_body_bytes = 65536
[[server.clients]]
name = "flows"
keys_sha256 = ["0000000000000000000000000000000000000000000000000000000000000001"]
params = { account = "4711-private" }
[[server.clients]]
name = "agents"
basic = { user = "private-user", password_sha256 = "02" }
tokens = [{ issuer = "https://issuer.example", claims = { sub = "private-subject" } }]
[telemetry]
otlp_endpoint = "http://me:private@collector:4318/"
"#;

    #[test]
    fn what_is_nobodys_business_is_hidden() {
        let shown = documents(CONFIG, "name = \"look-up\"").shown();
        let text = shown.to_string();
        assert!(
            !text.contains("private") && !text.contains("0001"),
            "{text}"
        );
        let client = &shown["config"]["server"]["clients"][0];
        assert_eq!(client["params"]["account"], "******");
        assert_eq!(client["name"], "flows");
        assert_eq!(shown["config"]["server"]["max_body_bytes"], 65536);
        assert_eq!(shown["actions"]["look-up"]["name"], "look-up");
    }

    #[test]
    fn a_key_that_nobody_decided_about_is_hidden() {
        let old = "[server.clients.vault]\ntoken = \"first\"\ncount = 1\n[new]\nkeys = [\"first\"]";
        let (old, new) = (old.to_owned(), old.replace("first", "second"));
        let (old, new) = (documents(&old, ""), documents(&new, ""));
        let (shown, changes) = (old.shown(), format!("{:?}", old.changes(&new)));
        assert!(!shown.to_string().contains("first"), "{shown}");
        assert!(
            !changes.contains("first") && !changes.contains("second"),
            "{changes}"
        );
    }

    #[test]
    fn a_difference_names_keys_and_repeats_only_what_is_short_and_plain() {
        let old = documents(CONFIG, "hot = true\n[query]\nsql = \"SELECT 1\\nFROM t\"");
        let new = CONFIG.replace("65536", "1024").replace("8080", "80");
        let new = new.replace("4711", "4712");
        let new = documents(&new, "[query]\nsql = \"SELECT 2\\nFROM t\"\n");
        let changes: Vec<_> = old
            .changes(&new)
            .into_iter()
            .map(|change| {
                let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                format!(
                    "{}: {} {}{}",
                    change.key,
                    value(change.old),
                    value(change.new),
                    if change.at_start { " (at start)" } else { "" }
                )
            })
            .collect();
        assert_eq!(
            changes,
            [
                "actions.look-up.hot: true -",
                "actions.look-up.query.sql: - -",
                "server.clients: - -",
                r#"server.listen: "127.0.0.1:8080" "127.0.0.1:80" (at start)"#,
                "server.max_body_bytes: 65536 1024",
            ]
        );
        let in_effect = new.in_effect(&old);
        let pending = in_effect.changes(&new);
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].key, "server.listen");
        assert!(in_effect.same_action(&new, "look-up") && !old.same_action(&new, "look-up"));
    }
}
