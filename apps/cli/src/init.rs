//! `flowlake init`: a commented configuration and a first action, from the examples.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use flowlake_data_action::{ActionError, CONFIG_FILE, ErrorCode};

use crate::{arguments::Init, demo::EXAMPLE_CONFIG, failure::Failure, output};

const FIRST_ACTION: &str =
    include_str!("../../../examples/contact-centre/actions/agent-scorecard.toml");

pub(crate) fn init(arguments: &Init) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let actions = folder.join("actions");
    fs::create_dir_all(&actions)?;
    write_new(&folder.join(CONFIG_FILE), &first_config())?;
    write_new(&actions.join("agent-scorecard.toml"), FIRST_ACTION)?;
    output::print(&format!(
        "Wrote {0}/{CONFIG_FILE} and {0}/actions/agent-scorecard.toml.\nSet your bucket in both, then: flowlake --config {0} check --param agent_id=agent-0042\n",
        folder.display()
    ))?;
    Ok(())
}

/// The example without its Genesys Cloud organisation: the first action needs none, and its secret would be asked for.
fn first_config() -> String {
    let mut is_genesys = false;
    let lines = EXAMPLE_CONFIG.lines().map(|line| {
        if line.starts_with('[') {
            is_genesys = line.starts_with("[genesys]");
        }
        if is_genesys && !line.is_empty() {
            format!("# {line}\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// Writes a file that does not exist yet: what somebody wrote is never overwritten.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                return Failure::from(ActionError::new(
                    ErrorCode::ConfigInvalid,
                    format!("{} is there already", path.display()),
                    "Name another folder, or move the file away: nothing is overwritten.",
                ));
            }
            let what = format!("cannot write {}: {error}", path.display());
            std::io::Error::new(error.kind(), what).into()
        })?;
    Ok(file.write_all(text.as_bytes())?)
}
