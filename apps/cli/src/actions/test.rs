//! `flowlake actions test`.

use std::path::Path;

use flowlake_data_action::{ActionError, Door, ErrorCode, Project};
use flowlake_genesys_publish::{asked_version, split_version};

use super::{arguments::Test, platform, simulate};
use crate::{failure::Failure, output};

pub(super) async fn test(
    config: &Path,
    via: Option<Door>,
    arguments: &Test,
) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let client = platform::client(&project, via)?;
    let (base, asked) = asked_version(&arguments.action);
    let mut versions = client.versions(base).await?;
    if let Some(asked) = asked {
        versions.retain(|action| split_version(&action.name).1 == asked);
    }
    let action = versions
        .pop()
        .ok_or_else(|| not_published(&arguments.action))?;
    let live = client.live(&action.id).await?;
    let input = simulate::input(&live.document, &arguments.params)?;
    let outcome = client.test(&action.id, &input).await?;
    if arguments.json {
        output::print(&output::json(&outcome)?)?;
    } else {
        let mut lines = String::new();
        for (index, step) in outcome.steps.iter().enumerate() {
            let mark = if step.success { '✓' } else { '✗' };
            lines += &format!("{mark} {} {}", index + 1, step.name);
            if let Some(error) = &step.error {
                lines += &format!(" {error}");
            }
            lines.push('\n');
        }
        if let Some(result) = &outcome.result {
            lines += &simulate::variables(result);
        }
        output::print(&lines)?;
    }
    if outcome.success {
        return Ok(());
    }
    let why = outcome
        .error
        .as_deref()
        .unwrap_or("the platform does not say why");
    Err(ActionError::new(
        ErrorCode::GenesysRejected,
        format!("the test of `{}` failed: {why}", action.name),
        "The failed step is above; `flowlake actions simulate` shows the same steps from here.",
    )
    .into())
}

pub(super) fn not_published(name: &str) -> ActionError {
    ActionError::new(
        ErrorCode::GenesysRejected,
        format!("`{name}` is not published in this integration"),
        "`flowlake actions list` shows what is; `flowlake actions publish` publishes.",
    )
}
