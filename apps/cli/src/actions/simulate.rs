//! `flowlake actions simulate`.

use std::{fs, path::Path};

use flowlake_data_action::{ActionError, Door, ErrorCode, ProcessEnvironment, SecretSource};
use flowlake_genesys_publish::{DataAction, Reply, Simulated, Simulator};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    arguments::{Simulate, Sources},
    document::Documents,
};
use crate::{
    failure::{Failure, unreadable},
    output,
};

/// The organisation that a simulated call comes from.
const ORGANIZATION: &str = "00000000-0000-0000-0000-000000000000";

pub(super) async fn simulate(
    config: &Path,
    via: Option<Door>,
    arguments: &Simulate,
) -> Result<(), Failure> {
    let correlation = Uuid::new_v4().to_string();
    let mut simulator = Simulator::default()
        .with_header("ININ-Correlation-Id", &correlation)
        .with_header("ININ-Organization-Id", ORGANIZATION)
        .with_header("ININ-Home-Organization-Id", ORGANIZATION);
    let document = match (&arguments.action, &arguments.file) {
        (_, Some(path)) => DataAction::from_foreign_json(&read(path)?)?,
        (name, None) => {
            let sources = Sources {
                params: arguments.params.clone(),
                profile: None,
            };
            let documents = Documents::load(config, via, &sources).await?;
            // The key that the server knows is the one that the integration sends.
            let keys = documents.project.config.server.keys.first();
            if let Some(key) = keys.filter(|_| documents.door == Door::WebService) {
                let secret = key.secret.read(&ProcessEnvironment)?;
                simulator = simulator.with_credential(&documents.publish.credential, secret);
            }
            let name = name.as_deref().unwrap_or_default();
            documents.draft(name).await?.document
        }
    };
    for (name, variable) in &arguments.credentials {
        let secret = SecretSource::Env(variable.clone()).read(&ProcessEnvironment)?;
        simulator = simulator.with_credential(name, secret);
    }
    if let Some(server) = &arguments.server {
        simulator = simulator.with_base(server.clone());
    }
    let reply = match (&arguments.answer, arguments.dry_run) {
        (Some(path), _) => Reply::Given(read(path)?),
        (None, true) => Reply::None,
        (None, false) => Reply::Call,
    };
    let input = input(&document, &arguments.params)?;
    let outcome = simulator.run(&document, &input, &reply).await;
    output::print(&if arguments.json {
        output::json(&outcome)?
    } else {
        lines(&outcome)
    })?;
    let Some(error) = &outcome.error else {
        return Ok(());
    };
    let why = error["message"].as_str().unwrap_or_default();
    let needs_runtime = document.is_lambda() && arguments.server.is_none();
    let advice = if needs_runtime && matches!(reply, Reply::Call) {
        "Give the address of a local runtime with --server URL, an answer with --answer FILE, or only show the request with --dry-run."
    } else {
        "The failed step is above; a flow takes its failure path here."
    };
    Err(ActionError::new(
        ErrorCode::GenesysRejected,
        format!("the simulation of {:?} failed: {why}", document.name),
        advice,
    )
    .into())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error).into())
}

/// Values as typed, each of the type that the contract gives its input.
pub(super) fn input(
    document: &DataAction,
    params: &[(String, String)],
) -> Result<Value, ActionError> {
    let properties = &document.contract.input.input_schema["properties"];
    let mut input = Map::new();
    for (name, text) in params {
        let wrong = |what: &str| {
            let known: Vec<&String> = properties
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .collect();
            ActionError::new(
                ErrorCode::ParamInvalid,
                format!("the input `{name}` {what}"),
                format!("The inputs of this data action are {known:?}."),
            )
        };
        let kind = &properties
            .get(name)
            .ok_or_else(|| wrong("does not exist"))?["type"];
        let value = match kind.as_str() {
            Some("integer") => text.parse::<i64>().ok().map(|number| json!(number)),
            Some("number") => text.parse::<f64>().ok().map(|number| json!(number)),
            Some("boolean") => text.parse::<bool>().ok().map(|flag| json!(flag)),
            _ => Some(json!(text)),
        };
        let value = value.ok_or_else(|| wrong(&format!("must be of the type {kind}")))?;
        input.insert(name.clone(), value);
    }
    Ok(Value::Object(input))
}

fn lines(outcome: &Simulated) -> String {
    let mut lines = String::new();
    for operation in &outcome.operations {
        let mark = if operation.success { '✓' } else { '✗' };
        lines += &format!("{mark} {} {}\n", operation.step, operation.name);
        let told = operation.result.as_ref().or(operation.error.as_ref());
        if let Some(told) = told {
            for line in format!("{told:#}").lines() {
                lines += &format!("    {line}\n");
            }
        }
    }
    for reference in &outcome.unresolved {
        lines += &format!("! {reference} has no value and is passed on as it is written\n");
    }
    if let Some(result) = &outcome.final_result {
        lines += &variables(result);
    }
    lines
}

/// The variables that a flow sees: a list of objects as one list for each of their members, as Architect flattens it.
pub(super) fn variables(result: &Value) -> String {
    let mut lines = "\nA flow sees:\n".to_owned();
    for (name, value) in result.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let mut members: Vec<&String> = Vec::new();
                for key in items
                    .iter()
                    .filter_map(Value::as_object)
                    .flat_map(Map::keys)
                {
                    if !members.contains(&key) {
                        members.push(key);
                    }
                }
                for member in members {
                    let list: Vec<&Value> = items
                        .iter()
                        .map(|item| item.get(member).unwrap_or(&Value::Null))
                        .collect();
                    lines += &format!("  {name}.{member} = {}\n", json!(list));
                }
            }
            value => lines += &format!("  {name} = {value}\n"),
        }
    }
    lines
}
