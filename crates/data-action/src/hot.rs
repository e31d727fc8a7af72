//! What hot tables need of the pipeline: its clock, and stores for checks and reloads that no request waits for.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use flowlake_transform::{BoxError, Error, HotClock, HotSource, StoreResolver, TableLocation};
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{Action, ActionError, Clock, pipeline::Shared, stores::RequestStores};

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

/// S3, as the hot tables of one action watch it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) action: Arc<Action>,
    /// Counts it among what the pipeline waits for before it closes.
    pub(crate) _running: TaskTrackerToken,
}

#[async_trait]
impl HotSource for Watch {
    fn open(&self) -> Arc<dyn StoreResolver> {
        Arc::new(RequestStores::new(Arc::clone(&self.shared.s3)))
    }

    async fn head(&self, location: &TableLocation) -> Result<ObjectMeta, BoxError> {
        let location = &location.location;
        let path = location
            .path()
            .ok_or("a hot table that is no single object")?;
        let view = RequestStores::new(Arc::clone(&self.shared.s3)).view(location.bucket())?;
        // What requests have cached may be as old as what is to be checked.
        view.invalidate(path).await;
        Ok(view.head(path).await?)
    }

    async fn reloaded(
        &self,
        stores: &Arc<dyn StoreResolver>,
        failure: Option<&Error>,
    ) -> Result<(), BoxError> {
        let stores: &dyn Any = stores.as_ref();
        let stores = stores
            .downcast_ref()
            .ok_or("stores of another kind than were opened")?;
        let failure = failure.map(|error| ActionError::from(error.clone()));
        self.shared
            .record_reload(self.action.name(), stores, failure)
            .await?;
        Ok(())
    }
}
