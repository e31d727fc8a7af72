//! Where audit logs are: as typed, as the configuration says, or where questions without a configuration leave them.

use std::path::{Path, PathBuf};

use flowlake_cost_audit::audit;
use flowlake_data_action::{ActionError, Config, ErrorCode};

use super::arguments::Place;
use crate::state;

/// The logs that are meant, at least one, and each once. The action files are not read: they may be wrong, and the log may not.
pub(super) fn logs(config: &Path, place: &Place) -> Result<Vec<PathBuf>, ActionError> {
    if place.directories.is_empty() {
        return there(&[configured(config)?.log.directory]);
    }
    there(&typed(config, &place.directories))
}

/// What the configuration says of the log.
pub(super) fn configured(config: &Path) -> Result<flowlake_data_action::AuditConfig, ActionError> {
    if state::has_config(config) {
        return Ok(Config::load(config)?.1.audit);
    }
    Ok(state::without_config()?.config.audit)
}

/// Typed folders, relative to the configuration as all paths in it are. The configuration need not be there.
pub(super) fn typed(config: &Path, directories: &[PathBuf]) -> Vec<PathBuf> {
    let is_file = config.extension().is_some_and(|end| end == "toml") && !config.is_dir();
    let folder = if is_file {
        config.parent()
    } else {
        Some(config)
    };
    let folder = folder.unwrap_or(Path::new(""));
    directories.iter().map(|typed| folder.join(typed)).collect()
}

/// The logs of these folders, which must be different ones: a folder is a log, or holds those of several processes or servers.
pub(super) fn there(folders: &[PathBuf]) -> Result<Vec<PathBuf>, ActionError> {
    let mut logs = Vec::new();
    for folder in folders {
        let found = if folder.is_dir() {
            audit::logs(folder)?
        } else {
            Vec::new()
        };
        if found.is_empty() {
            return Err(no_log(folder));
        }
        logs.extend(found);
    }
    audit::distinct(&logs)?;
    Ok(logs)
}

pub(super) fn no_log(folder: &Path) -> ActionError {
    ActionError::new(
        ErrorCode::AuditUnreadable,
        format!("there is no audit log in {}", folder.display()),
        "Name the folder of a log with --directory, relative to the configuration, or run an action first: its record begins the log.",
    )
}
