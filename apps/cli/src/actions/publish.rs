//! `flowlake actions publish`.

use std::path::Path;

use flowlake_data_action::{ActionError, Door, ErrorCode};
use flowlake_genesys_publish::{Consumer, Plan, PlatformClient, Published, Step};
use serde_json::{Value, json};

use super::{
    arguments::Publish,
    diff::{changes, report},
    document::{Documents, Drafted},
    platform,
    record::Records,
};
use crate::{failure::Failure, output};

pub(super) async fn publish(
    config: &Path,
    via: Option<Door>,
    arguments: &Publish,
) -> Result<(), Failure> {
    let documents = Documents::load(config, via, &arguments.sources).await?;
    let client = platform::client(&documents.project, Some(documents.door))?;
    let names = if arguments.all {
        documents.published()
    } else {
        documents.names(&arguments.actions)?
    };
    if names.is_empty() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "no action has a [genesys] section",
            "Add [genesys] to the files of the actions that are published, or name the actions.",
        )
        .into());
    }
    // Nothing is published unless every document can be made.
    let mut drafts = Vec::with_capacity(names.len());
    for name in names {
        let drafted = documents.draft(&name).await?;
        drafts.push((name, drafted));
    }
    let records = if arguments.dry_run {
        None
    } else {
        Some(Records::open(&documents.project)?)
    };
    let mut found = Vec::<Value>::new();
    for (name, drafted) in &drafts {
        let plan = client.plan(&drafted.document).await?;
        let changes = changes(&plan, &documents.publish.category);
        let mut told = report(name, &plan, &changes);
        let users = users(&client, &plan).await?;
        for (version, users) in &users {
            told += &format!("  {version} is still used by:\n");
            for user in users {
                told += &format!("    {} {} ({})\n", user.kind, user.name, user.id);
            }
        }
        let mut outcome = json!({
            "action": name, "step": plan.step, "name": plan.document.name, "changes": changes,
            "dry_run": arguments.dry_run,
            "still_used": users.iter().map(|(version, users)| json!({ "name": version, "by": users })).collect::<Vec<_>>(),
        });
        if let Some(records) = &records {
            let (published, audit_id) = apply(&client, records, name, drafted, &plan).await?;
            if let Some(published) = published {
                told += &format!(
                    "  published {} as {} revision {}, audit {audit_id}\n",
                    plan.document.name, published.id, published.version
                );
                outcome["id"] = json!(published.id);
                outcome["revision"] = json!(published.version);
                outcome["audit_id"] = json!(audit_id);
            }
        }
        if !arguments.json {
            output::print(&told)?;
        }
        found.push(outcome);
    }
    if arguments.json {
        output::print(&output::json(&found)?)?;
    }
    Ok(())
}

/// What still uses the versions that a new one comes beside.
async fn users(
    client: &PlatformClient,
    plan: &Plan,
) -> Result<Vec<(String, Vec<Consumer>)>, Failure> {
    let mut users = Vec::new();
    for older in &plan.older {
        let consumers = client.consumers(older).await?;
        if !consumers.list.is_empty() {
            users.push((older.name.clone(), consumers.list));
        }
    }
    Ok(users)
}

/// Publishes, and records that it was done or why not.
async fn apply(
    client: &PlatformClient,
    records: &Records,
    name: &str,
    drafted: &Drafted,
    plan: &Plan,
) -> Result<(Option<Published>, String), Failure> {
    if plan.step == Step::Nothing {
        return Ok((None, String::new()));
    }
    let published = client.publish(&plan.document).await;
    let published = published.map_err(platform::action_error);
    let (id, version) = published.as_ref().map_or_else(
        |_| (String::new(), String::new()),
        |published| (published.id.clone(), published.version.to_string()),
    );
    let details = [
        ("operation", "publish"),
        ("data_action", plan.document.name.as_str()),
        ("data_action_id", id.as_str()),
        ("data_action_version", version.as_str()),
        ("sql_sha256", drafted.sql_sha256.as_str()),
        ("contract_sha256", drafted.contract_sha256.as_str()),
    ];
    let outcome = published.as_ref().map(|_| "published as a data action");
    let audit_id = records.append(name, &details, outcome).await?;
    match published {
        Ok(published) => Ok((Some(published), audit_id)),
        Err(error) => Err(Failure::Action(Box::new(error), Some(audit_id))),
    }
}
