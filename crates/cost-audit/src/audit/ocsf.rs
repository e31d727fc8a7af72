//! A record as an OCSF event: class API Activity (6003), activity Read, version 1.3.0.

use serde_json::{Value, json};

use super::read::AuditEntry;
use super::record::AuditStatus;

const VERSION: &str = "1.3.0";
const CATEGORY_APPLICATION: u32 = 6;
const CLASS_API_ACTIVITY: u32 = 6003;
const ACTIVITY_READ: u32 = 2;

/// The event of one record.
pub(super) fn event(entry: &AuditEntry) -> Value {
    let record = &entry.record;
    let (status_id, status, severity_id, severity) = match record.status {
        AuditStatus::Success => (1, "Success", 1, "Informational"),
        AuditStatus::Failed => (2, "Failure", 2, "Low"),
    };
    let mut event = json!({
        "activity_id": ACTIVITY_READ,
        "activity_name": "Read",
        "actor": actor(entry),
        "api": {
            "operation": record.action,
            "request": { "uid": record.id },
            "response": { "code": record.http_status, "error": null, "message": record.message },
            "service": { "name": "flowlake" },
        },
        "category_name": "Application Activity",
        "category_uid": CATEGORY_APPLICATION,
        "class_name": "API Activity",
        "class_uid": CLASS_API_ACTIVITY,
        "cloud": { "provider": "AWS" },
        "duration": record.duration_ms,
        "metadata": {
            "correlation_uid": record.correlation_id,
            "labels": [record.compliance_tag],
            "log_name": "flowlake audit",
            "product": {
                "name": "flowlake",
                "vendor_name": "flowlake",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "profiles": ["cloud"],
            "sequence": entry.sequence,
            "uid": record.id,
            "version": VERSION,
        },
        "resources": resources(entry),
        "severity": severity,
        "severity_id": severity_id,
        "src_endpoint": { "ip": record.address, "name": record.caller },
        "status": status,
        "status_code": record.code,
        "status_detail": record.decision,
        "status_id": status_id,
        "time": record.time.timestamp_millis(),
        "type_name": "API Activity: Read",
        "type_uid": u64::from(CLASS_API_ACTIVITY) * 100 + u64::from(ACTIVITY_READ),
        "unmapped": unmapped(entry),
    });
    if record.status == AuditStatus::Failed {
        event["api"]["response"]["error"] = Value::String(record.code.clone());
    }
    without_nulls(&mut event);
    event
}

/// What the class has no place for.
fn unmapped(entry: &AuditEntry) -> Value {
    let record = &entry.record;
    json!({
        "bytes_from_disk": record.bytes_from_disk,
        "bytes_scanned": record.bytes_scanned,
        "bytes_transferred": record.bytes_transferred,
        "conversation_id": record.conversation_id,
        "cost_usd": record.cost_usd,
        "destination": record.destination,
        "hash": entry.hash,
        "node": record.node,
        "nulled_values": record.nulled_values,
        "objects_count": record.objects_count,
        "objects_digest": record.objects_digest,
        "params": record.params,
        "previous": entry.previous,
        "request_ids": record.request_ids,
        "rows": record.rows,
        "skipped_rows": record.skipped_rows,
        "sql": record.sql,
        "trace_id": record.trace_id,
        "user": record.user,
    })
}

fn actor(entry: &AuditEntry) -> Value {
    let record = &entry.record;
    json!({
        "app_name": "flowlake",
        "user": {
            "name": record.caller,
            "org": record.organization.as_ref().map(|organization| json!({ "uid": organization })),
            "uid": record.principal,
        },
    })
}

fn resources(entry: &AuditEntry) -> Vec<Value> {
    let arn = |bucket: &str, key: &str| format!("arn:aws:s3:::{bucket}/{key}");
    entry
        .record
        .objects
        .iter()
        .map(|object| {
            json!({
                "data": { "etag": object.etag, "size": object.size },
                "name": object.to_string(),
                "type": if object.is_local() { "File" } else { "AWS::S3::Object" },
                "uid": (!object.is_local()).then(|| arn(&object.bucket, &object.key)),
                "version": object.version_id,
            })
        })
        .collect()
}

/// OCSF leaves out what is not known.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
