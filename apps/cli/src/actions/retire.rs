//! `flowlake actions retire`.

use std::{collections::BTreeMap, path::Path};

use flowlake_data_action::{ActionError, Door, ErrorCode, Project};
use flowlake_genesys_publish::{Action, Consumers, PlatformClient, asked_version, split_version};
use serde_json::{Value, json};

use super::{
    arguments::Retire,
    document::Documents,
    platform,
    record::Records,
    test::not_published,
    versions::{answering, is_published, until},
};
use crate::{failure::Failure, output};

pub(super) async fn retire(
    config: &Path,
    via: Option<Door>,
    arguments: &Retire,
) -> Result<(), Failure> {
    let documents = Documents::load(config, via, &arguments.sources).await?;
    let client = platform::client(&documents.project, Some(documents.door))?;
    let chosen = Chosen::of(&client, &documents, arguments).await?;
    let records = if arguments.dry_run || chosen.old.is_empty() {
        None
    } else {
        Some(Records::open(&documents.project)?)
    };
    let mut lines = String::new();
    let mut found = Vec::<Value>::new();
    let mut failed: Option<Failure> = None;
    for action in &chosen.old {
        let consumers = client.consumers(&action.id, action.secure).await?;
        if let Some(error) = used(action, &consumers) {
            lines += &format!("✗ {}: {}\n", action.name, error.message());
            for user in &consumers.list {
                lines += &format!("    {} {} ({})\n", user.kind, user.name, user.id);
            }
            found.push(json!({ "name": action.name, "id": action.id, "retired": false, "used_by": consumers.list, "error": error.to_json() }));
            failed.get_or_insert(error.into());
            continue;
        }
        let audit_id = match &records {
            Some(records) => match remove(&client, records, action).await {
                Ok(id) => Some(id),
                Err(failure) => {
                    // What is removed by now is printed all the same.
                    failed = Some(failure);
                    break;
                }
            },
            None => None,
        };
        lines += &match &audit_id {
            Some(id) => format!("✓ {} is removed, audit {id}\n", action.name),
            None => format!("✓ {} would be removed: no flow uses it\n", action.name),
        };
        found.push(json!({ "name": action.name, "id": action.id, "retired": audit_id.is_some(), "used_by": [], "audit_id": audit_id }));
    }
    if chosen.old.is_empty() {
        lines += &format!("{}: {}\n", arguments.action, chosen.nothing);
    }
    output::print(&if arguments.json {
        output::json(&found)?
    } else {
        lines
    })?;
    failed.map_or(Ok(()), Err)
}

/// What is to be removed.
struct Chosen {
    old: Vec<Action>,
    /// What is said when that is nothing.
    nothing: &'static str,
}

impl Chosen {
    async fn of(
        client: &PlatformClient,
        documents: &Documents,
        arguments: &Retire,
    ) -> Result<Self, Failure> {
        let project = &documents.project;
        let asked = &arguments.action;
        let live = client.list().await?;
        if let Some(action) = live.iter().find(|action| action.id == *asked) {
            // One of several equal names: any of them but the last is in the way.
            let equal = live.iter().filter(|other| other.name == action.name);
            if equal.count() < 2 && !arguments.current {
                return Err(refused(
                    &format!("`{asked}` is the only action named `{}`", action.name),
                    &format!("Name it: `flowlake actions retire {}`.", action.name),
                )
                .into());
            }
            return Ok(Self::these(vec![action.clone()]));
        }
        let (base, version) = asked_version(asked);
        let versions = client.versions(base).await?;
        let current = Current::of(client, documents, arguments, &versions).await?;
        if let Some(version) = version {
            let named = versions
                .into_iter()
                .find(|action| split_version(&action.name).1 == version);
            let Some(action) = named else {
                return Self::gone(project, base, asked);
            };
            if current.has(&action) {
                return Err(refused(
                    &format!("`{}` is what this project publishes", action.name),
                    "Flows may take it at any time: remove it all the same with --current.",
                )
                .into());
            }
            let chosen = Self::these(vec![action]);
            chosen.held_to_be_ours(client, documents, arguments).await?;
            return Ok(chosen);
        }
        if versions.is_empty() {
            return Self::gone(project, base, asked);
        }
        let old = versions.into_iter().filter(|action| !current.has(action));
        let chosen = Self::these(old.collect());
        chosen.held_to_be_ours(client, documents, arguments).await?;
        Ok(chosen)
    }

    fn these(old: Vec<Action>) -> Self {
        Self {
            old,
            nothing: "there is no old version",
        }
    }

    /// Of an action that is known, what is not there is removed already.
    fn gone(project: &Project, base: &str, asked: &str) -> Result<Self, Failure> {
        let of_base = |name: &String| split_version(name).0 == base;
        let is_known = project.actions.keys().any(of_base)
            || project.broken.keys().any(of_base)
            || Records::know(project, base)?;
        if is_known {
            Ok(Self {
                old: Vec::new(),
                nothing: "it is not published",
            })
        } else {
            Err(not_published(asked).into())
        }
    }

    /// What no file answers may belong to somebody else.
    async fn held_to_be_ours(
        &self,
        client: &PlatformClient,
        documents: &Documents,
        arguments: &Retire,
    ) -> Result<(), Failure> {
        for action in &self.old {
            let is_known = answering(&documents.project, &action.name).is_some();
            if is_known
                || arguments.foreign
                || documents.is_ours(&client.live(&action.id).await?.document)
            {
                continue;
            }
            return Err(refused(
                &format!(
                    "`{}` does not call this project's server, and no file of the project has its name",
                    action.name
                ),
                "It may be somebody else's: remove it all the same with --foreign.",
            )
            .into());
        }
        Ok(())
    }
}

/// The versions that the project publishes, by the actions whose files answer them.
struct Current(BTreeMap<String, String>);

impl Current {
    async fn of(
        client: &PlatformClient,
        documents: &Documents,
        arguments: &Retire,
        versions: &[Action],
    ) -> Result<Self, Failure> {
        let project = &documents.project;
        let mut current = BTreeMap::new();
        let files = versions
            .iter()
            .filter_map(|version| answering(project, &version.name))
            .filter(|file| is_published(project, file) && !arguments.current);
        for file in files {
            if current.contains_key(file) {
                continue;
            }
            let drafted = documents.draft(file).await?;
            let plan = client.plan(&drafted.document, until(project, file)).await?;
            // Until a new version is published, the newest is the one that flows take.
            if let Some(live) = plan.live {
                current.insert(file.to_owned(), live.id);
            }
        }
        Ok(Self(current))
    }

    fn has(&self, action: &Action) -> bool {
        self.0.values().any(|id| *id == action.id)
    }
}

fn refused(what: &str, advice: &str) -> ActionError {
    ActionError::new(ErrorCode::GenesysRejected, what.to_owned(), advice)
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
