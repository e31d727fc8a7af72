//! The end of an attempt: price it, write its one audit record, profile it, answer.

use std::{sync::Arc, time::Duration};

use flowlake_cost_audit::{AuditObject, AuditReceipt, AuditRecord, AuditStatus, Cost};
use flowlake_profiler::{Phase, Sample};
use flowlake_s3_stream::MeterSnapshot;
use flowlake_transform::Location;

use super::{Failure, Shared, execute::Outcome, health::Attempted, trace::Trace};
use crate::{ActionError, Answer, CostTracking, EndedAttempt, PhaseTiming, Profile};

/// Completes and writes the record; the answer leaves only when the record is durable.
pub(super) async fn finish(
    shared: &Arc<Shared>,
    trace: &Trace,
    outcome: Result<Outcome, ActionError>,
) -> Result<Answer, Failure> {
    let (usage, objects) = moved(trace);
    let total = usage
        .iter()
        .fold(MeterSnapshot::default(), |total, (_, meter)| {
            sum(total, meter)
        });
    let cost = shared.cost_after(&usage, &objects);

    let mut record = std::mem::take(&mut trace.state().record);
    record.decision = trace.state().asked.summary();
    shared.settle(trace, &record.action, cost.as_ref(), total.bytes_received);
    record.set_objects(audit_objects(&objects, &trace.state().wanted));
    let warnings = trace.state().warnings.clone();
    record.message = (!warnings.is_empty()).then(|| warnings.join("; "));
    complete(
        &mut record,
        &outcome,
        &total,
        cost.as_ref(),
        trace.elapsed(),
    );

    let written = trace
        .phase(Phase::Audit, shared.audit.append(&record))
        .await;
    let result = match (written, outcome) {
        (Ok(receipt), Ok(outcome)) => Ok((receipt, outcome)),
        (Ok(receipt), Err(error)) => Err((error, Some(receipt.id))),
        // Without a record there is no answer, whatever was found.
        (Err(error), _) => Err((ActionError::from(error), None)),
    };
    let error = result.as_ref().err().map(|(error, _)| error);
    let code = error.map_or("ok", |error| error.code().as_str());
    let action = shared.actions.get(&record.action);
    shared.last_failures.note(Attempted {
        code: error.map(ActionError::code),
        needs_token: action.is_some_and(|action| action.definition().genesys_token),
        asked_s3: total.get_requests + total.head_requests + total.list_requests > 0,
    });
    let phases = phases(trace, &total);
    profile(shared, trace, &record, code, &total, &phases);
    log(&record, code, error, &warnings);
    if let Some(observer) = &trace.observer {
        observer.ended(&EndedAttempt {
            action: &record.action,
            code,
            http_status: error.map_or(200, |error| error.code().http_status()),
            audit_id: match &result {
                Ok((receipt, _)) => Some(&receipt.id),
                Err((_, audit_id)) => audit_id.as_deref(),
            },
            started_at: trace.started_at,
            duration: trace.elapsed(),
            phases: &phases,
            bytes: total.bytes_received,
            rows: record.rows,
        });
    }
    match result {
        Ok((receipt, outcome)) => {
            let cost = CostTracking {
                estimated_transfer_cost_usd: outcome
                    .estimate
                    .as_ref()
                    .map(|cost| cost.total_usd.to_string()),
                estimate: outcome.estimate.clone(),
                metered: cost,
                bytes: total.bytes_received,
                warnings,
            };
            Ok(answer(shared, trace, outcome, record, receipt, cost))
        }
        Err((error, audit_id)) => Err(Failure { error, audit_id }),
    }
}

const RELOADED: &str = "a new version of the objects was read in the background";

/// Writes the record of a reload, and counts what it cost.
pub(super) async fn finish_reload(
    shared: &Shared,
    trace: &Trace,
    failure: Option<&ActionError>,
) -> Result<(), ActionError> {
    let (usage, objects) = moved(trace);
    let total = usage
        .iter()
        .fold(MeterSnapshot::default(), |total, (_, meter)| {
            sum(total, meter)
        });
    let cost = shared.cost_after(&usage, &objects);
    let mut record = std::mem::take(&mut trace.state().record);
    shared.settle(trace, &record.action, cost.as_ref(), total.bytes_received);
    record.decision = trace.state().asked.summary();
    record.set_objects(audit_objects(&objects, &trace.state().wanted));
    record.bytes_transferred = total.bytes_received;
    record.request_ids.clone_from(&total.request_ids);
    record.duration_ms = u64::try_from(trace.elapsed().as_millis()).unwrap_or(u64::MAX);
    record.cost_usd = cost.map(|cost| cost.total_usd);
    (record.status, record.code, record.message) = match failure {
        None => (
            AuditStatus::Success,
            "ok".to_owned(),
            Some(RELOADED.to_owned()),
        ),
        Some(error) => (
            AuditStatus::Failed,
            error.code().as_str().to_owned(),
            Some(error.message().to_owned()),
        ),
    };
    shared.audit.append(&record).await?;
    Ok(())
}

/// What every try of the attempt moved, per bucket, and the object versions it read.
#[expect(
    clippy::type_complexity,
    reason = "two lists that are always asked for together"
)]
fn moved(
    trace: &Trace,
) -> (
    Vec<(String, MeterSnapshot)>,
    Vec<(String, Arc<flowlake_s3_stream::ObjectMetadata>)>,
) {
    let state = trace.state();
    let usage = state
        .stores
        .iter()
        .flat_map(|stores| stores.usage())
        .collect();
    let objects = state
        .stores
        .iter()
        .flat_map(|stores| stores.objects())
        .collect::<Vec<_>>();
    if state.hot.is_empty() {
        return (usage, objects);
    }
    // What was answered from is one version, whether this attempt read it or an earlier one.
    (usage, state.hot.clone())
}

/// Two meters as one.
fn sum(mut total: MeterSnapshot, other: &MeterSnapshot) -> MeterSnapshot {
    total.get_requests += other.get_requests;
    total.head_requests += other.head_requests;
    total.list_requests += other.list_requests;
    total.bytes_received += other.bytes_received;
    total.retries += other.retries;
    total.throttles += other.throttles;
    total.metadata_cache_hits += other.metadata_cache_hits;
    total.time_to_first_byte = total.time_to_first_byte.or(other.time_to_first_byte);
    total.request_ids.extend(other.request_ids.iter().cloned());
    total
}

/// The object versions that were read, and what should have been read and was not.
fn audit_objects(
    read: &[(String, Arc<flowlake_s3_stream::ObjectMetadata>)],
    wanted: &[Location],
) -> Vec<AuditObject> {
    let mut objects: Vec<AuditObject> = read
        .iter()
        .map(|(bucket, object)| AuditObject {
            bucket: bucket.clone(),
            key: object.location.to_string(),
            version_id: object.version_id.clone(),
            etag: object.etag.clone(),
            size: Some(object.size),
        })
        .collect();
    for location in wanted {
        let was_read = read.iter().any(|(bucket, object)| {
            bucket == location.bucket() && location.covers(object.location.as_ref())
        });
        if !was_read {
            objects.push(AuditObject {
                bucket: location.bucket().to_owned(),
                key: location.as_written().to_owned(),
                ..AuditObject::default()
            });
        }
    }
    objects
}

/// Every phase, the wait for the first byte among them.
fn phases(trace: &Trace, total: &MeterSnapshot) -> Vec<PhaseTiming> {
    let mut phases = trace.state().phases.clone();
    if let Some(duration) = total.time_to_first_byte {
        let scan = phases.iter().find(|timing| timing.phase == Phase::Scan);
        phases.push(PhaseTiming {
            phase: Phase::FirstByte,
            started_after: scan.map_or(Duration::ZERO, |scan| scan.started_after),
            duration,
        });
    }
    phases
}

/// Writes the outcome into the record.
fn complete(
    record: &mut AuditRecord,
    outcome: &Result<Outcome, ActionError>,
    total: &MeterSnapshot,
    cost: Option<&Cost>,
    elapsed: Duration,
) {
    record.bytes_transferred = total.bytes_received;
    record.request_ids.clone_from(&total.request_ids);
    record.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    record.http_status = Some(
        outcome
            .as_ref()
            .map_or_else(|error| error.code().http_status(), |_| 200),
    );
    record.cost_usd = cost.map(|cost| cost.total_usd);
    match outcome {
        Ok(outcome) => {
            record.status = AuditStatus::Success;
            "ok".clone_into(&mut record.code);
            record.rows = outcome.stats.rows_out;
            record.bytes_scanned = outcome.stats.bytes_scanned;
            record.skipped_rows = outcome.stats.skipped_rows;
            record.nulled_values = outcome.stats.nulled_values;
        }
        Err(error) => {
            record.status = AuditStatus::Failed;
            error.code().as_str().clone_into(&mut record.code);
            record.message = Some(error.message().to_owned());
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn profile(
    shared: &Shared,
    trace: &Trace,
    record: &AuditRecord,
    code: &str,
    total: &MeterSnapshot,
    timings: &[PhaseTiming],
) {
    // A phase that was tried twice is one wait for who asked.
    let mut phases: Vec<(Phase, Duration)> = Vec::with_capacity(timings.len());
    for timing in timings {
        match phases.iter_mut().find(|(phase, _)| *phase == timing.phase) {
            Some((_, duration)) => *duration += timing.duration,
            None => phases.push((timing.phase, timing.duration)),
        }
    }
    shared.profiler.record(&Sample {
        at_unix_ms: shared.now_unix_ms(),
        action: shared.label(&record.action).to_owned(),
        code: code.to_owned(),
        duration: trace.elapsed(),
        phases,
        bytes: total.bytes_received,
        rows: record.rows,
        cache_hit: total.metadata_cache_hits > 0,
        trace_id: trace
            .observer
            .as_ref()
            .and_then(|observer| observer.trace_id()),
    });
}

fn log(record: &AuditRecord, code: &str, error: Option<&ActionError>, warnings: &[String]) {
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

fn answer(
    shared: &Shared,
    trace: &Trace,
    outcome: Outcome,
    record: AuditRecord,
    receipt: AuditReceipt,
    cost_tracking: CostTracking,
) -> Answer {
    Answer {
        action: record.action.clone(),
        data: outcome.data,
        encoded: outcome.encoded,
        columns: outcome.columns,
        row_count: outcome.stats.rows_out,
        truncated: outcome.stats.truncated,
        skipped_rows: outcome.stats.skipped_rows,
        nulled_values: outcome.stats.nulled_values,
        metadata: outcome.metadata,
        hot: outcome.hot,
        cost_tracking,
        run: outcome.stats,
        steps: outcome.steps,
        audit: receipt,
        audit_log: record,
        profiler_snapshot: Profile {
            profiler: Arc::clone(&shared.profiler),
            at_unix_ms: shared.now_unix_ms(),
        },
        duration_ms: milliseconds(trace.elapsed()),
    }
}
