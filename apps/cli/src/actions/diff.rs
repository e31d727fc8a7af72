//! `flowlake actions diff`.

use std::{collections::BTreeSet, path::Path};

use flowlake_data_action::Door;
use flowlake_genesys_publish::{
    Change, Effect, Plan, Step, diff as changes_between, split_version,
};
use serde_json::{Value, json};

use super::{
    arguments::Diff,
    document::{Documents, NO_SECTION},
    platform,
};
use crate::{failure::Failure, output};

/// Something differs, and flows can stay as they are.
const DIFFERS: u8 = 1;
/// A flow that takes the new version has to be changed.
const BREAKS: u8 = 7;

pub(super) async fn diff(
    config: &Path,
    via: Option<Door>,
    arguments: &Diff,
) -> Result<(), Failure> {
    let selection = &arguments.selection;
    let documents = Documents::load(config, via, &selection.sources).await?;
    let client = platform::client(&documents.project, Some(documents.door))?;
    let mut lines = String::new();
    let mut found = Vec::<Value>::new();
    let mut code = 0;
    for name in documents.names(&selection.actions)? {
        let drafted = documents.draft(&name).await?;
        let plan = client.plan(&drafted.document).await?;
        let changes = changes(&plan, &documents.publish.category);
        code = code.max(match plan.step {
            Step::Nothing => 0,
            _ if changes
                .iter()
                .any(|change| change.effect == Effect::Breaking) =>
            {
                BREAKS
            }
            _ => DIFFERS,
        });
        lines += &report(&name, &plan, &changes);
        found.push(json!({ "action": name, "step": plan.step, "name": plan.document.name, "changes": changes }));
    }
    let left_out = documents.left_out(&selection.actions);
    if !left_out.is_empty() {
        let live = client.list().await?;
        let live: BTreeSet<_> = live
            .iter()
            .map(|live| split_version(&live.name).0)
            .collect();
        for name in left_out {
            let is_live = live.contains(name);
            lines += &if is_live {
                code = code.max(DIFFERS);
                format!("! {name}: live, but {NO_SECTION}: add one, or retire it\n")
            } else {
                format!("- {name}: left out, since {NO_SECTION}\n")
            };
            found.push(json!({ "action": name, "left_out": NO_SECTION, "live": is_live }));
        }
    }
    output::print(&if selection.json {
        output::json(&found)?
    } else {
        lines
    })?;
    match code {
        0 => Ok(()),
        code => Err(Failure::Findings(code)),
    }
}

/// What differs from the newest published version.
pub(super) fn changes(plan: &Plan, category: &str) -> Vec<Change> {
    let Some(live) = &plan.live else {
        return Vec::new();
    };
    let mut changes = changes_between(&live.document, &plan.document);
    if live.category != category {
        changes.push(Change {
            path: "category".to_owned(),
            live: Some(json!(live.category)),
            wanted: Some(json!(category)),
            effect: Effect::InPlace,
        });
    }
    changes
}

/// What publishing would do, and why, in lines.
pub(super) fn report(name: &str, plan: &Plan, changes: &[Change]) -> String {
    let what = match plan.step {
        Step::Create => "is not published yet".to_owned(),
        Step::Nothing => format!("{} is as it is published", plan.document.name),
        Step::Update => format!("{} changes in place", plan.document.name),
        _ => format!(
            "its contract changes: {} comes beside the old",
            plan.document.name
        ),
    };
    let mut lines = format!("{name}: {what}\n");
    for change in changes {
        let effect = match change.effect {
            Effect::Breaking => "breaking ",
            Effect::NewVersion => "contract ",
            _ => "         ",
        };
        let side = |value: &Option<Value>| {
            value
                .as_ref()
                .map_or("nothing".to_owned(), Value::to_string)
        };
        lines += &format!(
            "  {effect}{}: {} -> {}\n",
            change.path,
            side(&change.live),
            side(&change.wanted)
        );
    }
    lines
}
