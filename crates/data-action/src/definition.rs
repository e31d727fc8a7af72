//! One action as an analyst writes it: `actions/NAME.toml`.

mod columns;
mod data_action;
mod limits;
mod schema;
mod source;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use flowlake_cost_audit::BudgetLimits;
use flowlake_transform::{
    ErrorKind, HotQuery, ParamSpec, Place, Prepared, TableSpec, TransformSpec,
    arrow::datatypes::SchemaRef,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::columns::{AnswerColumn, AnswerColumns};
pub use self::data_action::{DataActionSettings, FlowShape};
pub use self::limits::ActionLimits;
pub use self::source::ActionSource;
use crate::{
    ActionError, EngineChoice, ErrorCode, Excerpt, config::read_toml, usd::below_zero,
    versions::Fingerprint,
};

/// The longest time that an answer can be kept.
pub(crate) const LONGEST_CACHE: Duration = Duration::from_secs(3600);

/// The content of one action file.
///
/// ```toml
/// name = "queue-summary"
/// description = "Calls and handling time per queue"
///
/// [tables.calls]
/// uri = "s3://genesys-data-lake/exports/conversation_metrics.csv"
///
/// [query]
/// sql = "SELECT queue_name, count(*) AS calls FROM calls GROUP BY queue_name ORDER BY queue_name"
/// ```
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionDefinition {
    /// The name in the URL and on the command line: lowercase letters, digits and `-`. `@2` and so on at its end: the SQL of
    /// that version and later ones as a data action.
    pub name: String,
    /// What the action answers, for people who choose among actions.
    #[serde(default)]
    pub description: String,
    /// Whether a valid Genesys Cloud token must be held before anything is read.
    ///
    /// The token stays in the process; an action that sets this fails with `genesys.*` when the organisation's
    /// OAuth client is disabled, which turns the client into a switch for the action.
    #[serde(default)]
    pub genesys_token: bool,
    /// Whether the tables are kept decoded in memory, within the bounds of `[hot]` in flowlake.toml, so that a look-up takes
    /// microseconds. Every uri must then name single objects.
    #[serde(default)]
    pub hot: bool,
    /// Columns with an index while the tables are in memory, for conditions such as `ani = $ani`; only with `hot = true`.
    #[serde(default)]
    pub index: Vec<String>,
    /// How long an answer is kept for the same question about the same objects, such as `60s`; every question is still asked
    /// of the policy and of IAM, and recorded. Functions that tell the time are then so late.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub cache: Option<Duration>,
    /// Which machines read the files: `local` (this one; also when left out), `cluster` for the workers of `[cluster]`, or `auto` for
    /// those where there is much to read. What is in memory is answered from memory.
    #[serde(default)]
    pub engine: EngineChoice,
    /// The files the SQL may name, by table name.
    pub tables: BTreeMap<String, TableSpec>,
    /// The parameters, by name.
    #[serde(default)]
    pub params: BTreeMap<String, ParamSpec>,
    /// What one request may take.
    #[serde(default)]
    pub limits: ActionLimits,
    /// What the action may cost a day and a month; the limits of all actions together are in flowlake.toml.
    #[serde(default)]
    pub budget: Option<BudgetLimits>,
    /// How the action is published as a Genesys Cloud data action.
    #[serde(default)]
    pub genesys: Option<DataActionSettings>,
    /// The SQL.
    pub query: QueryDefinition,
    /// The file as it is written.
    #[serde(skip)]
    pub source: Option<Arc<ActionSource>>,
}

/// `[query]` of an action file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryDefinition {
    /// One SELECT over the action's tables; `$name` stands for a parameter.
    pub sql: String,
}

/// An action that has been checked and can be run.
#[derive(Debug)]
pub struct Action {
    pub(crate) definition: ActionDefinition,
    pub(crate) prepared: Prepared,
    pub(crate) hot: Option<Arc<HotQuery>>,
    pub(crate) fingerprint: Fingerprint,
    /// Whether the same files and parameters always give the same rows.
    pub(crate) is_repeatable: bool,
    /// What the last answer's rows had.
    columns: RwLock<Option<SchemaRef>>,
}

impl ActionDefinition {
    /// Parses the text of an action file; `path` only names the file in errors.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] with file, line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ActionError> {
        let mut definition: Self = read_toml(path, text)?;
        definition.source = ActionSource::find(path, text).map(Arc::new);
        let name = &definition.name;
        if is_name(name) {
            Ok(definition)
        } else {
            let unusable = ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("`{name}` is not an action name"),
                "Use 1 to 64 lowercase letters, digits and `-`, and at the end perhaps a version from `@2` on.",
            );
            Err(definition.locate(unusable.at_key(["name"])))
        }
    }
}

/// Whether an action may have this name.
fn is_name(name: &str) -> bool {
    let base = match name.split_once('@') {
        Some((base, version)) => {
            let number = version.parse::<u32>();
            // One way to write each version.
            if !number.is_ok_and(|number| number >= 2 && number.to_string() == version) {
                return false;
            }
            base
        }
        None => name,
    };
    !base.is_empty()
        && name.len() <= 64
        && base
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl ActionDefinition {
    /// The error with the line of the action's file, or of a question's SQL, that it is about.
    pub(crate) fn locate(&self, error: ActionError) -> ActionError {
        let error = error.in_file(self.source.as_ref().map(|source| &source.file));
        if error.excerpt().is_some() {
            return error;
        }
        let is_of_sql = matches!(
            error.code(),
            ErrorCode::SqlInvalid | ErrorCode::SqlNotAllowed | ErrorCode::SqlNotComputable
        );
        let error = match error.place() {
            None if is_of_sql => {
                let place = Place::of_quoted(&self.query.sql, error.message());
                error.with_place(place)
            }
            _ => error,
        };
        let excerpt = error.place().and_then(|place| match &self.source {
            Some(source) => source.excerpt(place),
            None => Excerpt::of(None, &self.query.sql, place),
        });
        error.with_excerpt(excerpt)
    }

    /// An error of the SQL, a table or a parameter of the action.
    fn of_specification(&self, error: flowlake_transform::Error) -> ActionError {
        let is_of_param = matches!(
            error.kind(),
            ErrorKind::InvalidParamSpec | ErrorKind::UndeclaredParam
        );
        let error = ActionError::from(error).in_action(&self.name);
        if error.place().is_some() {
            return self.locate(error);
        }
        self.locate(error.at_key([if is_of_param { "params" } else { "tables" }]))
    }
}

impl Action {
    /// Checks everything about the action that can be checked without reading S3.
    ///
    /// # Errors
    /// The codes `config.invalid` and `sql.*`, with the action's name in the message.
    pub fn try_new(definition: ActionDefinition) -> Result<Self, ActionError> {
        check_cache(&definition)
            .and_then(|()| check_budget(&definition))
            .map_err(|error| definition.locate(error))?;
        let spec = TransformSpec {
            sql: definition.query.sql.clone(),
            tables: definition.tables.clone(),
            params: definition.params.clone(),
            limits: definition.limits.of_run(),
        };
        let prepared =
            Prepared::try_new(spec).map_err(|error| definition.of_specification(error))?;
        if !definition.hot && !definition.index.is_empty() {
            let unused = ActionError::new(
                ErrorCode::ConfigInvalid,
                format!(
                    "`index` of action `{}` has no effect without `hot = true`",
                    definition.name
                ),
                "Set `hot = true`, or leave `index` out.",
            );
            return Err(definition.locate(unused.at_key(["index"])));
        }
        let hot = definition.hot.then(|| {
            let index = definition.index.iter().cloned();
            HotQuery::try_new(&definition.name, prepared.clone(), index)
                .map(Arc::new)
                .map_err(|error| definition.of_specification(error))
        });
        Ok(Self::of(definition, prepared, hot.transpose()?))
    }

    pub(crate) fn of(
        definition: ActionDefinition,
        prepared: Prepared,
        hot: Option<Arc<HotQuery>>,
    ) -> Self {
        Self {
            hot,
            fingerprint: fingerprint(&definition),
            is_repeatable: prepared.is_repeatable(),
            definition,
            prepared,
            columns: RwLock::default(),
        }
    }

    /// The name in the URL and on the command line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The file's content.
    #[must_use]
    pub const fn definition(&self) -> &ActionDefinition {
        &self.definition
    }

    /// The columns of the last answer; `None` before the first. They depend on the files, and nothing is read to know them.
    #[must_use]
    pub fn answer_columns(&self) -> Option<Vec<AnswerColumn>> {
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        columns.as_ref().map(|schema| AnswerColumn::of(schema))
    }

    /// Whether an index of tables in memory names the rows of its answers, as far as is known: such an answer takes microseconds.
    #[must_use]
    pub fn is_look_up(&self) -> bool {
        self.hot.as_ref().is_some_and(|query| query.is_look_up())
    }

    /// Notes the columns of an answer.
    pub(crate) fn note_columns(&self, schema: &SchemaRef) {
        let known = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        // Each hot answer has the same schema.
        if known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, schema))
        {
            return;
        }
        drop(known);
        let mut known = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(schema));
    }

    /// The checked SQL.
    #[must_use]
    pub const fn prepared(&self) -> &Prepared {
        &self.prepared
    }
}

/// The digest of what the rows depend on. Each setting is named here, so that a new one has to be decided about: a missed one gives answers of
/// before its change, from `cache` and by their tags.
fn fingerprint(definition: &ActionDefinition) -> Fingerprint {
    let ActionDefinition {
        name,
        tables,
        // A request's values are in its tag, and their types are here.
        params,
        query: QueryDefinition { sql },
        limits:
            ActionLimits {
                max_rows,
                // Errors of what is too much, and never other rows.
                timeout: _,
                max_output_bytes: _,
                max_scan_bytes: _,
                max_keyless_rows: _,
                max_requests: _,
                max_cost_usd: _,
            },
        // How and whether the same rows are computed, kept or offered.
        description: _,
        genesys_token: _,
        hot: _,
        index: _,
        cache: _,
        engine: _,
        budget: _,
        genesys: _,
        source: _,
    } = definition;
    Fingerprint::of(&(name, sql, tables, params, max_rows))
}

/// Checks that the action's own budget can be meant.
fn check_budget(definition: &ActionDefinition) -> Result<(), ActionError> {
    let Some(key) = definition.budget.as_ref().and_then(below_zero) else {
        return Ok(());
    };
    let error = ActionError::new(
        ErrorCode::ConfigInvalid,
        format!(
            "`{key}` of the budget of action `{}` is below zero",
            definition.name
        ),
        "Set it to 0 to refuse every read, or leave it out for none.",
    );
    Err(error.at_key(["budget", key]))
}

/// Checks how long answers are kept.
fn check_cache(definition: &ActionDefinition) -> Result<(), ActionError> {
    let Some(time) = definition.cache else {
        return Ok(());
    };
    let (what, advice) = if definition.hot {
        (
            "has no effect with `hot = true`",
            "Leave it out: a hot answer comes from memory already.",
        )
    } else if time.is_zero() || time > LONGEST_CACHE {
        (
            "is longer than an hour, or nothing",
            "Set it to a time such as \"60s\", or leave it out.",
        )
    } else {
        return Ok(());
    };
    Err(ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("`cache` of action `{}` {what}", definition.name),
        advice,
    )
    .at_key(["cache"]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::DateTime;
    use serde_json::json;

    use super::{Action, ActionDefinition};
    use crate::versions::Versions;

    /// The tag of the answer to one question about the same files.
    fn tag(definition: &str) -> String {
        let definition = ActionDefinition::parse(Path::new("a.toml"), definition).unwrap();
        let action = Action::try_new(definition).unwrap();
        let values = json!({ "p": "1" }).as_object().unwrap().clone();
        let params = action.prepared().bind(&values, DateTime::UNIX_EPOCH);
        let tag = Versions::default().tag(&action.fingerprint, &params.unwrap());
        tag.unwrap().to_string()
    }

    #[test]
    fn an_answer_has_another_tag_when_a_setting_changes_its_rows() {
        let text = "name = \"a\"\n[tables.t]\nuri = \"s3://lake/t.csv\"\n[params.p]\ntype = \"string\"\n[limits]\nmax_rows = 7\n[query]\nsql = \"SELECT $p AS p FROM t\"\n";
        let first = tag(text);
        assert_eq!(
            tag(&format!("description = \"what it says\"\n{text}")),
            first
        );
        for (old, new) in [
            ("t.csv\"", "t.csv\"\nheader_lines = 2"),
            ("\"string\"", "\"integer\""),
            ("max_rows = 7", "max_rows = 8"),
            ("AS p FROM", "AS q FROM"),
            ("\"a\"", "\"b\""),
        ] {
            let changed = text.replacen(old, new, 1);
            assert_ne!(changed, text);
            assert_ne!(tag(&changed), first, "{new}");
        }
    }
}
