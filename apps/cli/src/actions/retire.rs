//! `flowlake actions retire`.

use std::path::Path;

use flowlake_data_action::{ActionError, Door, ErrorCode, Project};
use flowlake_genesys_publish::{Action, Consumers, PlatformClient, split_version};
use serde_json::{Value, json};

use super::{arguments::Retire, platform, record::Records, test::not_published};
use crate::{failure::Failure, output};

pub(super) async fn retire(
    config: &Path,
    via: Option<Door>,
    arguments: &Retire,
) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let client = platform::client(&project, via)?;
    let old = chosen(&client, &arguments.action).await?;
    let records = if arguments.dry_run || old.is_empty() {
        None
    } else {
        Some(Records::open(&project)?)
    };
    let mut lines = String::new();
    let mut found = Vec::<Value>::new();
    let mut in_use = None;
    for action in &old {
        let consumers = client.consumers(action).await?;
        if let Some(error) = used(action, &consumers) {
            lines += &format!("✗ {}: {}\n", action.name, error.message());
            for user in &consumers.list {
                lines += &format!("    {} {} ({})\n", user.kind, user.name, user.id);
            }
            found.push(json!({ "name": action.name, "id": action.id, "retired": false, "used_by": consumers.list, "error": error.to_json() }));
            in_use.get_or_insert(error);
            continue;
        }
        let audit_id = match &records {
            Some(records) => Some(remove(&client, records, action).await?),
            None => None,
        };
        lines += &match &audit_id {
            Some(id) => format!("✓ {} is removed, audit {id}\n", action.name),
            None => format!("✓ {} would be removed: no flow uses it\n", action.name),
        };
        found.push(json!({ "name": action.name, "id": action.id, "retired": audit_id.is_some(), "used_by": [], "audit_id": audit_id }));
    }
    if old.is_empty() {
        lines += &format!("{}: there is no old version\n", arguments.action);
    }
    output::print(&if arguments.json {
        output::json(&found)?
    } else {
        lines
    })?;
    match in_use {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The one version that is named, or all but the newest.
async fn chosen(client: &PlatformClient, name: &str) -> Result<Vec<Action>, Failure> {
    let (base, version) = split_version(name);
    let mut versions = client.versions(base).await?;
    if version > 1 {
        versions.retain(|action| action.name == name);
        if versions.is_empty() {
            return Err(not_published(name).into());
        }
        return Ok(versions);
    }
    if versions.is_empty() {
        return Err(not_published(name).into());
    }
    versions.pop();
    Ok(versions)
}

/// Why an action has to stay.
fn used(action: &Action, consumers: &Consumers) -> Option<ActionError> {
    let (what, advice) = if !consumers.list.is_empty() {
        (
            format!("{} uses of it are left", consumers.list.len()),
            "Let these flows use the newest version, publish them, and try again.",
        )
    } else if !consumers.complete {
        (
            "Architect's dependency tracking is incomplete, so its uses are not known".to_owned(),
            "Wait until dependency tracking is rebuilt, and try again.",
        )
    } else {
        return None;
    };
    Some(ActionError::new(
        ErrorCode::GenesysInUse,
        format!("`{}` stays: {what}", action.name),
        advice,
    ))
}

/// Removes, and records that it was done or why not.
async fn remove(
    client: &PlatformClient,
    records: &Records,
    action: &Action,
) -> Result<String, Failure> {
    let deleted = client.delete(&action.id).await;
    let deleted = deleted.map_err(platform::action_error);
    let version = action.version.to_string();
    let details = [
        ("operation", "retire"),
        ("data_action", action.name.as_str()),
        ("data_action_id", action.id.as_str()),
        ("data_action_version", version.as_str()),
    ];
    let (base, _) = split_version(&action.name);
    let outcome = deleted.as_ref().map(|()| "removed as a data action");
    let audit_id = records.append(base, &details, outcome).await?;
    match deleted {
        Ok(()) => Ok(audit_id),
        Err(error) => Err(Failure::Action(Box::new(error), Some(audit_id))),
    }
}
