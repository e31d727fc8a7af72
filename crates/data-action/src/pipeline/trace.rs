//! What is known about an attempt so far, kept where a timeout, a cancellation or a panic cannot take it away.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flowlake_cost_audit::AuditRecord;
use flowlake_profiler::Phase;
use uuid::Uuid;

use super::Shared;
use crate::{ActionRequest, Clock, stores::RequestStores};

/// The growing record of one attempt.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Arc<dyn Clock>,
    /// When the attempt began, for durations.
    started: Instant,
    /// When the attempt began, by the calendar.
    pub(crate) started_at: DateTime<Utc>,
    /// The stores of the present try.
    state: Mutex<State>,
}

/// The part that grows.
#[derive(Debug)]
pub(crate) struct State {
    /// The audit record, complete but for its outcome.
    pub(crate) record: AuditRecord,
    /// How long each phase took.
    pub(crate) phases: Vec<(Phase, Duration)>,
    /// The stores of every try, whose meters say what moved: the second is there when an object changed under the first.
    pub(crate) stores: Vec<Arc<RequestStores>>,
}

impl Trace {
    pub(crate) fn new(shared: &Shared, request: &ActionRequest) -> Self {
        let started_at = shared.clock.now();
        let record = AuditRecord {
            id: Uuid::now_v7().to_string(),
            time: started_at,
            action: super::printable(&request.action),
            caller: request.caller.name.clone(),
            organization: request.caller.organization.clone(),
            conversation_id: request.caller.conversation_id.clone(),
            correlation_id: request.caller.correlation_id.clone(),
            ..AuditRecord::default()
        };
        Self {
            clock: Arc::clone(&shared.clock),
            started: shared.clock.instant(),
            started_at,
            state: Mutex::new(State {
                record,
                phases: Vec::new(),
                stores: Vec::new(),
            }),
        }
    }

    /// The state; a panic while it was held does not make it unusable, since every change to it is one assignment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the attempt began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.started)
    }

    /// Runs one phase and notes how long it took, also when it fails.
    pub(crate) async fn phase<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let start = self.clock.instant();
        let result = work.await;
        let taken = self.clock.instant().saturating_duration_since(start);
        self.state().phases.push((phase, taken));
        result
    }
}
