//! `flowlake actions diff`.

use std::path::Path;

use flowlake_data_action::Door;
use flowlake_genesys_publish::PlatformClient;
use serde_json::{Value, json};

use super::{
    arguments::Diff,
    compare::Comparison,
    document::{Documents, NO_SECTION},
    platform,
    versions::answering,
};
use crate::{failure::Failure, output};

/// Something differs, and flows can stay as they are.
const DIFFERS: u8 = 1;
/// A flow that takes the new version has to be changed, or a flow fails already.
pub(crate) const BREAKS: u8 = 7;

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
        let compared = Comparison::of(&client, &documents, &name, &drafted).await?;
        code = code.max(if compared.is_breaking() || compared.fails_flows() {
            BREAKS
        } else if compared.differs() {
            DIFFERS
        } else {
            0
        });
        lines += &compared.lines(&name);
        found.push(compared.json(&name));
    }
    if selection.actions.is_empty() {
        code = code.max(left_out(&documents, &client, &mut lines, &mut found).await?);
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

/// The actions that are not meant, and those that are live and of no file.
async fn left_out(
    documents: &Documents,
    client: &PlatformClient,
    lines: &mut String,
    found: &mut Vec<Value>,
) -> Result<u8, Failure> {
    let project = &documents.project;
    let live = client.list().await?;
    let mut code = 0;
    for name in documents.left_out(&[]) {
        let is_live = live
            .iter()
            .any(|live| answering(project, &live.name) == Some(name));
        *lines += &if is_live {
            code = DIFFERS;
            format!("! {name}: live, but {NO_SECTION}: add one, or retire it\n")
        } else {
            format!("- {name}: left out, since {NO_SECTION}\n")
        };
        found.push(json!({ "action": name, "left_out": NO_SECTION, "live": is_live }));
    }
    for action in live {
        if answering(project, &action.name).is_some() {
            continue;
        }
        if documents.is_ours(&client.live(&action.id).await?.document) {
            code = DIFFERS;
            *lines += &format!(
                "! {}: live, but no file of this project answers it: retire it, or put its file back\n",
                action.name
            );
            found.push(
                json!({ "name": action.name, "id": action.id, "live": true, "answered_by": null }),
            );
        }
    }
    Ok(code)
}
