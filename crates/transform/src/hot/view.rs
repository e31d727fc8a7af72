//! The version of hot tables that one request is answered from.

use std::{
    any::Any,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use datafusion::arrow::datatypes::SchemaRef;
use object_store::ObjectMeta;

use super::{
    entry::{Entry, Version, lock},
    load::{Loaded, NotLoaded},
};
use crate::{Error, StoreResolver, TableLocation};

/// A version that one request answers from.
#[derive(Debug, Clone)]
pub struct HotView {
    version: Arc<Version>,
    age: Duration,
    failing: bool,
    failure: Option<Error>,
}

impl HotView {
    pub(super) fn new(entry: &Entry, version: Arc<Version>, age: Duration) -> Self {
        let failing = entry.failing.load(Relaxed);
        let failure = failing.then(|| lock(&entry.failure).clone());
        let failure = match failure.flatten() {
            Some(NotLoaded::Failed(error)) => Some(error),
            _ => None,
        };
        Self {
            age,
            failing,
            failure,
            version,
        }
    }

    /// The object of each location, in the version that the tables were read from.
    pub fn objects(&self) -> impl Iterator<Item = (&TableLocation, &ObjectMeta)> {
        self.version.loaded.objects()
    }

    /// Time since the version was last known to be the present one.
    #[must_use]
    pub const fn age(&self) -> Duration {
        self.age
    }

    /// A number that tells this version from all others of the same [`HotTables`](super::HotTables).
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.number
    }

    /// Whether the last try to check it failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing
    }

    /// Why the last try to check it failed.
    #[must_use]
    pub const fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The stores that the tables were read through, as what they really are.
    #[must_use]
    pub fn read_through<S: StoreResolver>(&self) -> Option<&S> {
        let stores: &dyn Any = self.version.stores.as_ref();
        stores.downcast_ref()
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.version.loaded
    }

    pub(crate) fn schemas(&self) -> Vec<SchemaRef> {
        let tables = self.version.loaded.tables.values();
        tables.map(|table| Arc::clone(&table.schema)).collect()
    }
}
