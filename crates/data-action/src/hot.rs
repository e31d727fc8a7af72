//! What hot tables need of the pipeline: its clock, and stores for checks and reloads that no request waits for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use flowlake_transform::{BoxError, HotClock, HotSource, StoreResolver, TableLocation};
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::{
    Clock,
    stores::{RequestStores, S3},
};

/// The pipeline's clock, as hot tables take it.
#[derive(Debug)]
pub(crate) struct HotTime {
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl HotTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let started = clock.instant();
        Self { clock, started }
    }
}

impl HotClock for HotTime {
    fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.started)
    }
}

/// S3, as hot tables watch it.
#[derive(Debug)]
pub(crate) struct Watch(pub(crate) Arc<S3>);

#[async_trait]
impl HotSource for Watch {
    fn open(&self) -> Arc<dyn StoreResolver> {
        Arc::new(RequestStores::new(Arc::clone(&self.0)))
    }

    async fn head(&self, location: &TableLocation) -> Result<ObjectMeta, BoxError> {
        let view = RequestStores::new(Arc::clone(&self.0)).view(&location.store_url)?;
        // What requests have cached may be as old as what is to be checked.
        view.invalidate(&location.path).await;
        Ok(view.head(&location.path).await?)
    }
}
