//! Records in the forms that other tools read.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ocsf;
use super::read::{AuditEntry, search};
use super::record::AuditStatus;
use super::search::AuditQuery;
use crate::error::{Error, ErrorKind};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExportFormat {
    /// The entries as they are, one a line.
    JsonLines,
    /// One row per record; lists are joined by spaces.
    Csv,
    /// OCSF 1.3 API Activity (class 6003), one event a line.
    Ocsf,
}

/// Writes the records that `query` asks for to `out`, and returns how many.
///
/// # Errors
/// [`ErrorKind::Unreadable`] or [`ErrorKind::Broken`] when the log cannot be read, [`ErrorKind::Unwritable`] when `out` fails.
pub fn export(
    directory: &Path,
    query: AuditQuery,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<u64, Error> {
    write_entries(search(directory, query)?, format, out)
}

/// Writes `entries` to `out`, and returns how many; a CSV has its header line also when there are none.
///
/// # Errors
/// The first error among the entries, or [`ErrorKind::Unwritable`] when `out` fails.
pub fn write_entries(
    entries: impl Iterator<Item = Result<AuditEntry, Error>>,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<u64, Error> {
    match format {
        ExportFormat::Csv => write_csv(entries, out),
        ExportFormat::JsonLines => {
            write_lines(entries, out, |entry, out| serde_json::to_writer(out, entry))
        }
        ExportFormat::Ocsf => write_lines(entries, out, |entry, out| {
            serde_json::to_writer(out, &ocsf::event(entry))
        }),
    }
}

fn write_lines(
    entries: impl Iterator<Item = Result<AuditEntry, Error>>,
    mut out: &mut dyn Write,
    write: impl Fn(&AuditEntry, &mut dyn Write) -> serde_json::Result<()>,
) -> Result<u64, Error> {
    let mut count = 0;
    for entry in entries {
        write(&entry?, &mut out)
            .map_err(std::io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(failed)?;
        count += 1;
    }
    out.flush().map_err(failed)?;
    Ok(count)
}

const COLUMNS: [&str; 37] = [
    "sequence",
    "time",
    "id",
    "action",
    "status",
    "code",
    "caller",
    "organization",
    "conversation_id",
    "correlation_id",
    "principal",
    "decision",
    "objects",
    "bytes_transferred",
    "bytes_scanned",
    "rows",
    "duration_ms",
    "http_status",
    "cost_usd",
    "request_ids",
    "params",
    "message",
    "compliance_tag",
    "hash",
    "previous",
    "versions",
    "skipped_rows",
    "nulled_values",
    "objects_count",
    "objects_digest",
    "address",
    "trace_id",
    "user",
    "sql",
    "destination",
    "bytes_from_disk",
    "node",
];

fn write_csv(
    entries: impl Iterator<Item = Result<AuditEntry, Error>>,
    out: &mut dyn Write,
) -> Result<u64, Error> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS).map_err(failed)?;
    let mut count = 0;
    for entry in entries {
        let row = row(&entry?).map(|cell| harmless(&cell));
        csv.write_record(&row).map_err(failed)?;
        count += 1;
    }
    csv.flush().map_err(failed)?;
    Ok(count)
}

fn row(entry: &AuditEntry) -> [String; COLUMNS.len()] {
    let record = &entry.record;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let join = |parts: Vec<String>| parts.join(" ");
    [
        entry.sequence.to_string(),
        record
            .time
            .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        record.id.clone(),
        record.action.clone(),
        match record.status {
            AuditStatus::Success => "success",
            AuditStatus::Failed => "failed",
        }
        .to_owned(),
        record.code.clone(),
        record.caller.clone(),
        text(&record.organization),
        text(&record.conversation_id),
        text(&record.correlation_id),
        text(&record.principal),
        text(&record.decision),
        join(record.objects.iter().map(ToString::to_string).collect()),
        record.bytes_transferred.to_string(),
        record.bytes_scanned.to_string(),
        record.rows.to_string(),
        record.duration_ms.to_string(),
        record
            .http_status
            .map(|status| status.to_string())
            .unwrap_or_default(),
        record
            .cost_usd
            .map(|cost| cost.to_string())
            .unwrap_or_default(),
        join(record.request_ids.clone()),
        join(
            record
                .params
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        text(&record.message),
        record.compliance_tag.clone(),
        entry.hash.clone(),
        entry.previous.clone(),
        join(
            record
                .objects
                .iter()
                .filter_map(|object| object.version_id.clone())
                .collect(),
        ),
        record.skipped_rows.to_string(),
        record.nulled_values.to_string(),
        record.objects_count.map_or_else(
            || record.objects.len().to_string(),
            |count| count.to_string(),
        ),
        text(&record.objects_digest),
        text(&record.address),
        text(&record.trace_id),
        text(&record.user),
        text(&record.sql),
        text(&record.destination),
        record.bytes_from_disk.to_string(),
        text(&record.node),
    ]
}

/// A cell that a spreadsheet would run as a formula gets an apostrophe before it.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorKind::Unwritable,
        "cannot write the export, free space or choose another place",
    )
    .with_source(error)
}
