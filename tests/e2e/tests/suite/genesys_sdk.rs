//! The official Genesys Cloud SDK for Python, by its own requests, at our stand-in.

use std::process::Command;

use anyhow::{Result, ensure};
use flowlake_e2e::{EmbeddedStack, Environment, piped};
use flowlake_genesys_auth::Region;
use serde_json::Value;

#[test]
fn the_official_sdk_logs_in_and_publishes_at_the_stand_in() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("genesys_sdk")?;
    let stack = EmbeddedStack::start(&folder.join("buckets"))?;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../crates/dev-stack/python/genesys_sdk.py"
    );
    let mut command = Command::new(environment.tool("python"));
    // It would read a configuration of the machine's user otherwise.
    command
        .arg(script)
        .current_dir(&folder)
        .env("HOME", &folder);
    let printed = piped(&mut command, &format!("{}\n", stack.genesys_endpoints()))?;
    ensure!(printed.trim_end().ends_with("ok"), "{printed}");
    // One refused login and one that was given a token; what came after is the script's to check.
    ensure!(
        stack.genesys_logins() == 2,
        "{} logins",
        stack.genesys_logins()
    );
    Ok(())
}

#[test]
fn our_regions_are_those_of_the_official_sdk() -> Result<()> {
    let environment = Environment::load()?;
    let hosts = environment
        .python()
        .call("genesys_hosts", &Value::Object(serde_json::Map::new()))?;
    let mut theirs: Vec<(String, String)> = serde_json::from_value(hosts)?;
    let mut ours: Vec<_> = Region::all()
        .map(|region| {
            let api = region.api_url();
            let name = region.aws_region().replace('-', "_");
            (name, api.as_str().trim_end_matches('/').to_owned())
        })
        .collect();
    theirs.sort();
    ours.sort();
    ensure!(ours == theirs, "{ours:#?}\n{theirs:#?}");
    Ok(())
}
