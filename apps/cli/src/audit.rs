//! `flowlake audit`: verify, tail, search and export.

mod arguments;
mod lines;
mod place;
mod verify;

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use flowlake_cost_audit::{
    Error,
    audit::{self, AuditEntry, ExportFormat, Follower},
};
use flowlake_data_action::Config;

pub(crate) use self::arguments::AuditCommand;
use self::{
    arguments::{Export, Form, Place, Search, Tail},
    place::{there, typed},
};
use crate::{failure::Failure, output};

/// The wait between two looks at a log that is followed.
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn audit(config: &Path, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(arguments) => verify::verify(config, arguments),
        AuditCommand::Tail(arguments) => tail(&folder(config, &arguments.place)?, arguments).await,
        AuditCommand::Search(arguments) => search(&folder(config, &arguments.place)?, arguments),
        AuditCommand::Export(arguments) => export(&folder(config, &arguments.place)?, arguments),
    }
}

/// The log's folder: as typed, or as flowlake.toml says. The action files are not read: they may be wrong, and the log may not.
fn folder(config: &Path, place: &Place) -> Result<PathBuf, Failure> {
    let folder = match &place.directory {
        Some(directory) => typed(config, directory),
        None => Config::load(config)?.1.audit.log.directory,
    };
    there(folder)
}

async fn tail(folder: &Path, arguments: &Tail) -> Result<(), Failure> {
    let last = audit::tail(folder, arguments.lines)?;
    let newest = audit::tail(folder, 1)?.last().map(|entry| entry.sequence);
    let seen = last.last().map(|entry| entry.sequence).or(newest);
    print(last.into_iter().map(Ok), arguments.output)?;
    if !arguments.follow {
        return Ok(());
    }
    let mut follower = Follower::after(folder, seen.unwrap_or_default());
    loop {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let fresh = follower.poll()?;
        if !fresh.is_empty() {
            print(fresh.into_iter().map(Ok), arguments.output)?;
        }
    }
}

fn search(folder: &Path, arguments: &Search) -> Result<(), Failure> {
    let found = audit::search(folder, arguments.conditions.query())?;
    print(found, arguments.output)
}

fn export(folder: &Path, arguments: &Export) -> Result<(), Failure> {
    let query = arguments.conditions.query();
    let format = arguments.format.into();
    let Some(path) = &arguments.to else {
        audit::export(folder, query, format, &mut BufWriter::new(io::stdout()))?;
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
    let count = audit::export(folder, query, format, &mut BufWriter::new(&file))?;
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
