//! The last requests of an audit log, and which of them can be put again.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    path::PathBuf,
};

use flowlake_cost_audit::{Error, audit};
use flowlake_data_action::{ActionDefinition, Project};
use flowlake_transform::{ParamSpec, ParamType};
use serde_json::{Map, Value};

/// How a keyed hash begins, which stands for a value that is not recorded.
const HASHED: &str = "hmac-sha256:";

/// The last requests of a log.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// How many there are.
    pub(super) seen: usize,
    /// Each that can be put again, once.
    pub(super) replayable: Vec<Replayable>,
    /// Why others cannot be, and how many.
    pub(super) left_out: BTreeMap<&'static str, usize>,
}

/// A request, and how often it was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replayable {
    pub(super) action: String,
    pub(super) params: Map<String, Value>,
    times: usize,
}

impl Requests {
    /// The last `count` requests in all logs, of the named actions, or of all.
    pub(super) fn last(
        logs: &[PathBuf],
        count: usize,
        named: &[String],
        project: &Project,
        old: &BTreeMap<String, ActionDefinition>,
    ) -> Result<Self, Error> {
        let mut wanted = count;
        let records = loop {
            let mut is_all = true;
            let mut entries = Vec::new();
            for log in logs {
                let last = audit::tail(log, wanted)?;
                is_all &= last.len() < wanted;
                entries.extend(last);
            }
            entries.sort_by_key(|entry| (entry.record.time, entry.sequence));
            let records = entries.into_iter().map(|entry| entry.record);
            let mut records: Vec<_> = records
                .filter(|record| {
                    // A reload of hot tables is nobody's request.
                    let is_request = record.http_status.is_some();
                    is_request && (named.is_empty() || named.contains(&record.action))
                })
                .collect();
            if is_all || records.len() >= count {
                break records.split_off(records.len().saturating_sub(count));
            }
            wanted = wanted.saturating_mul(4);
        };
        let mut requests = Self {
            seen: records.len(),
            ..Self::default()
        };
        for record in records {
            let definition = project.actions.get(&record.action);
            let before = old.get(&record.action);
            let found = match (definition, before) {
                _ if record.sql.is_some() => Err("questions of `flowlake sql`"),
                (None, _) => Err("of actions that are not there"),
                (_, None) => Err("of actions that the revision does not have"),
                (Some(new), Some(old)) if is_same(new, old) => {
                    Err("of actions that are as the revision has them")
                }
                (Some(definition), Some(_)) => params(definition, &record.params),
            };
            match found {
                Err(why) => *requests.left_out.entry(why).or_default() += 1,
                Ok(params) => requests.add(record.action, params),
            }
        }
        Ok(requests)
    }

    fn add(&mut self, action: String, params: Map<String, Value>) {
        let mut known = self.replayable.iter_mut();
        let known = known.find(|known| known.action == action && known.params == params);
        match known {
            Some(known) => known.times += 1,
            None => self.replayable.push(Replayable {
                action,
                params,
                times: 1,
            }),
        }
    }
}

/// Whether two actions ask the same of the same files.
fn is_same(new: &ActionDefinition, old: &ActionDefinition) -> bool {
    let asked = |definition: &ActionDefinition| {
        format!(
            "{:?}",
            (
                &definition.query,
                &definition.tables,
                &definition.params,
                &definition.limits
            )
        )
    };
    asked(new) == asked(old)
}

/// The parameters of a record as a request has them, or why they cannot be had.
fn params(
    definition: &ActionDefinition,
    recorded: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, &'static str> {
    if recorded.values().any(|value| value.starts_with(HASHED)) {
        return Err("with sensitive parameters, which are recorded as keyed hashes");
    }
    let required = |spec: &ParamSpec| spec.default.is_none();
    let mut declared = definition.params.iter();
    if recorded.is_empty() && declared.any(|(_, spec)| required(spec)) {
        return Err("that were refused before their parameters were recorded");
    }
    let params = recorded.iter().map(|(name, value)| {
        let spec = definition.params.get(name);
        let Some(spec) = spec.filter(|spec| spec.kind == ParamType::List) else {
            return Ok((name.clone(), Value::from(value.as_str())));
        };
        // Commas divide items, and texts may hold some.
        match spec.items {
            None | Some(ParamType::String | ParamType::Enum) if value.contains(',') => {
                Err("with lists of texts, which are recorded as one text")
            }
            _ => {
                let items = value.split(',').filter(|item| !item.is_empty());
                let items = items.map(Value::from).collect();
                Ok((name.clone(), Value::Array(items)))
            }
        }
    });
    params.collect()
}

impl Display for Replayable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.action)?;
        for (name, value) in &self.params {
            match value {
                Value::String(text) => write!(formatter, " {name}={text}")?,
                other => write!(formatter, " {name}={other}")?,
            }
        }
        if self.times > 1 {
            write!(formatter, " (×{})", self.times)?;
        }
        Ok(())
    }
}
