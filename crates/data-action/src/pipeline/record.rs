//! The end of an attempt: price it, write its one audit record, profile it, answer.

use std::{sync::Arc, time::Duration};

use flowlake_cost_audit::{AuditObject, AuditReceipt, AuditRecord, AuditStatus, Cost};
use flowlake_profiler::{Phase, Sample};
use flowlake_s3_stream::MeterSnapshot;

use super::{Failure, Shared, execute::Outcome, trace::Trace};
use crate::{ActionError, Answer, CostTracking};

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

    let mut record = trace.state().record.clone();
    record.objects = objects
        .iter()
        .map(|(bucket, object)| audit_object(bucket, object))
        .collect();
    complete(
        &mut record,
        &outcome,
        &total,
        cost.as_ref(),
        trace.elapsed(),
    );

    let written = trace
        .phase(Phase::Audit, shared.audit.append(record.clone()))
        .await;
    let result = match (written, outcome) {
        (Ok(receipt), Ok(outcome)) => Ok((receipt, outcome)),
        (Ok(receipt), Err(error)) => Err((error, Some(receipt.id))),
        // Without a record there is no answer, whatever was found.
        (Err(error), _) => Err((ActionError::from(error), None)),
    };
    let error = result.as_ref().err().map(|(error, _)| error);
    let code = error.map_or("ok", |error| error.code().as_str());
    profile(shared, trace, &record, code, &total);
    log(&record, code, error);
    match result {
        Ok((receipt, outcome)) => Ok(answer(
            shared, trace, outcome, record, receipt, cost, &total,
        )),
        Err((error, audit_id)) => Err(Failure { error, audit_id }),
    }
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
        .collect();
    (usage, objects)
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

fn audit_object(bucket: &str, object: &flowlake_s3_stream::ObjectMetadata) -> AuditObject {
    AuditObject {
        bucket: bucket.to_owned(),
        key: object.location.to_string(),
        version_id: object.version_id.clone(),
        etag: object.etag.clone(),
        bytes: object.size,
    }
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
) {
    let mut phases = trace.state().phases.clone();
    phases.extend(
        total
            .time_to_first_byte
            .map(|wait| (Phase::FirstByte, wait)),
    );
    shared.profiler.record(&Sample {
        at_unix_ms: u64::try_from(trace.started_at.timestamp_millis()).unwrap_or_default(),
        action: record.action.clone(),
        code: code.to_owned(),
        duration: trace.elapsed(),
        phases,
        bytes: total.bytes_received,
        rows: record.rows,
        cache_hit: total.metadata_cache_hits > 0,
        ..Sample::default()
    });
}

fn log(record: &AuditRecord, code: &str, error: Option<&ActionError>) {
    match error {
        None => tracing::info!(
            audit_id = record.id,
            action = record.action,
            rows = record.rows,
            bytes = record.bytes_transferred,
            duration_ms = record.duration_ms,
            "answered"
        ),
        Some(error) => tracing::warn!(
            audit_id = record.id,
            action = record.action,
            code,
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
    cost: Option<Cost>,
    total: &MeterSnapshot,
) -> Answer {
    Answer {
        action: record.action.clone(),
        data: outcome.data,
        columns: outcome.columns,
        row_count: outcome.stats.rows_out,
        truncated: outcome.stats.truncated,
        metadata: outcome.metadata,
        cost_tracking: CostTracking {
            estimated_transfer_cost_usd: outcome
                .estimate
                .as_ref()
                .map(|cost| cost.total_usd.to_string()),
            estimate: outcome.estimate,
            actual: cost,
            bytes: total.bytes_received,
        },
        run: outcome.stats,
        audit: receipt,
        audit_log: record,
        profiler_snapshot: shared
            .profiler
            .snapshot(u64::try_from(shared.clock.now().timestamp_millis()).unwrap_or_default()),
        duration_ms: milliseconds(trace.elapsed()),
    }
}
