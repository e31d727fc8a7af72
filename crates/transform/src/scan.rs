//! Where formats meet the engine: a table's files are opened, looked into, and read as the engine asks for them.
//!
//! Parquet is the engine's own. Text whose records can be found without reading all before them ([`chunks`]) is decoded in
//! chunks, side by side; all other files ([`reading`]) by one reader from start to end. Either way a file is one range for
//! the engine, and its rows keep their order; only workers of a cluster read parts of one file (`part`).

pub(crate) mod ahead;
pub(crate) mod chunks;
pub(crate) mod format;
pub(crate) mod head;
pub(crate) mod inspect;
pub(crate) mod opener;
pub(crate) mod parquet;
mod parquet_rows;
#[cfg(feature = "cluster")]
pub(crate) mod part;
pub(crate) mod predicate;
pub(crate) mod reading;
pub(crate) mod schema_cache;
pub(crate) mod source;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use object_store::{ObjectMeta, ObjectStore, path::Path};

use self::{
    head::{HEAD_BYTES, Heads},
    inspect::Facts,
    parquet::ParquetRuntime,
};
use crate::{TableSpec, formats::chunk::Space, scan_store::ScanMeter};

/// What the readers of one table share in one run.
#[derive(Debug)]
pub(crate) struct TableScan {
    pub(crate) spec: TableSpec,
    pub(crate) meter: Arc<ScanMeter>,
    pub(crate) heads: Arc<Heads>,
    /// Threads that decode.
    pub(crate) threads: usize,
    /// Whether its files are of this machine.
    is_local: bool,
    pub(crate) parquet: ParquetRuntime,
    pub(crate) spaces: Spaces,
    facts: Mutex<HashMap<Path, Arc<Facts>>>,
}

/// Memory that small files are decoded in, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Spaces(Mutex<Vec<Space>>);

impl Spaces {
    /// As many as there may be decoders at work.
    const MOST: usize = 8;

    pub(crate) fn take(&self) -> Space {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, space: Space) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::MOST {
            kept.push(space);
        }
    }
}

impl TableScan {
    pub(crate) fn new(
        spec: TableSpec,
        meter: Arc<ScanMeter>,
        heads: Arc<Heads>,
        threads: usize,
        is_local: bool,
        parquet: ParquetRuntime,
    ) -> Self {
        Self {
            spec,
            meter,
            heads,
            threads,
            is_local,
            parquet,
            spaces: Spaces::default(),
            facts: Mutex::default(),
        }
    }

    /// A file's name for people: its key, or its path on this machine.
    pub(crate) fn name_of(&self, path: &Path) -> Arc<str> {
        if self.is_local {
            format!("/{path}").into()
        } else {
            path.as_ref().into()
        }
    }

    /// What is known of a file since its columns were looked for.
    pub(crate) fn known(&self, path: &Path) -> Option<Arc<Facts>> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.get(path).map(Arc::clone)
    }

    /// Whether a file of Parquet is read with one request. What it takes is counted against the run's limit of bytes, which is set
    /// for columns that are needed: then no more is read than those.
    pub(crate) fn reads_whole(&self, file: &ObjectMeta) -> bool {
        file.size <= HEAD_BYTES && !self.meter.is_limited()
    }

    /// All of a small file of Parquet, which is kept for the scan where there is room.
    pub(crate) async fn whole(
        &self,
        store: &dyn ObjectStore,
        file: &ObjectMeta,
    ) -> object_store::Result<Option<Bytes>> {
        if !self.reads_whole(file) {
            return Ok(None);
        }
        if let Some(head) = self.heads.get(&file.location) {
            return Ok(Some(head.bytes));
        }
        let head = head::read(store, &file.location, file.size, HEAD_BYTES).await?;
        self.heads.keep(&file.location, &head);
        Ok(Some(head.bytes))
    }

    pub(crate) fn learn(&self, path: &Path, facts: Arc<Facts>) {
        let mut all = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(path.clone(), facts);
    }
}
