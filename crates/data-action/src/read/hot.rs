//! Answers from memory, for actions with `hot = true`.

use std::sync::Arc;

use flowlake_cost_audit::Cost;
use flowlake_profiler::Phase;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{
    BoundParams, Files, HotQuery, HotRows, HotSource, HotStatus, HotTables, HotView, OnNoRoom,
    StoreResolver,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    question_key::QuestionKey,
    reload::ReloadSource,
    rows::{Answered, RowWriter, Rows},
    single_flight::SingleFlight,
};
use crate::{
    Action, ActionError, ActionRequest, ErrorCode, HotServed, RowOutput, access,
    admit::Admitted,
    attempt::Attempt,
    ledger::Ledger,
    services::Services,
    stores::RequestStores,
    versions::{Tag, Versions},
};

/// The tables of a hot action in memory, in the version that one attempt answers from.
#[derive(Debug)]
pub(super) struct HotTablesOfAction {
    query: Arc<HotQuery>,
    view: HotView,
}

/// The tables in memory, and the questions that are being answered from them.
#[derive(Debug)]
pub(super) struct HotReader {
    services: Arc<Services>,
    ledger: Arc<Ledger>,
    tables: HotTables,
    flights: Arc<SingleFlight<QuestionKey, Arc<Rows>>>,
    running: TaskTracker,
}

impl HotTablesOfAction {
    fn of(query: &Arc<HotQuery>, view: HotView) -> Self {
        Self {
            query: Arc::clone(query),
            view,
        }
    }
}

impl HotReader {
    pub(super) fn new(
        services: &Arc<Services>,
        ledger: &Arc<Ledger>,
        tables: HotTables,
        running: TaskTracker,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            tables,
            flights: Arc::default(),
            running,
        }
    }

    /// See [`Reader::with_services`](super::Reader::with_services).
    pub(super) fn with_services(&self, services: &Arc<Services>, ledger: &Arc<Ledger>) -> Self {
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            tables: self.tables.clone(),
            flights: Arc::clone(&self.flights),
            running: self.running.clone(),
        }
    }

    pub(super) const fn tables(&self) -> &HotTables {
        &self.tables
    }

    pub(super) fn status(&self) -> HotStatus {
        self.tables.status()
    }

    pub(super) fn shared_answers(&self) -> u64 {
        self.flights.shared()
    }

    /// The tables of an action that are in memory, checked first where they are too old; `None` where there are none.
    pub(super) async fn resident(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
    ) -> Result<Option<HotTablesOfAction>, ActionError> {
        let Admitted {
            action,
            bound,
            locations,
        } = admitted;
        let Some(query) = &action.hot else {
            return Ok(None);
        };
        let source = self.reload_source(action);
        if let Some(view) = self.tables.resident(query, bound, locations, &source) {
            return Ok(Some(HotTablesOfAction::of(query, view)));
        }
        let checked = self.tables.checked(query, bound, locations, &source);
        let checked = attempt.phase(Phase::Scan, Box::pin(checked));
        Ok(checked
            .await?
            .map(|view| HotTablesOfAction::of(query, view)))
    }

    /// Reads the tables into memory; `None` for an action that is not hot, and where there is no room and the action may run
    /// cold.
    pub(super) async fn load(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        files: &Files,
        stores: &Arc<RequestStores>,
    ) -> Result<Option<HotTablesOfAction>, ActionError> {
        let Some(query) = &admitted.action.hot else {
            return Ok(None);
        };
        let stores: Arc<dyn StoreResolver> = Arc::clone(stores) as _;
        let load = self.tables.load(query, &admitted.bound, files, &stores);
        let view = attempt.phase(Phase::Scan, load).await?;
        if view.is_none() {
            self.no_room(attempt)?;
        }
        Ok(view.map(|view| HotTablesOfAction::of(query, view)))
    }

    /// The answer from one version of tables.
    ///
    /// Policy and IAM have been asked before, and are asked about version and key of the objects that the tables were read
    /// from, as in any other attempt.
    pub(super) async fn answer(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        request: &ActionRequest,
        hot: &HotTablesOfAction,
        estimate: Option<Cost>,
    ) -> Result<Answered, ActionError> {
        let HotTablesOfAction { query, view } = hot;
        let objects = view
            .read_through::<RequestStores>()
            .map(RequestStores::objects)
            .unwrap_or_default();
        let asking = self.check_versions(attempt, admitted, &objects);
        attempt.phase(Phase::Access, asking).await?;
        let wanted = request.if_none_match.is_some();
        let tag = wanted.then(|| tag(admitted, &objects)).flatten();
        if tag.is_some_and(|tag| request.has(tag)) {
            let mut draft = attempt.draft();
            draft.not_modified = true;
            draft.hot.clone_from(&objects);
            return Ok(Answered::not_modified(objects, self.ledger.nothing())?.with_tag(tag));
        }
        if let Some(failure) = view.failure() {
            let failure = ActionError::from(failure.clone());
            let code = failure.code();
            let warning = format!("the tables may be out of date: [{code}] {failure}");
            attempt.draft().warn(warning);
        }
        let rows = self.rows(admitted, query, &request.output, view);
        let rows = attempt.phase(Phase::Scan, rows).await?;
        attempt.draft().hot.clone_from(&objects);
        let served = HotServed {
            age_ms: u64::try_from(view.age().as_millis()).unwrap_or(u64::MAX),
            unchecked: view.is_failing(),
        };
        // A copy only where others have asked the same.
        let rows = Arc::unwrap_or_clone(rows);
        Ok(Answered::from_memory(rows, objects, estimate, served).with_tag(tag))
    }

    /// Computes the rows. If an index names them, that is done at once. Otherwise the query is planned and runs on the runtime for
    /// scans, where a walk over a whole table does not delay look-ups; identical questions share one run.
    async fn rows(
        &self,
        admitted: &Admitted,
        query: &Arc<HotQuery>,
        output: &RowOutput,
        view: &HotView,
    ) -> Result<Arc<Rows>, ActionError> {
        let Admitted { action, bound, .. } = admitted;
        if let Some(found) = self.tables.run_at_once(query, bound, view) {
            return encoded(found?, output).await;
        }
        let planned = async {
            let Some(runtime) = self.tables.runtime() else {
                return planned(&self.tables, query, bound, view, output).await;
            };
            let (tables, query, view) = (self.tables.clone(), Arc::clone(query), view.clone());
            let (bound, output) = (bound.clone(), output.clone());
            let work = async move { planned(&tables, &query, &bound, &view, &output).await };
            let ended = AbortOnDropHandle::new(runtime.spawn(work)).await;
            ended.unwrap_or_else(|lost| {
                let error = ActionError::new(
                    ErrorCode::Internal,
                    "the engine failed while it ran the query",
                    "Report this.",
                );
                Err(error.with_source(lost))
            })
        };
        // Rows that are written to the caller's file cannot be shared.
        if output.file.is_some() {
            return Box::pin(planned).await;
        }
        let question = QuestionKey::new(action.name(), bound, view, output);
        Box::pin(self.flights.share(question, planned)).await
    }

    /// Asks IAM whether the principal may read the versions in memory.
    async fn check_versions(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        objects: &[(String, Arc<ObjectMetadata>)],
    ) -> Result<(), ActionError> {
        for table in &admitted.locations {
            let location = &table.location;
            let found = objects.iter().find(|(bucket, object)| {
                bucket == location.bucket() && location.covers(object.location.as_ref())
            });
            if let Some((bucket, object)) = found {
                access::object(&self.services.access, bucket, object, attempt.note()).await?;
            }
        }
        Ok(())
    }

    fn reload_source(&self, action: &Arc<Action>) -> Arc<dyn HotSource> {
        Arc::new(ReloadSource {
            services: Arc::clone(&self.services),
            ledger: Arc::clone(&self.ledger),
            action: Arc::clone(action),
            _running: self.running.token(),
        })
    }

    /// Refuses or warns an attempt whose tables do not fit into memory.
    fn no_room(&self, attempt: &Attempt) -> Result<(), ActionError> {
        if self.tables.settings().on_no_room == OnNoRoom::Refuse {
            return Err(ActionError::new(
                ErrorCode::LimitMemory,
                "the action's tables do not fit into the memory for hot tables",
                "Raise `memory` in [hot], select fewer columns, or set `on_no_room = \"cold\"`.",
            ));
        }
        let warning = "there is no room in memory for the action's tables: the files were read";
        attempt.draft().warn(warning.to_owned());
        Ok(())
    }
}

/// The tag of the answer over these versions; `None` if the action's answers are not repeatable.
fn tag(admitted: &Admitted, objects: &[(String, Arc<ObjectMetadata>)]) -> Option<Tag> {
    let Admitted { action, bound, .. } = admitted;
    if !action.is_repeatable {
        return None;
    }
    let mut versions = Versions::default();
    for (bucket, object) in objects {
        versions.add_object(bucket, object);
    }
    versions.tag(&action.fingerprint, bound)
}

/// The rows of a query that is planned for this run.
async fn planned(
    tables: &HotTables,
    query: &HotQuery,
    bound: &BoundParams,
    view: &HotView,
    output: &RowOutput,
) -> Result<Arc<Rows>, ActionError> {
    let found = tables.run(query, bound, view).await?;
    encoded(found, output).await
}

async fn encoded(mut found: HotRows, output: &RowOutput) -> Result<Arc<Rows>, ActionError> {
    let mut rows = RowWriter::begin(output, &found.schema())?;
    while let Some(batch) = found.next().await {
        rows.push(&batch?)?;
    }
    Ok(Arc::new(rows.finish(found.stats(), Vec::new())?))
}
