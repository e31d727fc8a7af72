//! Our excerpts of what others publish are still what they publish.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use flowlake_e2e::{Environment, piped};
use serde_json::Value;

#[test]
fn the_models_of_aws_requests_are_botocores() -> Result<()> {
    let environment = Environment::load()?;
    let dev_stack = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/dev-stack");
    let mut command = Command::new(environment.tool("python"));
    let printed = piped(
        command.arg(format!("{dev_stack}/python/aws_requests.py")),
        "",
    )?;
    let present: Value = serde_json::from_str(&printed)?;
    let ours: Value = serde_json::from_str(&fs::read_to_string(format!(
        "{dev_stack}/data/aws-requests.json"
    ))?)?;
    ensure!(
        present == ours,
        "crates/dev-stack/data/aws-requests.json is not what {} has: run python/aws_requests.py again",
        present["source"]
    );
    Ok(())
}
