//! Answers of Cost Explorer in a file, for processes that end after one question.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::query::ActualsQuery;
use crate::report::ActualCosts;

/// The file, and whose figures are looked for in it.
#[derive(Debug)]
pub(super) struct CacheFile {
    path: PathBuf,
    scope: String,
}

/// One answer.
#[derive(Debug, Serialize, Deserialize)]
struct CachedActuals {
    scope: String,
    query: ActualsQuery,
    costs: ActualCosts,
}

impl CacheFile {
    pub(super) fn new(path: PathBuf, scope: String) -> Self {
        Self { path, scope }
    }

    /// The answer to `query`, of whatever age.
    pub(super) fn find(&self, query: &ActualsQuery) -> Option<ActualCosts> {
        let mut all = self.read().into_iter();
        let found = all.find(|kept| kept.scope == self.scope && kept.query == *query);
        found.map(|kept| kept.costs)
    }

    /// Keeps an answer, and throws those away that are no longer fresh.
    pub(super) fn keep(
        &self,
        query: &ActualsQuery,
        costs: &ActualCosts,
        is_fresh: impl Fn(&ActualCosts) -> bool,
    ) {
        let mut all = self.read();
        all.retain(|kept| {
            is_fresh(&kept.costs) && (kept.scope != self.scope || kept.query != *query)
        });
        all.push(CachedActuals {
            scope: self.scope.clone(),
            query: query.clone(),
            costs: costs.clone(),
        });
        if let Err(error) = self.write(&all) {
            tracing::warn!(%error, path = %self.path.display(), "cannot keep Cost Explorer's answer, the next question costs 0.01 USD again");
        }
    }

    fn read(&self) -> Vec<CachedActuals> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "cannot read Cost Explorer's earlier answers");
                return Vec::new();
            }
        };
        serde_json::from_slice(&bytes)
            .inspect_err(|error| {
                tracing::warn!(%error, path = %self.path.display(), "cannot read Cost Explorer's earlier answers");
            })
            .unwrap_or_default()
    }

    /// Writes the file so that a reader sees the old one or the new one.
    fn write(&self, all: &[CachedActuals]) -> Result<(), std::io::Error> {
        let draft = self.path.with_extension("tmp");
        fs::write(&draft, serde_json::to_vec(all)?)?;
        fs::rename(&draft, &self.path)
    }
}
