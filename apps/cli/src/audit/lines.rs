//! One record as one line for people.

use chrono::SecondsFormat;
use flowlake_cost_audit::audit::AuditEntry;

use crate::text;

/// Number, time, outcome, action, who, what moved, how long, cost, id.
pub(super) fn line(entry: &AuditEntry) -> String {
    let record = &entry.record;
    let cost = record
        .cost_usd
        .map_or_else(|| "no price".to_owned(), |usd| format!("{usd} USD"));
    let mut line = format!(
        "#{} {} {} {} by {}: {} rows, {}, {} ms, {cost}, {}",
        entry.sequence,
        record.time.to_rfc3339_opts(SecondsFormat::Millis, true),
        record.code,
        record.action,
        record.caller,
        record.rows,
        text::bytes(record.bytes_transferred),
        record.duration_ms,
        record.id
    );
    for (name, value) in [
        ("conversation", &record.conversation_id),
        ("correlation", &record.correlation_id),
        ("node", &record.node),
    ] {
        if let Some(value) = value {
            line += &format!(", {name} {value}");
        }
    }
    // Names come from callers: nothing in them may move the terminal's cursor.
    line.chars()
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use flowlake_cost_audit::{AuditRecord, audit::AuditEntry};

    use super::line;

    #[test]
    fn a_record_is_one_line_without_control_characters() {
        let entry = AuditEntry {
            hash: String::new(),
            previous: String::new(),
            record: AuditRecord {
                id: "0199-id".to_owned(),
                action: "agent-scorecard".to_owned(),
                caller: "desk\u{1b}[2J".to_owned(),
                code: "ok".to_owned(),
                rows: 3,
                bytes_transferred: 12_345,
                duration_ms: 12,
                cost_usd: Some("0.0000004".parse().unwrap()),
                conversation_id: Some("c-1".to_owned()),
                time: "2026-11-23T10:00:00.5Z".parse().unwrap(),
                ..AuditRecord::default()
            },
            sequence: 7,
        };
        assert_eq!(
            line(&entry),
            "#7 2026-11-23T10:00:00.500Z ok agent-scorecard by desk?[2J: 3 rows, 12.3 kB, 12 ms, 0.0000004 USD, 0199-id, conversation c-1"
        );
    }
}
