//! The read of a new version of hot tables: an attempt that nobody waits for, with the policy, the IAM questions, the
//! reservation and the record of any other.

use std::sync::Arc;

use async_trait::async_trait;
use flowlake_transform::{
    BoxError, Error, Files, HotSource, Reload, RunStats, StoreResolver, TableLocation,
};
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{
    Action, ActionError, admit::admit_reload, attempt::Attempt, ledger::Ledger, plan::plan, report,
    services::Services, stores::RequestStores,
};

/// S3, as the hot tables of one action watch it.
#[derive(Debug)]
pub(super) struct ReloadSource {
    pub(super) services: Arc<Services>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) action: Arc<Action>,
    /// Counts it among what the pipeline waits for before it closes.
    pub(super) _running: TaskTrackerToken,
}

#[async_trait]
impl HotSource for ReloadSource {
    async fn head(&self, table: &TableLocation) -> Result<ObjectMeta, BoxError> {
        let location = &table.location;
        let path = location
            .path()
            .ok_or("a hot table that is no single object")?;
        let stores = RequestStores::new(Arc::clone(&self.services.s3));
        let view = stores.view(location.bucket())?;
        // What requests have cached may be as old as what is to be checked.
        view.invalidate(path).await;
        Ok(view.head(path).await?)
    }

    async fn reload(&self, locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError> {
        let attempt = Attempt::background(&self.services.clock, self.action.name());
        let stores = attempt.open_stores(&self.services.s3);
        let files = self.planned(&attempt, locations, &stores).await;
        match files {
            Ok(files) => Ok(Box::new(ReloadAttempt {
                ledger: Arc::clone(&self.ledger),
                attempt,
                stores,
                files,
            })),
            Err(error) => {
                close(&self.ledger, &attempt, &stores, Some(&error)).await?;
                Err(error.into())
            }
        }
    }
}

impl ReloadSource {
    /// The files of the new version, which may be read and are paid for.
    async fn planned(
        &self,
        attempt: &Attempt,
        locations: &[TableLocation],
        stores: &RequestStores,
    ) -> Result<Files, ActionError> {
        let (services, action) = (&self.services, &self.action);
        admit_reload(services, attempt, locations).await?;
        let plan = plan(services, attempt, &action.prepared, locations, stores).await?;
        let reserved = self.ledger.reserve(attempt, action, &plan, None, stores);
        reserved.await?;
        Ok(plan.files)
    }
}

/// An attempt whose read has been allowed and paid for.
#[derive(Debug)]
struct ReloadAttempt {
    ledger: Arc<Ledger>,
    attempt: Attempt,
    stores: Arc<RequestStores>,
    files: Files,
}

/// Writes the record of a reload.
async fn close(
    ledger: &Ledger,
    attempt: &Attempt,
    stores: &RequestStores,
    failure: Option<&ActionError>,
) -> Result<(), ActionError> {
    if failure.is_some() {
        stores.forget().await;
    }
    let stats = RunStats::default();
    let closed = ledger.close(attempt, failure.map_or(Ok(&stats), Err)).await;
    let code = failure.map_or("ok", |error| error.code().as_str());
    report::log(&closed.record, code, failure, &closed.warnings);
    closed.written.map(|_receipt| ())
}

#[async_trait]
impl Reload for ReloadAttempt {
    fn files(&self) -> Files {
        self.files.clone()
    }

    fn stores(&self) -> Arc<dyn StoreResolver> {
        Arc::clone(&self.stores) as _
    }

    async fn ended(self: Box<Self>, failure: Option<&Error>) -> Result<(), BoxError> {
        let failure = failure.map(|error| ActionError::from(error.clone()));
        let Self {
            ledger,
            attempt,
            stores,
            ..
        } = &*self;
        Ok(close(ledger, attempt, stores, failure.as_ref()).await?)
    }
}
