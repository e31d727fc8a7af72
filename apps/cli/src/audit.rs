//! `flowlake audit`: verify, tail, search and export.

mod arguments;
mod lines;
mod merge;
mod place;
mod verify;

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
    time::Duration,
};

use flowlake_cost_audit::{
    Error,
    audit::{self, AuditEntry, AuditQuery, ExportFormat, Follower},
};
use flowlake_data_action::{ActionError, ErrorCode};

pub(crate) use self::arguments::AuditCommand;
use self::{
    arguments::{Export, Form, Search, Tail},
    merge::Merged,
    place::{Logs, logs},
};
use crate::{failure::Failure, output};

/// The wait between two looks at a log that is followed.
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn audit(config: &Path, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(arguments) => verify::verify(config, arguments).await,
        AuditCommand::Tail(arguments) => {
            tail(&logs(config, &arguments.place).await?, arguments).await
        }
        AuditCommand::Search(arguments) => {
            search(&logs(config, &arguments.place).await?, arguments)
        }
        AuditCommand::Export(arguments) => {
            export(&logs(config, &arguments.place).await?, arguments)
        }
    }
}

async fn tail(logs: &Logs, arguments: &Tail) -> Result<(), Failure> {
    if arguments.follow && logs.are_fetched() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "a log on S3 cannot be followed: only its finished segments are there",
            "Follow the log of each server where it is written.",
        )
        .into());
    }
    let (mut last, mut followers) = (Vec::new(), Vec::new());
    for log in &logs.all {
        let newest = audit::tail(&log.folder, arguments.lines.max(1))?;
        let seen = newest.last().map(|entry| entry.sequence);
        followers.push(Follower::after(&log.folder, seen.unwrap_or_default()));
        last.extend(newest);
    }
    in_order(&mut last);
    let first = last.len().saturating_sub(arguments.lines);
    print(last.into_iter().skip(first).map(Ok), arguments.output)?;
    if !arguments.follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let mut fresh = Vec::new();
        for follower in &mut followers {
            fresh.extend(follower.poll()?);
        }
        in_order(&mut fresh);
        if !fresh.is_empty() {
            print(fresh.into_iter().map(Ok), arguments.output)?;
        }
    }
}

fn in_order(entries: &mut [AuditEntry]) {
    entries.sort_by_key(|entry| (entry.record.time, entry.sequence));
}

/// The records that meet the conditions, oldest first.
fn found(
    logs: &Logs,
    query: &AuditQuery,
) -> Result<impl Iterator<Item = Result<AuditEntry, Error>>, Error> {
    let of_logs = logs.all.iter();
    let of_logs = of_logs.map(|log| audit::search(&log.folder, query.clone()));
    let of_logs = of_logs.collect::<Result<Vec<_>, _>>()?;
    Ok(Merged::new(of_logs).take(query.limit.unwrap_or(usize::MAX)))
}

fn search(logs: &Logs, arguments: &Search) -> Result<(), Failure> {
    let query = arguments.conditions.query();
    let found = found(logs, &query)?;
    print(found, arguments.output)
}

fn export(logs: &Logs, arguments: &Export) -> Result<(), Failure> {
    let query = arguments.conditions.query();
    let found = found(logs, &query)?;
    let format = arguments.format.into();
    let Some(path) = &arguments.to else {
        audit::write_entries(found, format, &mut BufWriter::new(io::stdout()))?;
        return Ok(());
    };
    // A file that is there already is somebody's evidence.
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    let count = audit::write_entries(found, format, &mut BufWriter::new(&file))?;
    file.sync_all()?;
    output::note(&format!("{count} records written to {}", path.display()));
    Ok(())
}

/// Prints records as they are read, so that a long log takes no memory.
fn print(
    entries: impl Iterator<Item = Result<AuditEntry, Error>>,
    form: Form,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout());
    let format = match form {
        Form::Jsonl => ExportFormat::JsonLines,
        Form::Csv => ExportFormat::Csv,
        Form::Ocsf => ExportFormat::Ocsf,
        Form::Text => {
            for entry in entries {
                // What was read before a broken place is still shown.
                let entry = entry.inspect_err(|_| drop(out.flush()))?;
                writeln!(out, "{}", lines::line(&entry))?;
            }
            return Ok(out.flush()?);
        }
    };
    audit::write_entries(entries, format, &mut out)?;
    Ok(())
}
