//! `flowlake init`: a commented configuration and a first action, from the examples.

use std::{fs, io::Write, path::Path};

use flowlake_data_action::CONFIG_FILE;

use crate::{arguments::Init, demo::EXAMPLE_CONFIG, failure::Failure, output};

const FIRST_ACTION: &str =
    include_str!("../../../examples/contact-centre/actions/agent-scorecard.toml");

pub(crate) fn init(arguments: &Init) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let actions = folder.join("actions");
    fs::create_dir_all(&actions)?;
    write_new(&folder.join(CONFIG_FILE), EXAMPLE_CONFIG)?;
    write_new(&actions.join("agent-scorecard.toml"), FIRST_ACTION)?;
    output::print(&format!(
        "Wrote {0}/{CONFIG_FILE} and {0}/actions/agent-scorecard.toml.\nSet your bucket in both, then: flowlake --config {0} check\n",
        folder.display()
    ))?;
    Ok(())
}

/// Writes a file that does not exist yet: what somebody wrote is never overwritten.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    Ok(file.write_all(text.as_bytes())?)
}
