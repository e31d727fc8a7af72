//! The audit log, read as a stranger would: as lines of JSON in files.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// Every record below a folder, in the order of file names and lines.
///
/// # Errors
/// When a line is not JSON. A folder that does not exist holds no record.
pub fn audit_records(folder: &Path) -> Result<Vec<Value>> {
    let mut paths = Vec::new();
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl" || extension == "ndjson")
            {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        for line in fs::read_to_string(&path)?.lines() {
            records.push(
                serde_json::from_str(line)
                    .with_context(|| format!("{}: not a record: {line}", path.display()))?,
            );
        }
    }
    Ok(records)
}
