//! The store in each way in which it is used; `tests/e2e` takes this file too.

use std::sync::Arc;

use flowlake_s3_stream::S3Stream;
use object_store::{ObjectStore, limit::LimitStore, prefix::PrefixStore};

/// Bare, as a request's view, and under `object_store`'s wrappers.
pub(crate) const KINDS: [fn(S3Stream) -> Arc<dyn ObjectStore>; 4] = [
    |store| Arc::new(store),
    |store| Arc::new(store.request()),
    |store| Arc::new(PrefixStore::new(store, "below/this")),
    |store| Arc::new(LimitStore::new(store, 4)),
];
