//! `flowlake audit verify`.

use std::path::{Path, PathBuf};

use flowlake_cost_audit::{
    VerifyReport,
    audit::{Problem, VerifyOptions, verify_with},
};
use flowlake_data_action::{ActionError, ErrorCode, ProcessEnvironment};
use serde_json::json;

use super::{
    arguments::Verify,
    place::{configured, no_log, there, typed},
};
use crate::{failure::Failure, output};

pub(super) fn verify(config: &Path, arguments: &Verify) -> Result<(), Failure> {
    let (logs, configured_key) = places_and_key(config, arguments)?;
    let options = VerifyOptions {
        public_key: arguments.public_key.clone().or(configured_key),
        known_record: arguments.receipt.clone(),
    };
    if let ([_, _, ..], Some(_)) = (logs.as_slice(), &options.known_record) {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "a receipt is of one log, and there are several",
            "Name the folder of its log with --directory.",
        )
        .into());
    }
    let mut broken_logs = Vec::new();
    for log in &logs {
        broken_logs.extend(verify_log(log, &options, arguments.json)?);
    }
    match broken_logs.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(broken(&problem).into()),
    }
}

/// Prints what is found about one log; the first bad record.
fn verify_log(
    log: &Path,
    options: &VerifyOptions,
    as_json: bool,
) -> Result<Option<Problem>, Failure> {
    let report = verify_with(log, options)?;
    if report.segments == 0 && report.deleted_segments == 0 && report.is_intact() {
        return Err(no_log(log).into());
    }
    if as_json {
        let key = &options.public_key;
        output::print(&format!(
            "{}\n",
            json!({ "directory": log, "intact": report.is_intact(), "public_key": key, "report": report })
        ))?;
    } else {
        output::print(&text(log, &report, options.public_key.as_deref()))?;
    }
    Ok(report.problem)
}

/// The logs, and the public half of the key that the configuration signs with.
///
/// With a folder and a key typed, no configuration is needed: an auditor who does not run flowlake can verify.
fn places_and_key(
    config: &Path,
    arguments: &Verify,
) -> Result<(Vec<PathBuf>, Option<String>), Failure> {
    if let Some(directory) = &arguments.place.directory {
        return Ok((there(typed(config, directory))?, None));
    }
    let audit = configured(config)?;
    let key = if arguments.public_key.is_some() {
        None
    } else {
        // Silently proving less than the configuration promises would be worse than an error.
        audit.sealing_key(&ProcessEnvironment).map_err(|error| {
            ActionError::new(
                error.code(),
                error.message(),
                "Give the public half of `seal_key` with --public-key; with --directory, seals are only compared with their segments.",
            )
        })?
    };
    Ok((there(audit.log.directory)?, key.map(|key| key.public_key())))
}

fn text(folder: &Path, report: &VerifyReport, public_key: Option<&str>) -> String {
    let mut lines = vec![format!(
        "{}: {} records in {} segments, {} of them sealed",
        folder.display(),
        report.records,
        report.segments,
        report.sealed_segments
    )];
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

fn broken(problem: &Problem) -> ActionError {
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
            "{kind} at record {} ({place}, byte {}): {}",
            problem.sequence, problem.offset, problem.message
        ),
        "Keep the files as they are; what stands before that record is proven, what stands behind it is not.",
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        let said = text(Path::new("audit"), &report, None);
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
        let error = broken(&report.problem.unwrap());
        assert!(
            error
                .message()
                .starts_with("edited at record 2 (audit-00000000000000000001.jsonl, line 2, byte "),
            "{error}"
        );
    }
}
