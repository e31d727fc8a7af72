//! `flowlake actions list`.

use std::{collections::BTreeSet, path::Path};

use flowlake_data_action::{Door, Project};
use flowlake_genesys_publish::split_version;
use serde_json::{Value, json};

use super::{arguments::List, platform, versions::answering};
use crate::{failure::Failure, output};

pub(super) async fn list(
    config: &Path,
    via: Option<Door>,
    arguments: &List,
) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let client = platform::client(&project, via)?;
    let published = client.list().await?;
    let mut found = Vec::<Value>::new();
    let mut lines = String::new();
    let mut answered = BTreeSet::new();
    for action in &published {
        let (base, version) = split_version(&action.name);
        let file = answering(&project, &action.name);
        let known = file.is_some();
        answered.extend(file);
        let remark = if known { "" } else { "  (not of this project)" };
        lines += &format!(
            "{:<40} {}  revision {}{remark}\n",
            action.name, action.id, action.version
        );
        found.push(json!({
            "name": action.name, "action": base, "contract_version": version, "id": action.id,
            "revision": action.version, "secure": action.secure, "in_project": known,
        }));
    }
    let missing: Vec<&String> = project
        .actions
        .keys()
        .filter(|name| !answered.contains(name.as_str()))
        .collect();
    for name in &missing {
        lines += &format!("{name:<40} not published\n");
    }
    output::print(&if arguments.json {
        output::json(&json!({ "published": found, "not_published": missing }))?
    } else {
        lines
    })?;
    let mut twins = published.chunk_by(|left, right| left.name == right.name);
    match twins.find(|twins| twins.len() > 1) {
        Some(twins) => {
            let what = format!("{} actions are named `{}`", twins.len(), twins[0].name);
            Err(platform::ambiguous(&what).into())
        }
        None => Ok(()),
    }
}
