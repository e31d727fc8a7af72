//! The pipeline: token, access, metadata, SQL, cost, audit, profile, answer.

pub(crate) mod attempt;
mod builder;
mod cost;
mod execute;
mod health;
mod hot;
mod metrics;
mod record;
pub(crate) mod reload;
mod rows;
mod share;
mod ship;
mod trace;

use std::{
    ops::Deref,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use flowlake_cost_audit::{AuditLog, Budgets, Destination, PriceTable, audit::Shipper};
use flowlake_genesys_auth::Secret;
use flowlake_profiler::Profiler;
use flowlake_transform::HotTables;
use futures::FutureExt;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{attempt::Attempt, execute::Outcome, trace::Trace};
pub use self::{builder::PipelineBuilder, health::PartHealth};
use crate::{
    Action, ActionError, ActionRequest, Answer, Clock, ErrorCode, answer, services::Services,
};

/// What the profiler counts every action by that is not configured: no action can be named so.
const UNKNOWN_ACTION: &str = "(unknown)";

/// Longest wait for the last records when the pipeline is closed: a disk that hangs must not keep the process from ending.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Runs configured actions. Cheap to clone; clones share every cache.
#[derive(Debug, Clone)]
pub struct Pipeline {
    shared: Arc<Shared>,
}

/// What all attempts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) hot: HotTables,
    pub(crate) flights: share::Flights<Arc<hot::Found>>,
    pub(crate) prices: PriceTable,
    pub(crate) region: String,
    pub(crate) destination: Destination,
    pub(crate) free_allowance: bool,
    pub(crate) budgets: Budgets,
    pub(crate) audit: AuditLog,
    pub(crate) shipper: Option<Shipper>,
    pub(crate) hash_key: Secret,
    pub(crate) profiler: Arc<Profiler>,
    pub(crate) last_failures: health::LastFailures,
    /// Attempts and reloads that run.
    pub(crate) running: TaskTracker,
    /// Ends the attempts that still run when the pipeline is closed.
    stop: CancellationToken,
}

impl Deref for Shared {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

/// A request that got no answer: why, and the id of its audit record when one could be written.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: ActionError,
    /// The id of the audit record; `None` when the record itself could not be written.
    pub audit_id: Option<String>,
}

impl Failure {
    /// The body that callers see: `{"error": {"code", "message", "advice", "retryable"}, "audit_id"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        answer::error_body(&self.error, self.audit_id.as_deref())
    }
}

impl Pipeline {
    /// Runs one action and writes exactly one audit record, whatever happens.
    ///
    /// Dropping the returned future (the caller hung up) cancels the attempt, which then still writes its record, in a task of
    /// its own.
    ///
    /// # Errors
    /// A [`Failure`] with one of the codes of [`ErrorCode`].
    pub async fn run(&self, request: ActionRequest) -> Result<Answer, Failure> {
        let cancellation = request.cancellation.clone();
        let attempt = run_and_record(Arc::clone(&self.shared), request);
        // Counted from here to its record, in whichever task it ends.
        let attempt = self.shared.running.track_future(attempt);
        let attended = Attended {
            attempt: Some(Box::pin(AssertUnwindSafe(attempt).catch_unwind())),
            cancellation,
        };
        attended.await.unwrap_or_else(|_panic| {
            Err(Failure {
                error: ActionError::new(
                    ErrorCode::Internal,
                    "the attempt was lost",
                    "Report this.",
                ),
                audit_id: None,
            })
        })
    }

    /// Ends cleanly: waits for attempts and reloads that run, no longer than `grace`; cancels the attempts that are left, and
    /// waits for their records; and closes the audit log. Returns how many attempts had to be cancelled.
    ///
    /// Stop sending requests first: what comes later is refused, and leaves no record.
    pub async fn close(&self, grace: Duration) -> usize {
        let running = &self.shared.running;
        running.close();
        let ended = tokio::time::timeout(grace, running.wait()).await;
        let cancelled = if ended.is_ok() { 0 } else { running.len() };
        self.shared.stop.cancel();
        let ended = tokio::time::timeout(SETTLE_LIMIT, running.wait()).await;
        let closed = tokio::time::timeout(SETTLE_LIMIT, self.shared.audit.close()).await;
        if ended.is_err() || closed.is_err() {
            tracing::error!("the last records did not come in time: the audit log may lack some");
        }
        cancelled
    }

    /// The configured actions, in order of name.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.shared.actions.values().map(AsRef::as_ref)
    }

    /// The action of that name.
    ///
    /// # Errors
    /// [`ErrorCode::ActionUnknown`], with the nearest name that exists.
    pub fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        self.shared.action(name)
    }

    /// The profiler that every attempt is recorded in.
    #[must_use]
    pub fn profiler(&self) -> &Profiler {
        &self.shared.profiler
    }

    /// The clock that attempts are measured with; what comes before an attempt is to be measured with it too.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The calendar time of the pipeline's clock, in milliseconds since 1970.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.shared.now_unix_ms()
    }

    /// Why requests would be refused at present whatever they ask; `None` when the pipeline is ready.
    #[must_use]
    pub fn unready_reason(&self) -> Option<String> {
        (!self.shared.audit.is_healthy()).then(|| "the audit log cannot be written".to_owned())
    }

    /// What an operator should look at while requests are still served: audit segments that cannot be shipped, and hot tables
    /// whose objects cannot be checked.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let status = self.shared.shipper.as_ref().map(Shipper::status);
        let failing = status.and_then(|status| Some((status.failing_since?, status)));
        failing
            .map(|(since, status)| {
                format!(
                    "{} audit segments have not been shipped, failing since {}",
                    status.pending_segments,
                    since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                )
            })
            .into_iter()
            .chain(self.stale_tables())
            .collect()
    }

    /// Hot tables that could not be checked of late.
    fn stale_tables(&self) -> Option<String> {
        let stale = self.shared.hot.status().stale;
        (stale > 0).then(|| {
            format!(
                "the objects of {stale} hot actions cannot be checked: answers may be out of date"
            )
        })
    }
}

impl Shared {
    pub(crate) fn now_unix_ms(&self) -> u64 {
        u64::try_from(self.clock.now().timestamp_millis()).unwrap_or_default()
    }

    /// The action as the profiler counts it: a name that is not configured was made up by a caller, and the profiler keeps room
    /// for a bounded number of names.
    pub(crate) fn label<'a>(&self, action: &'a str) -> &'a str {
        if self.actions.contains_key(action) {
            action
        } else {
            UNKNOWN_ACTION
        }
    }
}

/// One attempt from start to record. Panics inside are caught, so that they are recorded too.
async fn run_and_record(shared: Arc<Shared>, request: ActionRequest) -> Result<Answer, Failure> {
    let trace = Trace::new(&shared, &request);
    let attempt = Attempt::new(Arc::clone(&shared), &trace, &request);
    let limit = attempt.time_limit(&request);
    let work = AssertUnwindSafe(attempt.run(&request)).catch_unwind();
    let outcome: Result<Outcome, ActionError> = tokio::select! {
        biased;
        () = request.cancellation.cancelled() => Err(cancelled()),
        () = shared.stop.cancelled() => Err(stopping()),
        result = tokio::time::timeout(limit, work) => match result {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(ActionError::new(ErrorCode::Internal, "the attempt panicked", "Report this with the audit id.")),
            Err(_elapsed) => Err(attempt::timed_out(limit)),
        },
    };
    record::finish(&shared, &trace, outcome).await
}

/// An attempt that somebody waits for. Where they go away before its end, it is cancelled, and ends in a task of its own.
///
/// While they wait it runs in their task: a task for each would cost as much as a small attempt itself.
struct Attended<F: Future<Output: Send> + Send + 'static> {
    attempt: Option<Pin<Box<F>>>,
    cancellation: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Attended<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let attempt = self
            .attempt
            .as_mut()
            .expect("it is not polled after its end");
        let output = ready!(attempt.as_mut().poll(context));
        self.attempt = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Attended<F> {
    fn drop(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        self.cancellation.cancel();
        // Without a runtime the process is ending.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(attempt);
        }
    }
}

fn stopping() -> ActionError {
    ActionError::new(
        ErrorCode::Overloaded,
        "the process is stopping",
        "Try again, at another server if there is one.",
    )
}

fn cancelled() -> ActionError {
    ActionError::new(
        ErrorCode::Cancelled,
        "the caller went away before the answer was ready",
        "Raise the caller's own timeout above the action's.",
    )
}
