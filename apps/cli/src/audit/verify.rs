//! `flowlake audit verify`.

use std::{collections::BTreeSet, path::Path};

use flowlake_cost_audit::{
    VerifyReport,
    audit::{Problem, VerifyOptions, verify_with},
};
use flowlake_data_action::{ActionError, ErrorCode, ProcessEnvironment};
use serde_json::json;

use super::{
    arguments::Verify,
    place::{Log, configured, logs},
};
use crate::{failure::Failure, output};

pub(super) async fn verify(config: &Path, arguments: &Verify) -> Result<(), Failure> {
    let configured_key = configured_key(config, arguments)?;
    let logs = logs(config, &arguments.place).await?;
    let options = VerifyOptions {
        public_key: arguments.public_key.clone().or(configured_key),
        known_record: arguments.receipt.clone(),
    };
    if logs.all.len() > 1 && options.known_record.is_some() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "a receipt is of one log, and there are several",
            "Name the folder of its log with --directory.",
        )
        .into());
    }
    let (mut problems, mut found) = (Vec::new(), BTreeSet::new());
    for log in &logs.all {
        let report = verify_log(log, &options, arguments.json)?;
        let expected = (!arguments.nodes.is_empty()).then_some(&arguments.nodes);
        problems.extend(match (report.problem, expected) {
            (Some(problem), _) => Some(broken(&problem, (logs.all.len() > 1).then_some(log))),
            (None, Some(expected)) => foreign(log, &report.nodes, expected),
            (None, None) => None,
        });
        found.extend(report.nodes);
    }
    let missing = arguments.nodes.iter().find(|node| !found.contains(*node));
    problems.extend(missing.map(|node| {
        let said = format!("there is no log of the node `{node}`");
        ActionError::new(
            ErrorCode::AuditBroken,
            said,
            "Add its folder with --directory, or find out where it is gone.",
        )
    }));
    match problems.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first.into()),
    }
}

/// Why a log is of none of the expected nodes, or of others beside one of them.
fn foreign(log: &Log, nodes: &BTreeSet<String>, expected: &[String]) -> Option<ActionError> {
    let stranger = nodes.iter().find(|node| !expected.contains(node));
    let whose = match stranger {
        Some(node) => format!("has records of the node `{node}`, which was not named"),
        None if nodes.is_empty() => "names no node".to_owned(),
        None => return None,
    };
    Some(ActionError::new(
        ErrorCode::AuditBroken,
        format!("the log in {} {whose}", log.name),
        "Name every node with --node, or take away what is of another place.",
    ))
}

/// Prints what is found about one log.
fn verify_log(log: &Log, options: &VerifyOptions, as_json: bool) -> Result<VerifyReport, Failure> {
    let report = verify_with(&log.folder, options)?;
    if as_json {
        let key = &options.public_key;
        output::print(&format!(
            "{}\n",
            json!({ "directory": log.name, "intact": report.is_intact(), "public_key": key, "report": report })
        ))?;
    } else {
        output::print(&text(&log.name, &report, options.public_key.as_deref()))?;
    }
    Ok(report)
}

/// The public half of the key that the configuration signs with.
///
/// With a folder and a key typed, no configuration is needed: an auditor who does not run flowlake can verify.
fn configured_key(config: &Path, arguments: &Verify) -> Result<Option<String>, Failure> {
    if !arguments.place.directories.is_empty() || arguments.public_key.is_some() {
        return Ok(None);
    }
    // Silently proving less than the configuration promises would be worse than an error.
    let key = configured(config)?.audit.sealing_key(&ProcessEnvironment);
    let key = key.map_err(|error| {
        ActionError::new(
            error.code(),
            error.message(),
            "Give the public half of `seal_key` with --public-key; with --directory, seals are only compared with their segments.",
        )
    })?;
    Ok(key.map(|key| key.public_key()))
}

fn text(name: &str, report: &VerifyReport, public_key: Option<&str>) -> String {
    let mut lines = vec![format!(
        "{}: {} records in {} segments, {} of them sealed",
        name, report.records, report.segments, report.sealed_segments
    )];
    if !report.nodes.is_empty() {
        let nodes: Vec<&str> = report.nodes.iter().map(String::as_str).collect();
        lines.push(format!("written by {}", nodes.join(", ")));
    }
    match public_key {
        Some(key) => lines.push(format!("seals must be signed with {key}")),
        None => lines
            .push("no public key given: seals are only compared with their segments".to_owned()),
    }
    if report.deleted_segments > 0 {
        lines.push(format!(
            "{} segments before them were shipped and deleted: their seals are continued, verify them where they were shipped to",
            report.deleted_segments
        ));
    }
    if report.torn_bytes > 0 {
        lines.push(format!(
            "{} bytes of an unfinished last line: a write under way, or one that a crash tore and nobody was answered for",
            report.torn_bytes
        ));
    }
    if let (Some(sequence), Some(hash)) = (report.last_sequence, &report.last_hash) {
        lines.push(format!(
            "keep this to prove later that the end was not cut off: --receipt {sequence}:{hash}"
        ));
    }
    if report.is_intact() {
        lines.push("the chain is whole".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The first bad record; `log` names its folder where there are several.
fn broken(problem: &Problem, log: Option<&Log>) -> ActionError {
    let log = log.map_or_else(String::new, |log| format!("{}: ", log.name));
    let place = if problem.line == 0 {
        format!("after the end of {}", problem.segment)
    } else {
        format!("{}, line {}", problem.segment, problem.line)
    };
    let kind = json!(problem.kind);
    let kind = kind.as_str().unwrap_or_default();
    ActionError::new(
        ErrorCode::AuditBroken,
        format!(
            "{log}{kind} at record {} ({place}, byte {}): {}",
            problem.sequence, problem.offset, problem.message
        ),
        "Keep the files as they are; what stands before that record is proven, what stands behind it is not.",
    )
}

#[cfg(test)]
mod tests {
    use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings, verify};

    use super::{broken, text};

    #[tokio::test]
    async fn the_first_bad_record_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let settings = AuditSettings {
            directory: folder.path().to_owned(),
            ..AuditSettings::default()
        };
        let log = AuditLog::open(settings).unwrap();
        for action in ["a", "b"] {
            let record = AuditRecord {
                action: action.to_owned(),
                ..AuditRecord::default()
            };
            log.append(&record).await.unwrap();
        }
        let report = verify(folder.path()).unwrap();
        let said = text("audit", &report, None);
        let hash = report.last_hash.unwrap();
        assert_eq!(
            said,
            format!(
                "audit: 2 records in 1 segments, 0 of them sealed\nno public key given: seals are only compared with their segments\nkeep this to prove later that the end was not cut off: --receipt 2:{hash}\nthe chain is whole\n"
            )
        );
        let path = folder.path().join("audit-00000000000000000001.jsonl");
        let edited = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"action\":\"b\"", "\"action\":\"c\"");
        std::fs::write(&path, edited).unwrap();
        let report = verify(folder.path()).unwrap();
        let error = broken(&report.problem.unwrap(), None);
        assert!(
            error
                .message()
                .starts_with("edited at record 2 (audit-00000000000000000001.jsonl, line 2, byte "),
            "{error}"
        );
    }
}
