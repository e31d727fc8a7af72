//! What a session knows by name, which the editor completes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use flowlake_data_action::{ActionError, Inspector, Project};

use crate::{state, watch::see_changes};

/// Names, shared by the session and its editor. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tables with the columns that answers have shown.
    pub(super) tables: BTreeMap<String, Vec<String>>,
    /// Columns of files that were described.
    pub(super) columns: BTreeSet<String>,
    /// Values that were set, by name.
    pub(super) params: BTreeSet<String>,
    /// Actions with their parameters, and whether those are sensitive.
    pub(super) actions: BTreeMap<String, BTreeMap<String, bool>>,
    pub(super) functions: Vec<String>,
    /// What files are relative to.
    pub(super) folder: PathBuf,
    /// The folder of the configuration.
    pub(super) config: PathBuf,
    /// Beginnings of objects that the policy names.
    pub(super) places: BTreeSet<String>,
    /// What lists objects on S3, once somebody has begun to type one.
    pub(super) inspector: Option<Inspector>,
}

impl Known {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Names) -> T) -> T {
        // Names are added one by one: those that are there after a panic are right.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a session has its settings and its actions from.
pub(super) fn project(config: &Path) -> Result<Project, ActionError> {
    let mut project = match state::has_config(config) {
        true => Project::load(config)?,
        false => state::without_config()?,
    };
    project.may_record_beside();
    see_changes(&mut project);
    Ok(project)
}
