//! Where formats meet the engine: a table's files are opened, looked into, and read as the engine asks for them.
//!
//! Parquet is the engine's own. All other formats are read here, each file as one piece from its start to its end: a seam
//! for readers that divide a file is [`source::RowsSource`], which now refuses to be given ranges.

pub(crate) mod format;
pub(crate) mod head;
pub(crate) mod inspect;
pub(crate) mod opener;
pub(crate) mod schema_cache;
pub(crate) mod source;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use object_store::path::Path;

use self::{head::Heads, inspect::Facts};
use crate::{TableSpec, formats::misfit::MisfitCounts};

/// What the readers of one table share in one run.
#[derive(Debug)]
pub(crate) struct TableScan {
    pub(crate) spec: TableSpec,
    pub(crate) counts: Arc<MisfitCounts>,
    pub(crate) heads: Arc<Heads>,
    facts: Mutex<HashMap<Path, Arc<Facts>>>,
}

impl TableScan {
    pub(crate) fn new(spec: TableSpec, counts: Arc<MisfitCounts>, heads: Arc<Heads>) -> Self {
        Self {
            spec,
            counts,
            heads,
            facts: Mutex::default(),
        }
    }

    /// What is known of a file since its columns were looked for.
    pub(crate) fn known(&self, path: &Path) -> Option<Arc<Facts>> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.get(path).map(Arc::clone)
    }

    pub(crate) fn learn(&self, path: &Path, facts: Arc<Facts>) {
        let mut all = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(path.clone(), facts);
    }
}
