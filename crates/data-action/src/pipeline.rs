//! The walk of an attempt: admit, plan, read, close the books, report, answer. Each step is a module, in this order.

use std::{
    fs::File, panic::AssertUnwindSafe, path::Path, path::PathBuf, sync::Arc, time::Duration,
};

use flowlake_profiler::{Gauge, Profiler};
use flowlake_transform::{arrow::datatypes::Schema, sent_name};
use futures::{FutureExt, TryFutureExt, future::Either};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Action, ActionError, ActionRequest, Answer, Clock, CostTracking, Documents, ErrorCode,
    OutputObject, PartHealth, Profile,
    admit::admit,
    answer,
    attempt::{Attempt, CancelOnDrop},
    health,
    ledger::{Closed, Ledger},
    metrics,
    read::{Answered, Reader},
    report::Reporter,
    services::Services,
    upload::upload,
};

/// How long an attempt may take whose action is not even known.
const UNKNOWN_ACTION_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for the last records when the pipeline is closed: a disk that hangs must not keep the process from ending.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Runs configured actions. Cheap to clone; clones share every cache.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub(crate) parts: Arc<Parts>,
}

/// What all attempts share.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) services: Arc<Services>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) reader: Reader,
    pub(crate) reporter: Arc<Reporter>,
    /// The files that it was made of.
    pub(crate) documents: Documents,
    pub(crate) audit_directory: PathBuf,
    /// Whether that is beside the configured one, which another process writes.
    pub(crate) is_beside: bool,
    /// Attempts and reloads that run.
    pub(crate) running: TaskTracker,
    /// Where attempts run that read files; `None` for the caller's own runtime.
    pub(crate) scans: Option<Handle>,
    /// Ends the attempts that still run when the pipeline is closed.
    pub(crate) stop: CancellationToken,
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
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Runs one action and writes exactly one audit record, whatever happens.
    ///
    /// Dropping the returned future (the caller hung up) cancels the attempt, which then still writes its record, in a task of
    /// its own.
    ///
    /// # Errors
    /// A [`Failure`] with one of the codes of [`ErrorCode`].
    pub async fn run(&self, request: ActionRequest) -> Result<Answer, Failure> {
        let cancellation = request.cancellation.clone();
        let runtime = self.runtime_of(&request.action).cloned();
        let attempt = run_and_record(Arc::clone(&self.parts), request);
        // Counted from here to its record, in whichever task it ends.
        let attempt = self.parts.running.track_future(attempt);
        let attempt = match runtime {
            Some(runtime) => Either::Left(runtime.spawn(attempt).map_err(drop)),
            None => Either::Right(AssertUnwindSafe(attempt).catch_unwind().map_err(drop)),
        };
        let ended = CancelOnDrop::new(attempt, cancellation).await;
        ended.unwrap_or_else(|()| {
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

    /// Records that the rows of an answer did not reach the caller after all. The attempt's own record stands before the first
    /// row is given, so this is one more, which names it as its `correlation_id`.
    ///
    /// # Errors
    /// `audit.unavailable`.
    pub async fn undelivered(
        &self,
        answer: &Answer,
        error: &ActionError,
    ) -> Result<(), ActionError> {
        self.parts
            .ledger
            .undelivered(&answer.audit_log, error)
            .await
    }

    /// The folder of the audit log, where it is beside the configured one: another process writes that.
    #[must_use]
    pub fn log_beside(&self) -> Option<&Path> {
        let parts = &*self.parts;
        parts.is_beside.then_some(parts.audit_directory.as_path())
    }

    /// Writes the rows of an answer, which are in a file, to the object that its request named: whole, or not at all.
    ///
    /// # Errors
    /// `policy.denied`, `s3.*`, and `output.unwritable` for a file that cannot be read back.
    pub async fn upload(&self, to: &OutputObject, rows: File) -> Result<(), ActionError> {
        let services = &self.parts.services;
        services.policy.check_write(to)?;
        upload(&services.s3, to, rows).await
    }

    /// The runtime of its own that an action's attempts have: one that reads files can keep threads busy for seconds.
    fn runtime_of(&self, action: &str) -> Option<&Handle> {
        let action = self.parts.services.actions.get(action)?;
        self.parts.scans.as_ref().filter(|_| action.hot.is_none())
    }

    /// Ends cleanly: waits for attempts and reloads that run, no longer than `grace`; cancels the attempts that are left, and
    /// waits for their records; and closes the audit log. Returns how many attempts had to be cancelled.
    ///
    /// Stop sending requests first: what comes later is refused, and leaves no record.
    pub async fn close(&self, grace: Duration) -> usize {
        let Parts {
            services,
            ledger,
            running,
            stop,
            ..
        } = &*self.parts;
        running.close();
        let ended = tokio::time::timeout(grace, running.wait()).await;
        let cancelled = if ended.is_ok() { 0 } else { running.len() };
        stop.cancel();
        let ended = tokio::time::timeout(SETTLE_LIMIT, running.wait()).await;
        if tokio::time::timeout(SETTLE_LIMIT, ledger.budgets.close())
            .await
            .is_err()
        {
            tracing::warn!(
                "what is claimed of the budget and not spent could not be given back in time"
            );
        }
        let closed = tokio::time::timeout(SETTLE_LIMIT, ledger.audit.close()).await;
        services.s3.settle(SETTLE_LIMIT).await;
        if ended.is_err() || closed.is_err() {
            tracing::error!("the last records did not come in time: the audit log may lack some");
        }
        cancelled
    }

    /// The configured actions, in order of name.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.parts.services.actions.values().map(AsRef::as_ref)
    }

    /// The action of that name.
    ///
    /// # Errors
    /// [`ErrorCode::ActionUnknown`], with the nearest name that exists.
    pub fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        self.parts.services.action(name)
    }

    /// The profiler that every attempt is recorded in.
    #[must_use]
    pub fn profiler(&self) -> &Profiler {
        &self.parts.reporter.profiler
    }

    /// The clock that attempts are measured with; what comes before an attempt is to be measured with it too.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.services.clock
    }

    /// The calendar time of the pipeline's clock, in milliseconds since 1970.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.parts.services.now_unix_ms()
    }

    /// Why requests would be refused at present whatever they ask; `None` when the pipeline is ready.
    #[must_use]
    pub fn unready_reason(&self) -> Option<ActionError> {
        let is_healthy = self.parts.ledger.audit.is_healthy();
        (!is_healthy).then(|| {
            ActionError::new(
                ErrorCode::AuditUnavailable,
                "the audit log cannot be written",
                "Free space on its disk or correct the permissions of the folder of [audit.log]: requests are taken again as soon as a record can be written.",
            )
        })
    }

    /// What an operator should look at while requests are still served: audit segments that cannot be shipped, and hot tables
    /// whose objects cannot be checked.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        health::warnings(&self.parts.ledger, &self.parts.reader)
    }

    /// Actions whose files cannot be used, and why; there are some only where the application allows it.
    pub fn broken_actions(&self) -> impl Iterator<Item = (&str, &ActionError)> {
        let broken = self.parts.services.broken.iter();
        broken.map(|(name, error)| (name.as_str(), error))
    }

    /// How each part is, those that are not configured left out.
    #[must_use]
    pub fn health(&self) -> Vec<PartHealth> {
        let Parts {
            services,
            ledger,
            reader,
            reporter,
            ..
        } = &*self.parts;
        health::parts(services, ledger, reader, reporter.last_failures.get())
    }

    /// Everything as Prometheus text 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        self.prometheus_with(Vec::new())
    }

    /// The same with figures of the application's own.
    #[must_use]
    pub fn prometheus_with(&self, own: Vec<Gauge>) -> String {
        self.profiler().prometheus_with(&self.gauges(own))
    }

    /// Everything as OpenMetrics 1.0, with trace ids as exemplars, and with figures of the application's own.
    #[must_use]
    pub fn openmetrics_with(&self, own: Vec<Gauge>) -> String {
        self.profiler().openmetrics_with(&self.gauges(own))
    }

    fn gauges(&self, own: Vec<Gauge>) -> Vec<Gauge> {
        let Parts {
            services,
            ledger,
            reader,
            ..
        } = &*self.parts;
        let mut gauges = metrics::gauges(services, ledger, reader, &self.health());
        gauges.extend(own);
        gauges
    }
}

/// One attempt from its start to its record and its answer. Panics inside are caught, so that they are recorded too.
async fn run_and_record(parts: Arc<Parts>, request: ActionRequest) -> Result<Answer, Failure> {
    let configured = parts.services.actions.get(&request.action);
    let action = request.question.as_ref().or(configured);
    // Any other name was made up by the caller.
    let name = action.map_or_else(
        || sent_name(&request.action),
        |action| action.name().to_owned(),
    );
    let attempt = Attempt::new(&parts.services.clock, &request, name);
    let limit = action.map_or(UNKNOWN_ACTION_LIMIT, |action| {
        action.definition.limits.timeout
    });
    let own = limit.saturating_sub(request.queued_for);
    let given = request.time_left.filter(|given| *given < own);
    let walk = AssertUnwindSafe(walk(&parts, &attempt, &request)).catch_unwind();
    let outcome = if request.cancellation.is_cancelled() {
        Err(cancelled())
    } else if parts.running.is_closed() && parts.stop.is_cancelled() {
        Err(stopping())
    } else {
        tokio::select! {
            // First, so that an answer that comes at once does not wait for the others, which takes the locks of what is shared.
            biased;
            result = tokio::time::timeout(given.unwrap_or(own), walk) => match result {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_panic)) => Err(ActionError::new(ErrorCode::Internal, "the attempt panicked", "Report this with the audit id.")),
                Err(_elapsed) => Err(given.map_or_else(|| timed_out(limit), out_of_time)),
            },
            () = request.cancellation.cancelled() => Err(cancelled()),
            () = parts.stop.cancelled() => Err(stopping()),
        }
    };
    let outcome = outcome.map_err(|error| {
        let error = match request.question {
            Some(_) => {
                let is_inspected = request.output.inspect.is_some();
                attempt.name_files(error).with_shell_advice(is_inspected)
            }
            None => error,
        };
        match action {
            Some(action) => action.definition.locate(error),
            None => error,
        }
    });
    let ended = outcome.as_ref().map(|answered| &answered.rows.stats);
    let closed = parts.ledger.close(&attempt, ended).await;
    // Without a record there is no answer, whatever was found.
    let unwritten = closed.written.as_ref().err();
    let error = unwritten.or(outcome.as_ref().err()).cloned();
    parts
        .reporter
        .report(&parts.services, &attempt, &closed, error.as_ref());
    match (error, outcome) {
        (None, Ok(answered)) => answer(&parts, &attempt, answered, closed),
        (Some(error), _) | (None, Err(error)) => Err(Failure {
            error,
            audit_id: closed.written.ok().map(|receipt| receipt.id),
        }),
    }
}

/// The steps up to the rows.
async fn walk(
    parts: &Parts,
    attempt: &Attempt,
    request: &ActionRequest,
) -> Result<Answered, ActionError> {
    let Parts {
        services,
        ledger,
        reader,
        ..
    } = parts;
    let admitted = admit(services, ledger, attempt, request).await?;
    let read = || reader.read(attempt, &admitted, request);
    let read = match read().await {
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::S3ObjectChanged | ErrorCode::FileChanged | ErrorCode::ClusterWorkerLost
            ) =>
        {
            let (action, code) = (admitted.action.name(), error.code().as_str());
            tracing::info!(
                action,
                code,
                "what was read is of no use: reading it again, whole"
            );
            read().await
        }
        read => read,
    };
    if let Ok(answered) = &read
        && !answered.not_modified
    {
        admitted.action.note_columns(&answered.rows.schema);
    }
    read
}

fn answer(
    parts: &Parts,
    attempt: &Attempt,
    answered: Answered,
    closed: Closed,
) -> Result<Answer, Failure> {
    let Closed {
        record,
        written,
        moved,
        cost,
        warnings,
        files_left_out,
    } = closed;
    let audit = written.map_err(|error| Failure {
        error,
        audit_id: None,
    })?;
    let Answered {
        rows,
        estimate,
        metadata,
        hot,
        cache,
        tag,
        not_modified,
    } = answered;
    let estimated = estimate.as_ref().map(|cost| cost.total_usd.to_string());
    Ok(Answer {
        action: record.action.clone(),
        data: rows.data,
        encoded: rows.encoded,
        columns: column_names(&rows.schema),
        row_count: rows.stats.rows_out,
        truncated: rows.stats.truncated,
        skipped_rows: rows.stats.skipped_rows,
        nulled_values: rows.stats.nulled_values,
        files_left_out,
        metadata,
        hot,
        cache,
        tag: tag.map(|tag| tag.to_string()),
        not_modified,
        cost_tracking: CostTracking {
            estimated_transfer_cost_usd: estimated,
            estimate,
            metered: cost,
            bytes: moved.bytes_received,
            bytes_from_disk: moved.bytes_from_disk,
            warnings,
        },
        run: rows.stats,
        steps: rows.steps,
        inspected: rows.inspected,
        audit,
        audit_log: record,
        profiler_snapshot: Profile {
            profiler: Arc::clone(&parts.reporter.profiler),
            at_unix_ms: parts.services.now_unix_ms(),
        },
        duration_ms: milliseconds(attempt.elapsed()),
    })
}

/// The names of an answer's columns, in order.
pub(crate) fn column_names(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn timed_out(limit: Duration) -> ActionError {
    ActionError::new(
        ErrorCode::LimitTimeout,
        format!("the answer was not ready within {} ms", limit.as_millis()),
        "Read less (a smaller file, Parquet, a narrower uri), or raise `timeout` in [limits].",
    )
}

fn out_of_time(given: Duration) -> ActionError {
    ActionError::new(
        ErrorCode::LimitTimeout,
        format!(
            "the answer was not ready within the {} ms that the caller had left",
            given.as_millis()
        ),
        "Read less (a smaller file, Parquet, a narrower uri), or let the caller wait longer: the timeout of the function.",
    )
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
