//! Reports an attempt that has ended: the profile, one line of the log, the observer, and which parts failed.

mod failures;
mod last_record;

use std::{sync::Arc, time::Duration};

use flowlake_cost_audit::AuditRecord;
use flowlake_profiler::{Phase, Profiler, Sample};
use flowlake_s3_stream::MeterSnapshot;

use self::failures::AttemptSummary;
pub use self::last_record::RecordName;
pub(crate) use self::{
    failures::{Failures, LastFailures},
    last_record::LastRecord,
};
use crate::{
    ActionError, EndedAttempt, PhaseTiming, attempt::Attempt, ledger::Closed, services::Services,
};

/// What the profiler counts every action by that is not configured: no action can be named so.
const UNKNOWN_ACTION: &str = "(unknown)";

#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) profiler: Arc<Profiler>,
    pub(crate) last_failures: LastFailures,
    /// The last record that was written.
    pub(crate) last_record: LastRecord,
}

impl Reporter {
    /// Reports an attempt; `error` is why it got no answer.
    pub(crate) fn report(
        &self,
        services: &Services,
        attempt: &Attempt,
        closed: &Closed,
        error: Option<&ActionError>,
    ) {
        let Closed { record, moved, .. } = closed;
        let code = error.map_or("ok", |error| error.code().as_str());
        let action = services.actions.get(&record.action);
        self.last_failures.note(AttemptSummary {
            code: error.map(ActionError::code),
            needs_token: action.is_some_and(|action| action.definition().genesys_token),
            asked_s3: moved.get_requests + moved.head_requests + moved.list_requests > 0,
        });
        let phases = phases(attempt, moved);
        let receipt = closed.written.as_ref().ok();
        if let Some(receipt) = receipt {
            self.last_record.note(receipt);
        }
        let audit_id = receipt.map(|receipt| &*receipt.id);
        self.profiler.record(&Sample {
            at_unix_ms: services.now_unix_ms(),
            // A name that is not configured was made up by a caller, and the profiler keeps room for a bounded number.
            action: action
                .map_or(UNKNOWN_ACTION, |action| action.name())
                .to_owned(),
            code: code.to_owned(),
            duration: attempt.elapsed(),
            phases: waits(&phases),
            bytes: moved.bytes_received,
            rows: record.rows,
            cache_hit: moved.metadata_cache_hits > 0,
            trace_id: attempt
                .observer
                .as_ref()
                .and_then(|observer| observer.trace_id()),
        });
        log(record, code, error, &closed.warnings);
        if let Some(observer) = &attempt.observer {
            observer.ended(&EndedAttempt {
                action: &record.action,
                code,
                http_status: error.map_or(record.http_status.unwrap_or(200), |error| {
                    error.code().http_status()
                }),
                audit_id,
                started_at: attempt.started_at,
                duration: attempt.elapsed(),
                phases: &phases,
                bytes: moved.bytes_received,
                rows: record.rows,
            });
        }
    }
}

/// Every phase, the wait for the first byte among them.
fn phases(attempt: &Attempt, moved: &MeterSnapshot) -> Vec<PhaseTiming> {
    let mut phases = attempt.draft().phases.clone();
    if let Some(duration) = moved.time_to_first_byte {
        let scan = phases.iter().find(|timing| timing.phase == Phase::Scan);
        phases.push(PhaseTiming {
            phase: Phase::FirstByte,
            started_after: scan.map_or(Duration::ZERO, |scan| scan.started_after),
            duration,
        });
    }
    phases
}

/// The time of each phase: one that was tried twice is one wait for the caller.
fn waits(timings: &[PhaseTiming]) -> Vec<(Phase, Duration)> {
    let mut phases: Vec<(Phase, Duration)> = Vec::with_capacity(timings.len());
    for timing in timings {
        match phases.iter_mut().find(|(phase, _)| *phase == timing.phase) {
            Some((_, duration)) => *duration += timing.duration,
            None => phases.push((timing.phase, timing.duration)),
        }
    }
    phases
}

/// The lines of the log about an attempt.
pub(crate) fn log(
    record: &AuditRecord,
    code: &str,
    error: Option<&ActionError>,
    warnings: &[String],
) {
    for warning in warnings {
        tracing::warn!(audit_id = record.id, action = record.action, "{warning}");
    }
    match error {
        // The audit log has every answer; this one is for what needs looking at.
        None => tracing::debug!(
            audit_id = record.id,
            action = record.action,
            rows = record.rows,
            bytes = record.bytes_transferred,
            duration_ms = record.duration_ms,
            "answered"
        ),
        // The only line about a failure, and the only place that its cause is written to.
        Some(error) => tracing::warn!(
            audit_id = record.id,
            action = record.action,
            code,
            detail = error.log_detail(),
            retryable = error.is_retryable(),
            duration_ms = record.duration_ms,
            "{error}"
        ),
    }
}
