//! Where audit logs are: as typed, as the configuration says, or where questions without a configuration leave them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flowlake_data_action::{ActionError, Config, ErrorCode};

use super::arguments::Place;
use crate::state;

/// The logs that are meant, at least one. The action files are not read: they may be wrong, and the log may not.
pub(super) fn logs(config: &Path, place: &Place) -> Result<Vec<PathBuf>, ActionError> {
    let folder = match &place.directory {
        Some(directory) => typed(config, directory),
        None => configured(config)?.log.directory,
    };
    there(folder)
}

/// What the configuration says of the log.
pub(super) fn configured(config: &Path) -> Result<flowlake_data_action::AuditConfig, ActionError> {
    if state::has_config(config) {
        return Ok(Config::load(config)?.1.audit);
    }
    Ok(state::without_config()?.config.audit)
}

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

/// The log of a folder, if it is there, or the logs in its numbered folders: programs that run at the same time each have one.
pub(super) fn there(folder: PathBuf) -> Result<Vec<PathBuf>, ActionError> {
    if !folder.is_dir() {
        return Err(no_log(&folder));
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            entry.path().is_dir().then(|| (number, entry.path()))
        })
        .collect();
    if numbered.is_empty() {
        return Ok(vec![folder]);
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, log)| log).collect())
}

pub(super) fn no_log(folder: &Path) -> ActionError {
    ActionError::new(
        ErrorCode::AuditUnreadable,
        format!("there is no audit log in {}", folder.display()),
        "Name the folder of a log with --directory, relative to the configuration, or run an action first: its record begins the log.",
    )
}
