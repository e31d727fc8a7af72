//! Where audit logs are: as typed, on S3 too, as the configuration says, or where questions without a configuration leave them.

use std::path::{Path, PathBuf};

use flowlake_cost_audit::audit;
use flowlake_data_action::{ActionError, Config, ErrorCode, bring_shipped};
use tempfile::TempDir;

use super::arguments::Place;
use crate::{failure::Failure, state};

/// Logs in folders of this machine, at least one, each once.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) all: Vec<Log>,
    /// Where those of S3 are meanwhile.
    fetched: Option<TempDir>,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) folder: PathBuf,
    /// Where it lies: its folder, or its place on S3.
    pub(super) name: String,
}

impl Logs {
    /// Whether some of them are copies, to which nothing comes any more.
    pub(super) const fn are_fetched(&self) -> bool {
        self.fetched.is_some()
    }

    /// Adds the logs of a folder: itself, or those of several processes or servers in it.
    fn add(&mut self, folder: &Path, name: &dyn Fn(&Path) -> String) -> Result<(), ActionError> {
        let found = if folder.is_dir() {
            audit::logs(folder)?
        } else {
            Vec::new()
        };
        if found.is_empty() {
            return Err(no_log(&name(folder)));
        }
        let logs = found.into_iter();
        self.all.extend(logs.map(|folder| Log {
            name: name(&folder),
            folder,
        }));
        Ok(())
    }
}

/// The logs that are meant. The action files are not read: they may be wrong, and the log may not.
pub(super) async fn logs(config: &Path, place: &Place) -> Result<Logs, Failure> {
    let mut logs = Logs {
        all: Vec::new(),
        fetched: None,
    };
    let shown = |folder: &Path| folder.display().to_string();
    if place.directories.is_empty() {
        logs.add(&configured(config)?.audit.log.directory, &shown)?;
    }
    for (number, directory) in place.directories.iter().enumerate() {
        let Some(uri) = directory.to_str().filter(|text| text.starts_with("s3://")) else {
            logs.add(&typed(config, directory), &shown)?;
            continue;
        };
        let fetched = match logs.fetched.take() {
            Some(fetched) => fetched,
            None => tempfile::tempdir()?,
        };
        let folder = fetched.path().join(number.to_string());
        logs.fetched = Some(fetched);
        bring_shipped(&configured(config)?, uri, &folder).await?;
        logs.add(&folder, &|log| {
            let log = log.strip_prefix(&folder).unwrap_or(log).display();
            format!("{}/{log}", uri.trim_end_matches('/'))
        })?;
    }
    let folders: Vec<_> = logs.all.iter().map(|log| log.folder.clone()).collect();
    audit::distinct(&folders).map_err(ActionError::from)?;
    Ok(logs)
}

/// The configuration, or what holds without one.
pub(super) fn configured(config: &Path) -> Result<Config, ActionError> {
    if state::has_config(config) {
        return Ok(Config::load(config)?.1);
    }
    Ok(state::without_config()?.config)
}

/// A typed folder, relative to the configuration as all paths in it are. The configuration need not be there.
fn typed(config: &Path, directory: &Path) -> PathBuf {
    let is_file = config.extension().is_some_and(|end| end == "toml") && !config.is_dir();
    let folder = if is_file {
        config.parent()
    } else {
        Some(config)
    };
    folder.unwrap_or(Path::new("")).join(directory)
}

fn no_log(folder: &str) -> ActionError {
    ActionError::new(
        ErrorCode::AuditUnreadable,
        format!("there is no audit log in {folder}"),
        "Name the folder of a log with --directory, relative to the configuration, or run an action first: its record begins the log.",
    )
}
