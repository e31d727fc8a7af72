//! From an action's file and the columns of its SQL to the document of a data action.

use std::{fmt::Write as _, path::Path};

use flowlake_data_action::{
    ActionDefinition, ActionError, AnswerColumns, Door, ErrorCode, FlowShape, Inspector, Pipeline,
    ProcessEnvironment, Project, PublishSettings,
};
use flowlake_genesys_publish::{DataAction, DocumentBuilder, Field, OutputShape, ValueType};
use flowlake_transform::ParamType;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use super::arguments::Sources;
use crate::{failure::Failure, output, parameter::parameters};

/// Stands in for the server's address where no document leaves: in `flowlake check`.
const NOWHERE: &str = "https://flowlake.invalid";
/// Why an action is left out.
pub(super) const NO_SECTION: &str = "its file has no [genesys] section";
/// The longest that the platform waits.
const LONGEST_TIMEOUT_SECONDS: u64 = 60;
/// Genesys Cloud's own rule: three times the p99, and at least three seconds.
const SHORTEST_TIMEOUT_SECONDS: u64 = 3;
/// The fewest requests that have a p99.
const ENOUGH_REQUESTS: u64 = 100;

/// A project whose actions become documents.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) project: Project,
    pub(super) publish: PublishSettings,
    pub(super) door: Door,
    inspector: Inspector,
    params: Map<String, Value>,
    profile: Option<Value>,
}

/// One action as a document, and what it was made from.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) description: String,
    pub(super) document: DataAction,
    /// The parameters, as the JSON schema of an object.
    pub(super) input: Value,
    pub(super) sensitive: Vec<String>,
    pub(super) inputs: Vec<Field>,
    pub(super) columns: Vec<Field>,
    /// The SHA-256 of the SQL.
    pub(super) sql_sha256: String,
}

/// How an action fits the rules of data actions.
#[derive(Debug)]
pub(crate) enum Fit {
    /// It can be published in this shape.
    Fits(OutputShape),
    /// It breaks rules, and its file says that it is published.
    Broken(ActionError),
    /// It breaks rules, and its file does not say that it is published.
    Unfit(ActionError),
}

impl Documents {
    /// Loads the project; nothing is asked yet.
    pub(super) async fn load(
        config: &Path,
        via: Option<Door>,
        sources: &Sources,
    ) -> Result<Self, Failure> {
        let project = Project::load(config)?;
        let publish = settings(&project)?.clone();
        let door = publish.door(via)?;
        let profile = match &sources.profile {
            Some(source) => Some(source.read().await?),
            None => None,
        };
        let inspector = Pipeline::builder(project.clone())
            .inspect(&ProcessEnvironment)
            .await?;
        Ok(Self {
            project,
            publish,
            door,
            inspector,
            params: parameters(&sources.params)?,
            profile,
        })
    }

    /// The names that are meant: those given, else the published ones of the project, else all.
    pub(super) fn names(&self, given: &[String]) -> Result<Vec<String>, ActionError> {
        if !given.is_empty() {
            for name in given {
                self.inspector.action(name)?;
            }
            return Ok(given.to_vec());
        }
        if self.has_published() {
            return Ok(self.published());
        }
        let all = self
            .project
            .actions
            .keys()
            .chain(self.project.broken.keys());
        Ok(all.cloned().collect())
    }

    /// The actions whose files have a `[genesys]` section; those that cannot be read may have one.
    pub(super) fn published(&self) -> Vec<String> {
        let actions = self.project.actions.values();
        let published = actions.filter(|action| action.genesys.is_some());
        let published = published.map(|action| &action.name);
        published
            .chain(self.project.broken.keys())
            .cloned()
            .collect()
    }

    /// The actions that are not meant where none is named, since their files have no `[genesys]` section and others have.
    pub(super) fn left_out(&self, given: &[String]) -> Vec<&str> {
        let actions = self.project.actions.values();
        let unpublished = actions.filter(|action| action.genesys.is_none());
        let left_out = unpublished.filter(|_| given.is_empty() && self.has_published());
        left_out.map(|action| action.name.as_str()).collect()
    }

    fn has_published(&self) -> bool {
        let mut actions = self.project.actions.values();
        actions.any(|action| action.genesys.is_some())
    }

    /// The document of one action, with the columns that its SQL has over the present files.
    pub(super) async fn draft(&self, name: &str) -> Result<Drafted, ActionError> {
        let action = self.inspector.action(name)?;
        let definition = action.definition();
        let declared = &definition.params;
        let params = self.params.iter();
        let params = params
            .filter(|(param, _)| declared.contains_key(*param))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let check = Box::pin(self.inspector.check(name, &params)).await?;
        for table in check.tables? {
            if let Some(error) = table.error {
                return Err(error.in_action(name));
            }
        }
        let columns = check.columns.unwrap_or_else(|| {
            Err(ActionError::new(
                ErrorCode::Internal,
                "the columns of the answer are not known",
                "Report this.",
            ))
        });
        let columns = columns.map_err(|error| error.in_action(name))?;
        let timeout = self.timeout_seconds(definition);
        let builder = self
            .builder(definition, &columns)?
            .with_timeout_seconds(timeout);
        let document = builder
            .build()
            .map_err(|error| broken(&definition.name, &error.to_string()))?;
        Ok(Drafted {
            description: definition.description.clone(),
            input: definition.params_schema(|_| true),
            sensitive: definition.sensitive_params().map(str::to_owned).collect(),
            inputs: inputs(definition),
            columns: outputs(definition, &columns)?,
            sql_sha256: sha256(&definition.query.sql),
            document,
        })
    }

    /// Whether a published document calls this project's server, or its function.
    pub(super) fn is_ours(&self, document: &DataAction) -> bool {
        let called = &document.config.request.request_url_template;
        match (self.door, &self.publish.lambda) {
            (Door::Lambda, Some(lambda)) => called == lambda.function.as_str(),
            _ => {
                let server = self.publish.url.trim_end_matches('/');
                called.starts_with(&format!("{server}/v1/actions/"))
            }
        }
    }

    /// What calls the action through the door.
    fn builder(
        &self,
        definition: &ActionDefinition,
        columns: &AnswerColumns,
    ) -> Result<DocumentBuilder, ActionError> {
        let name = &definition.name;
        let builder = match (self.door, &self.publish.lambda) {
            (Door::Lambda, Some(lambda)) => {
                DocumentBuilder::for_function(name, lambda.function.as_str())
            }
            _ => DocumentBuilder::new(name, address(definition, self.publish.server()?))
                .with_credential(&self.publish.credential),
        };
        filled(builder, definition, columns)
    }

    /// How long the platform waits: a second more than the action itself, so that a flow gets the action's own error; with
    /// a profile of enough requests three times the p99 and at least 3 s, if that is shorter.
    fn timeout_seconds(&self, definition: &ActionDefinition) -> u64 {
        let own = definition.limits.timeout.as_secs_f64().ceil();
        let own = seconds(own)
            .saturating_add(1)
            .clamp(1, LONGEST_TIMEOUT_SECONDS);
        let Some(profile) = &self.profile else {
            return own;
        };
        let windows = &profile["actions"][&definition.name]["windows"];
        let window = &windows["since_start"]["duration"];
        let count = window["count"].as_u64().unwrap_or(0);
        match window["p99_ms"].as_f64() {
            Some(p99_ms) if count >= ENOUGH_REQUESTS => {
                let measured = seconds((3.0 * p99_ms / 1000.0).ceil());
                measured.max(SHORTEST_TIMEOUT_SECONDS).min(own)
            }
            _ => {
                output::note(&format!(
                    "the profile has {count} requests of `{}`, and a p99 needs {ENOUGH_REQUESTS}: the timeout is that of the action's file",
                    definition.name
                ));
                own
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a duration is not negative, and a cast of a float saturates"
)]
fn seconds(value: f64) -> u64 {
    value as u64
}

/// The SHA-256 of a document's contract.
pub(super) fn contract_sha256(document: &DataAction) -> String {
    sha256(&serde_json::to_string(&document.contract).unwrap_or_default())
}

fn sha256(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// `[publish]` of the project.
pub(super) fn settings(project: &Project) -> Result<&PublishSettings, ActionError> {
    project.config.publish.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "[publish] is not configured",
            "Add [publish] with the server's `url` and the `integration_id` to flowlake.toml.",
        )
    })
}

/// How an action fits the rules of data actions, for `flowlake check`.
pub(crate) fn fit(definition: &ActionDefinition, columns: &AnswerColumns) -> Fit {
    let url = Url::parse(NOWHERE).expect("the text is a URL");
    let builder = DocumentBuilder::new(&definition.name, url);
    let built = filled(builder, definition, columns).and_then(|builder| {
        builder
            .build()
            .map_err(|error| broken(&definition.name, &error.to_string()))
    });
    match (built, &definition.genesys) {
        (Ok(_), _) => Fit::Fits(shape(definition, columns)),
        (Err(error), Some(_)) => Fit::Broken(error),
        (Err(error), None) => Fit::Unfit(error),
    }
}

/// The shape of the action's file, or the one that follows from its SQL.
fn shape(definition: &ActionDefinition, columns: &AnswerColumns) -> OutputShape {
    let chosen = definition
        .genesys
        .as_ref()
        .and_then(|genesys| genesys.shape);
    match chosen {
        Some(FlowShape::FirstRow) => OutputShape::FirstRow,
        Some(FlowShape::Columns) => OutputShape::Columns,
        Some(FlowShape::Rows) => OutputShape::Rows,
        None if columns.at_most_one_row => OutputShape::FirstRow,
        None => OutputShape::Rows,
    }
}

/// Where the server at an http address answers the action for data actions.
fn address(definition: &ActionDefinition, mut server: Url) -> Url {
    if let Ok(mut path) = server.path_segments_mut() {
        path.pop_if_empty()
            .extend(["v1", "actions", &definition.name]);
    }
    server
        .query_pairs_mut()
        .append_pair("envelope", "data-action");
    server
}

/// A document with inputs, outputs and shape of the action.
fn filled(
    builder: DocumentBuilder,
    definition: &ActionDefinition,
    columns: &AnswerColumns,
) -> Result<DocumentBuilder, ActionError> {
    let genesys = definition.genesys.as_ref();
    Ok(builder
        .with_inputs(inputs(definition))
        .with_columns(outputs(definition, columns)?)
        .with_shape(shape(definition, columns))
        .with_secure(genesys.is_some_and(|genesys| genesys.secure)))
}

fn broken(action: &str, what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("`{action}` cannot be a data action: {what}"),
        "Correct the action's file; docs/genesys.md has the rules.",
    )
}

/// The parameters as inputs. One with a default is optional.
pub(super) fn inputs(definition: &ActionDefinition) -> Vec<Field> {
    let inputs = definition.params.iter().map(|(name, spec)| {
        let kind = match spec.kind {
            ParamType::Integer => ValueType::Integer,
            ParamType::Decimal => ValueType::Number,
            ParamType::Boolean => ValueType::Boolean,
            ParamType::String
            | ParamType::Date
            | ParamType::Timestamp
            | ParamType::Enum
            | ParamType::Phone
            // The server takes text with commas between the items.
            | ParamType::List => ValueType::String,
        };
        let mut field = Field::new(name, kind);
        if !spec.description.is_empty() {
            field = field.with_description(&spec.description);
        }
        match spec.default {
            Some(_) => field.optional(),
            None => field,
        }
    });
    inputs.collect()
}

/// The columns of the SQL as outputs.
pub(super) fn outputs(
    definition: &ActionDefinition,
    columns: &AnswerColumns,
) -> Result<Vec<Field>, ActionError> {
    let columns = columns.columns.iter().map(|column| {
        Field::of_column(&column.name, &column.data_type, column.nullable).map_err(|error| {
            broken(
                &definition.name,
                &format!("the column `{}`: {error}", column.name),
            )
        })
    });
    columns.collect()
}
