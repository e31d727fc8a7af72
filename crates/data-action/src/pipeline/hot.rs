//! Answers from memory, for actions with `hot = true`.

use std::sync::Arc;

use flowlake_cost_audit::Cost;
use flowlake_profiler::Phase;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{
    BoundParams, Files, HotQuery, HotRows, HotSource, HotView, OnNoRoom, RunStats, StoreResolver,
    TableLocation,
};

use super::{
    attempt::Attempt,
    execute::Outcome,
    rows::{EncodedRows, Rows},
    share::Question,
};
use crate::{
    Action, ActionError, AnswerObject, ErrorCode, HotServed, RowOutput, hot::Watch,
    stores::RequestStores,
};

/// Rows of a hot query in the format of the answer.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    rows: EncodedRows,
    columns: Vec<String>,
    stats: RunStats,
}

async fn encoded(mut found: HotRows, output: &RowOutput) -> Result<Arc<Found>, ActionError> {
    let schema = found.schema();
    let columns = schema.fields().iter().map(|field| field.name().clone());
    let columns = columns.collect();
    let mut rows = Rows::begin(output, &schema)?;
    while let Some(batch) = found.next().await {
        rows.push(&batch?)?;
    }
    Ok(Arc::new(Found {
        rows: rows.finish()?,
        columns,
        stats: found.stats(),
    }))
}

impl Attempt<'_> {
    /// The answer from tables that are in memory already; `None` where there are none.
    ///
    /// It reads nothing of S3, costs nothing and needs no budget. Policy and IAM have been asked before, and are asked about
    /// version and key of the objects that the tables were read from as in any other attempt.
    pub(super) async fn answer_from_memory(
        &self,
        action: &Arc<Action>,
        bound: &BoundParams,
        locations: &[TableLocation],
    ) -> Result<Option<Outcome>, ActionError> {
        let Some(query) = &action.hot else {
            return Ok(None);
        };
        let source: Arc<dyn HotSource> = Arc::new(Watch {
            shared: Arc::clone(&self.shared),
            action: Arc::clone(action),
            _running: self.shared.running.token(),
        });
        let hot = &self.shared.hot;
        let view = match hot.resident(query, bound, locations, &source) {
            Some(view) => Some(view),
            None => {
                let checked = Box::pin(hot.checked(query, bound, locations, &source));
                self.trace.phase(Phase::Scan, checked).await?
            }
        };
        let Some(view) = view else {
            return Ok(None);
        };
        let estimate = self.shared.estimate_before(None).ok();
        let outcome = self.answer(action, query, bound, locations, &view, estimate);
        outcome.await.map(Some)
    }

    /// The answer from tables that are read into memory; `None` for an action that is not hot, and where there is no room and
    /// the action may run cold.
    pub(super) async fn answer_loaded(
        &self,
        action: &Arc<Action>,
        bound: &BoundParams,
        locations: &[TableLocation],
        files: &Files,
        stores: &Arc<RequestStores>,
        estimate: Option<&Cost>,
    ) -> Result<Option<Outcome>, ActionError> {
        let Some(query) = &action.hot else {
            return Ok(None);
        };
        let stores: Arc<dyn StoreResolver> = Arc::clone(stores) as _;
        let load = self.shared.hot.load(query, bound, files, &stores);
        let Some(view) = self.trace.phase(Phase::Scan, load).await? else {
            return self.no_room().map(|()| None);
        };
        let outcome = self.answer(action, query, bound, locations, &view, estimate.cloned());
        outcome.await.map(Some)
    }

    /// The answer from one version of tables.
    async fn answer(
        &self,
        action: &Action,
        query: &HotQuery,
        bound: &BoundParams,
        locations: &[TableLocation],
        view: &HotView,
        estimate: Option<Cost>,
    ) -> Result<Outcome, ActionError> {
        let objects = view
            .read_through::<RequestStores>()
            .map(RequestStores::objects)
            .unwrap_or_default();
        self.trace
            .phase(Phase::Access, self.check_versions(locations, &objects))
            .await?;
        if let Some(failure) = view.failure() {
            let failure = ActionError::from(failure.clone());
            let warning = format!(
                "the tables may be out of date: [{}] {failure}",
                failure.code()
            );
            self.trace.state().warnings.push(warning);
        }
        let found = self
            .trace
            .phase(Phase::Scan, self.hot_rows(action, query, bound, view))
            .await?;
        // A copy only where others have asked the same.
        let Found {
            rows,
            columns,
            stats,
        } = Arc::unwrap_or_clone(found);
        let metadata = objects.iter().cloned();
        let metadata = metadata.map(|(bucket, object)| AnswerObject { bucket, object });
        let metadata = metadata.collect();
        self.trace.state().hot = objects;
        Ok(Outcome {
            data: rows.data,
            encoded: rows.encoded,
            columns,
            stats,
            // Rows from memory come through no steps.
            steps: Vec::new(),
            estimate,
            metadata,
            hot: Some(HotServed {
                age_ms: u64::try_from(view.age().as_millis()).unwrap_or(u64::MAX),
                unchecked: view.is_failing(),
            }),
        })
    }

    /// The rows, computed at once where an index names them; otherwise planned, once for all who ask the same at this time.
    async fn hot_rows(
        &self,
        action: &Action,
        query: &HotQuery,
        bound: &BoundParams,
        view: &HotView,
    ) -> Result<Arc<Found>, ActionError> {
        let output = &self.request.output;
        if let Some(found) = self.shared.hot.run_at_once(query, bound, view) {
            return encoded(found?, output).await;
        }
        let planned = async {
            let found = self.shared.hot.run(query, bound, view).await?;
            encoded(found, output).await
        };
        // What goes to a file of the caller's is nobody else's.
        if output.file.is_some() {
            return Box::pin(planned).await;
        }
        let question = Question::new(action.name(), bound, view, output.format);
        Box::pin(self.shared.flights.share(question, planned)).await
    }

    /// Asks whether the versions in memory may be read by who asks now.
    async fn check_versions(
        &self,
        locations: &[TableLocation],
        objects: &[(String, Arc<ObjectMetadata>)],
    ) -> Result<(), ActionError> {
        for TableLocation { location, .. } in locations {
            let found = objects.iter().find(|(bucket, object)| {
                bucket == location.bucket() && location.covers(object.location.as_ref())
            });
            let Some((bucket, object)) = found else {
                continue;
            };
            self.check_object(bucket, object).await?;
        }
        Ok(())
    }

    /// What becomes of an attempt whose tables do not fit.
    fn no_room(&self) -> Result<(), ActionError> {
        if self.shared.hot.settings().on_no_room == OnNoRoom::Refuse {
            return Err(ActionError::new(
                ErrorCode::LimitMemory,
                "the action's tables do not fit into the memory for hot tables",
                "Raise `memory` in [hot], select fewer columns, or set `on_no_room = \"cold\"`.",
            ));
        }
        let warning = "there is no room in memory for the action's tables: the files were read";
        self.trace.state().warnings.push(warning.to_owned());
        Ok(())
    }
}
