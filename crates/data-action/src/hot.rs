//! What hot tables need of the pipeline: its clock, and stores for checks and reloads that no request waits for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use flowlake_transform::{BoxError, HotClock, HotSource, Reload, TableLocation};
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    Action, Clock,
    pipeline::{Shared, reload::ReloadAttempt},
    stores::RequestStores,
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
    async fn head(&self, table: &TableLocation) -> Result<ObjectMeta, BoxError> {
        let location = &table.location;
        let path = location
            .path()
            .ok_or("a hot table that is no single object")?;
        let view = RequestStores::new(Arc::clone(&self.shared.s3)).view(location.bucket())?;
        // What requests have cached may be as old as what is to be checked.
        view.invalidate(path).await;
        Ok(view.head(path).await?)
    }

    async fn reload(&self, locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError> {
        let begun = ReloadAttempt::begin(&self.shared, &self.action, locations).await?;
        Ok(Box::new(begun))
    }
}
