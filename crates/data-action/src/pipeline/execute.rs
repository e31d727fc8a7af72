//! Metadata, estimate, SQL and encoding: from allowed locations to rows.

use std::sync::Arc;

use flowlake_cost_audit::Cost;
use flowlake_profiler::Phase;
use flowlake_transform::{BoundParams, Files, Run, RunStats, Step, TableLocation};
use futures::StreamExt;
use serde_json::value::RawValue;

use super::{
    attempt::Attempt,
    rows::{EncodedRows, Rows},
};
use crate::{
    Action, ActionError, AnswerObject, HotServed, access,
    plan::{Found, ReadPlan, find},
    stores::RequestStores,
};

/// The rows of a successful attempt and what reading them took.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) data: Box<RawValue>,
    pub(crate) encoded: Vec<u8>,
    pub(crate) columns: Vec<String>,
    pub(crate) stats: RunStats,
    pub(crate) steps: Vec<Step>,
    pub(crate) estimate: Option<Cost>,
    pub(crate) metadata: Vec<AnswerObject>,
    pub(crate) hot: Option<HotServed>,
}

/// What a query gave.
struct Read {
    rows: EncodedRows,
    columns: Vec<String>,
    stats: RunStats,
    steps: Vec<Step>,
}

impl Attempt<'_> {
    pub(super) async fn execute(
        &self,
        action: &Arc<Action>,
        bound: &BoundParams,
        locations: &[TableLocation],
        stores: &Arc<RequestStores>,
    ) -> Result<Outcome, ActionError> {
        if let Some(outcome) = self.answer_from_memory(action, bound, locations).await? {
            return Ok(outcome);
        }
        // Boxed, as all that a hot answer goes without: it should not carry it along.
        let plan = Box::pin(self.allowed_plan(action, locations, stores)).await?;
        let estimate = self.shared.estimate_before(Some(&plan));
        self.reserve(action, estimate.as_ref())?;
        let estimate = estimate.ok();
        let loaded = self.answer_loaded(
            action,
            bound,
            locations,
            &plan.files,
            stores,
            estimate.as_ref(),
        );
        if let Some(outcome) = Box::pin(loaded).await? {
            return Ok(outcome);
        }
        let Read {
            rows,
            columns,
            stats,
            steps,
        } = Box::pin(self.rows(action, bound, &plan.files, stores)).await?;
        let objects = stores
            .objects()
            .into_iter()
            .map(|(bucket, object)| AnswerObject { bucket, object })
            .collect();
        Ok(Outcome {
            data: rows.data,
            encoded: rows.encoded,
            columns,
            stats,
            steps,
            estimate,
            metadata: objects,
            hot: None,
        })
    }

    /// What is to be read, once it is known that it may be.
    pub(super) async fn allowed_plan(
        &self,
        action: &Action,
        locations: &[TableLocation],
        stores: &Arc<RequestStores>,
    ) -> Result<ReadPlan, ActionError> {
        let prepared = &action.prepared;
        let finding = async {
            let mut found = Vec::with_capacity(locations.len());
            for table in locations {
                found.push(find(&self.shared.policy, prepared, table, stores).await?);
            }
            Ok::<_, ActionError>(found)
        };
        let found = self.trace.phase(Phase::Metadata, finding).await?;
        let warnings = found.iter().filter_map(Found::warning);
        self.trace.state().warnings.extend(warnings);
        let asking = async {
            for found in &found {
                access::found(&self.shared.access, found, self.note()).await?;
            }
            Ok::<_, ActionError>(())
        };
        self.trace.phase(Phase::Access, asking).await?;
        ReadPlan::try_new(prepared, found)
    }

    /// Runs the SQL and encodes batches as they come; only the encoded rows are kept.
    async fn rows(
        &self,
        action: &Action,
        bound: &BoundParams,
        files: &Files,
        stores: &Arc<RequestStores>,
    ) -> Result<Read, ActionError> {
        let scan = async {
            let run = Run {
                prepared: &action.prepared,
                bound,
                files,
                stores: stores.as_ref(),
            };
            let mut stream = self.shared.engine.run(&run).await?;
            let columns = stream
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            let mut rows = Rows::begin(&self.request.output, &stream.schema())?;
            while let Some(batch) = stream.next().await {
                rows.push(&batch?)?;
            }
            let steps = self.request.explain.then(|| stream.steps());
            Ok::<_, ActionError>((rows, columns, stream.stats(), steps))
        };
        let (rows, columns, stats, steps) = self.trace.phase(Phase::Scan, scan).await?;
        let rows = self
            .trace
            .phase(Phase::Encode, async { rows.finish() })
            .await?;
        Ok(Read {
            rows,
            columns,
            stats,
            steps: steps.unwrap_or_default(),
        })
    }
}
