//! The third step: the rows. From memory where the action's tables are there, otherwise by a plan that is paid for: into memory
//! for a hot action, or straight through the engine.

mod cold;
mod hot;
mod reload;
mod rows;
mod single_flight;

use std::sync::Arc;

use flowlake_transform::{HotStatus, HotTables};
use tokio_util::task::TaskTracker;

use self::hot::HotReader;
pub(crate) use self::rows::Answered;
use crate::{
    ActionError, RowOutput, admit::Admitted, attempt::Attempt, ledger::Ledger, plan::plan,
    services::Services, stores::RequestStores,
};

/// Reads what was admitted.
#[derive(Debug)]
pub(crate) struct Reader {
    services: Arc<Services>,
    ledger: Arc<Ledger>,
    hot: HotReader,
}

impl Reader {
    /// `running` counts the reloads of hot tables.
    pub(crate) fn new(
        services: &Arc<Services>,
        ledger: &Arc<Ledger>,
        tables: HotTables,
        running: TaskTracker,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            hot: HotReader::new(services, ledger, tables, running),
        }
    }

    pub(crate) fn hot_status(&self) -> HotStatus {
        self.hot.status()
    }

    /// Attempts that took the answer of another since the start.
    pub(crate) fn shared_answers(&self) -> u64 {
        self.hot.shared_answers()
    }

    pub(crate) async fn read(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        output: &RowOutput,
        explain: bool,
    ) -> Result<Answered, ActionError> {
        if let Some(tables) = self.hot.resident(attempt, admitted).await? {
            let nothing = Some(self.ledger.nothing());
            return self
                .hot
                .answer(attempt, admitted, output, &tables, nothing)
                .await;
        }
        // Boxed, as all that an answer from memory goes without: it should not carry it along.
        let stores = attempt.open_stores(&self.services.s3);
        let read = Box::pin(self.read_planned(attempt, admitted, output, explain, &stores)).await;
        if read.is_err() {
            stores.forget().await;
        }
        read
    }

    async fn read_planned(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        output: &RowOutput,
        explain: bool,
        stores: &Arc<RequestStores>,
    ) -> Result<Answered, ActionError> {
        let Admitted {
            action, locations, ..
        } = admitted;
        let plan = plan(&self.services, attempt, &action.prepared, locations, stores).await?;
        let estimate = self.ledger.reserve(attempt, action.name(), &plan)?;
        let loaded = self.hot.load(attempt, admitted, &plan.files, stores);
        if let Some(tables) = loaded.await? {
            return self
                .hot
                .answer(attempt, admitted, output, &tables, estimate)
                .await;
        }
        let rows = cold::rows(
            &self.services.engine,
            attempt,
            admitted,
            &plan.files,
            stores,
            output,
            explain,
        );
        Ok(Answered::cold(rows.await?, stores.objects(), estimate))
    }
}
