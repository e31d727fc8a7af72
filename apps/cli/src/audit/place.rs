//! The folder of a log that was typed, and the error where there is none.

use std::path::{Path, PathBuf};

use flowlake_data_action::{ActionError, ErrorCode};

use crate::failure::Failure;

/// A typed folder, relative to the configuration as all paths in it are. The configuration need not be there.
pub(super) fn typed(config: &Path, directory: &Path) -> PathBuf {
    let is_file = config.extension().is_some_and(|end| end == "toml") && !config.is_dir();
    let folder = if is_file {
        config.parent()
    } else {
        Some(config)
    };
    folder.unwrap_or(Path::new("")).join(directory)
}

/// The folder, if it is there.
pub(super) fn there(folder: PathBuf) -> Result<PathBuf, Failure> {
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(no_log(&folder).into())
    }
}

pub(super) fn no_log(folder: &Path) -> ActionError {
    ActionError::new(
        ErrorCode::AuditUnreadable,
        format!("there is no audit log in {}", folder.display()),
        "Name the folder of a log with --directory, relative to the configuration, or run an action first: its record begins the log.",
    )
}
