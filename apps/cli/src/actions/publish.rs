//! `flowlake actions publish`.

use std::path::Path;

use flowlake_data_action::{ActionError, Door, ErrorCode};
use flowlake_genesys_publish::{DataAction, PlatformClient, PlatformSettings, Published, Step};
use serde_json::{Value, json};

use super::{
    arguments::Publish,
    compare::{Comparison, Other},
    document::{Documents, Drafted, contract_sha256},
    platform::{self, PATIENCE_SECONDS},
    record::Records,
};
use crate::{failure::Failure, output};

pub(super) async fn publish(
    config: &Path,
    via: Option<Door>,
    arguments: &Publish,
) -> Result<(), Failure> {
    let documents = Documents::load(config, via, &arguments.sources).await?;
    let (project, door) = (&documents.project, Some(documents.door));
    let settings = |settings: &mut PlatformSettings| {
        settings.overwrite_drafts = arguments.overwrite_drafts;
    };
    let client = platform::builder(project, door, PATIENCE_SECONDS, settings)?.build()?;
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
    // Nor unless it is known of every action that no flow and no draft is harmed unasked.
    let mut compared = Vec::with_capacity(drafts.len());
    for (name, drafted) in &drafts {
        let comparison = Comparison::of(&client, &documents, name, drafted).await?;
        let refused = refused(name, &comparison, arguments);
        compared.push((name, drafted, comparison));
        if let Some(error) = refused {
            show(&compared, arguments)?;
            return Err(error.into());
        }
    }
    if arguments.dry_run {
        return show(&compared, arguments);
    }
    let publisher = Publisher {
        client,
        records: Records::open(&documents.project)?,
    };
    let mut found = Vec::<Value>::new();
    for (name, drafted, comparison) in &compared {
        let mut told = comparison.lines(name);
        let mut outcome = comparison.json(name);
        outcome["dry_run"] = json!(false);
        let applied = publisher
            .apply(name, drafted, comparison, &mut told, &mut outcome)
            .await;
        if !arguments.json {
            output::print(&told)?;
        }
        if let Err(failure) = applied {
            // What is published by now is printed all the same.
            if arguments.json {
                output::print(&output::json(&found)?)?;
            }
            return Err(in_action(failure, name));
        }
        found.push(outcome);
    }
    if arguments.json {
        output::print(&output::json(&found)?)?;
    }
    Ok(())
}

fn in_action(failure: Failure, name: &str) -> Failure {
    match failure {
        Failure::Action(error, audit_id) => {
            Failure::Action(Box::new(error.in_action(name)), audit_id)
        }
        failure => failure,
    }
}

/// What would be done.
fn show(compared: &[(&String, &Drafted, Comparison)], arguments: &Publish) -> Result<(), Failure> {
    let mut lines = String::new();
    let mut found = Vec::new();
    for (name, _, comparison) in compared {
        lines += &comparison.lines(name);
        let mut outcome = comparison.json(name);
        outcome["dry_run"] = json!(true);
        found.push(outcome);
    }
    output::print(&if arguments.json {
        output::json(&found)?
    } else {
        lines
    })?;
    Ok(())
}

/// Why publishing would harm what nobody named.
fn refused(name: &str, comparison: &Comparison, arguments: &Publish) -> Option<ActionError> {
    if let Some(draft) = comparison.plan.foreign_draft.as_ref()
        && !arguments.overwrite_drafts
    {
        return Some(platform::foreign_draft(&format!(
            "somebody else is at work on `{}`: the draft {} is not what is published, nor what would be",
            comparison.plan.document.name, draft.id
        )));
    }
    let accepted = |other: &&Other| arguments.breaking.iter().any(|named| named == other.name());
    let other = comparison.broken().find(|other| !accepted(other))?;
    let why: Vec<String> = other.misfits.iter().map(ToString::to_string).collect();
    let version = other.name();
    let wanted = &comparison.plan.document.name;
    Some(ActionError::new(
        ErrorCode::GenesysInUse,
        format!(
            "`{version}` cannot be answered with the file of `{name}` ({}): {}",
            other.users(),
            why.join("; ")
        ),
        format!(
            "Keep the old SQL in the file of `{name}`, and write the new one into a file of its own with `name = \"{wanted}\"`; or accept the failures with --break {version}."
        ),
    ))
}

/// Publishes, and records that it was done or why not.
struct Publisher {
    client: PlatformClient,
    records: Records,
}

impl Publisher {
    /// The action, and then the other versions that its file answers.
    async fn apply(
        &self,
        name: &str,
        drafted: &Drafted,
        comparison: &Comparison,
        told: &mut String,
        outcome: &mut Value,
    ) -> Result<(), Failure> {
        let plan = &comparison.plan;
        if plan.step == Step::Nothing {
            if let Some(audit_id) = self.confirm(name, drafted, comparison).await? {
                *told += &format!("  its SQL is recorded as what answers now, audit {audit_id}\n");
                outcome["audit_id"] = json!(audit_id);
            }
        } else {
            let (published, audit_id) = self.publish(name, drafted, &plan.document).await?;
            *told += &line(&plan.document, &published, &audit_id);
            outcome["id"] = json!(published.id);
            outcome["revision"] = json!(published.version);
            outcome["audit_id"] = json!(audit_id);
            twins(&plan.document, &published, audit_id)?;
        }
        for (index, other) in comparison.others.iter().enumerate() {
            if other.version.changes.is_empty() {
                continue;
            }
            let document = &other.version.document;
            let (published, audit_id) = self.publish(name, drafted, document).await?;
            *told += &line(document, &published, &audit_id);
            outcome["others"][index]["revision"] = json!(published.version);
            outcome["others"][index]["audit_id"] = json!(audit_id);
        }
        Ok(())
    }

    async fn publish(
        &self,
        name: &str,
        drafted: &Drafted,
        document: &DataAction,
    ) -> Result<(Published, String), Failure> {
        let published = self.client.publish(document).await;
        let published = published.map_err(platform::action_error);
        let (id, version) = published.as_ref().map_or_else(
            |_| (String::new(), String::new()),
            |published| (published.id.clone(), published.version.to_string()),
        );
        let contract = contract_sha256(document);
        let details = details("publish", document, &id, &version, &contract, drafted);
        let outcome = published.as_ref().map(|_| "published as a data action");
        let audit_id = self.records.append(name, &details, outcome).await?;
        match published {
            Ok(published) => Ok((published, audit_id)),
            Err(error) => Err(Failure::Action(Box::new(error), Some(audit_id))),
        }
    }

    /// Records what is live when the last record says something else: the SQL changed and the contract did not, or the
    /// answer to an earlier attempt did not arrive.
    async fn confirm(
        &self,
        name: &str,
        drafted: &Drafted,
        comparison: &Comparison,
    ) -> Result<Option<String>, Failure> {
        let Some(live) = &comparison.plan.live else {
            return Ok(None);
        };
        let last = self.records.last(name, &live.document.name)?;
        let is_recorded = last.is_some_and(|record| {
            record.get("sql_sha256") == Some(&drafted.sql_sha256)
                && record.get("data_action_id") == Some(&live.id)
        });
        if is_recorded {
            return Ok(None);
        }
        let version = live.version.to_string();
        let contract = contract_sha256(&live.document);
        let details = details(
            "confirm",
            &live.document,
            &live.id,
            &version,
            &contract,
            drafted,
        );
        let outcome = Ok("found live as it is published");
        Ok(Some(self.records.append(name, &details, outcome).await?))
    }
}

fn details<'a>(
    operation: &'a str,
    document: &'a DataAction,
    id: &'a str,
    version: &'a str,
    contract_sha256: &'a str,
    drafted: &'a Drafted,
) -> [(&'a str, &'a str); 6] {
    [
        ("operation", operation),
        ("data_action", &document.name),
        ("data_action_id", id),
        ("data_action_version", version),
        ("sql_sha256", &drafted.sql_sha256),
        ("contract_sha256", contract_sha256),
    ]
}

fn line(document: &DataAction, published: &Published, audit_id: &str) -> String {
    format!(
        "  published {} as {} revision {}, audit {audit_id}\n",
        document.name, published.id, published.version
    )
}

/// Somebody else made an action of the same name at the same time.
fn twins(document: &DataAction, published: &Published, audit_id: String) -> Result<(), Failure> {
    if published.twins.is_empty() {
        return Ok(());
    }
    let error = platform::ambiguous(&format!(
        "`{}` is published, and somebody else published one of the same name: {} and {}",
        document.name,
        published.id,
        published.twins.join(", ")
    ));
    Err(Failure::Action(Box::new(error), Some(audit_id)))
}
