//! How a command fails, and the exit code of it.

use std::{io, process::ExitCode};

use flowlake_data_action::{ActionError, Failure as ActionFailure};
use flowlake_transform::Place;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An action, or the configuration, failed with a stable code.
    Action(Box<ActionError>, Option<String>),
    /// A question failed; its SQL is what was typed.
    Question {
        failure: Box<ActionFailure>,
        sql: String,
    },
    /// `check` found this many things wrong, the first with this exit code; they are printed already.
    Findings(u8),
    /// Reading or writing locally failed.
    Io(io::Error),
    /// The embedded stack or the server could not be started or stopped.
    Stack(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Prints the failure to standard error and gives the exit code.
    ///
    /// A broken pipe is not a failure: whoever reads has read enough.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where the command line reports failures"
    )]
    pub(crate) fn report(self, as_json: bool) -> ExitCode {
        match self {
            Self::Action(error, audit_id) => {
                let failure = ActionFailure {
                    error: *error,
                    audit_id,
                };
                told(&failure, None, as_json)
            }
            Self::Question { failure, sql } => told(&failure, Some(&sql), as_json),
            Self::Findings(code) => ExitCode::from(code),
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Io(error) => {
                match as_json {
                    true => eprintln!(
                        "{}",
                        json!({ "error": { "code": "io", "message": error.to_string() } })
                    ),
                    false => eprintln!("error: {error}"),
                }
                ExitCode::from(6)
            }
            Self::Stack(error) => {
                eprintln!("error: {error}");
                let mut source = error.source();
                while let Some(cause) = source {
                    eprintln!("  caused by: {cause}");
                    source = cause.source();
                }
                ExitCode::from(70)
            }
        }
    }
}

/// Prints what an action or a question failed with, and where in its SQL.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line reports failures"
)]
fn told(failure: &ActionFailure, sql: Option<&str>, as_json: bool) -> ExitCode {
    let ActionFailure { error, audit_id } = failure;
    if as_json {
        eprintln!("{}", failure.to_json());
        return ExitCode::from(error.code().exit_code());
    }
    eprintln!("error[{}]: {}", error.code(), error.message());
    let place = sql.zip(error.place());
    if let Some(excerpt) = place.and_then(|(sql, place)| excerpt(sql, place)) {
        eprint!("{excerpt}");
    }
    eprintln!("  {}", error.advice());
    if let Some(id) = audit_id {
        eprintln!("  audit record: {id}");
    }
    ExitCode::from(error.code().exit_code())
}

/// The line of the SQL with marks under the place.
fn excerpt(sql: &str, place: Place) -> Option<String> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let text = sql.lines().nth(line)?;
    let (begin, length) = (
        usize::try_from(place.column).ok()?.checked_sub(1)?,
        usize::try_from(place.length).ok()?,
    );
    let text = text.replace('\t', " ");
    let before: String = text.chars().take(begin).collect();
    let marked: String = text.chars().skip(begin).take(length).collect();
    let (before, marked) = (before.width(), marked.width().max(1));
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    Some(format!(
        "  {margin} |\n  {number} | {text}\n  {margin} | {}{}\n",
        " ".repeat(before),
        "^".repeat(marked)
    ))
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        Self::Action(Box::new(error), None)
    }
}

impl From<flowlake_cost_audit::Error> for Failure {
    /// What was read goes to standard output or a file here, so a write that fails is ours and not the log's.
    fn from(error: flowlake_cost_audit::Error) -> Self {
        if error.kind() == flowlake_cost_audit::ErrorKind::Unwritable {
            return Self::Io(io_error(error));
        }
        ActionError::from(error).into()
    }
}

/// The I/O error at the bottom of an error, with its kind, so that a broken pipe is seen as one.
fn io_error(error: flowlake_cost_audit::Error) -> io::Error {
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<io::Error>() {
            return io::Error::new(found.kind(), format!("{error}: {found}"));
        }
        source = cause.source();
    }
    io::Error::other(error)
}

impl From<ActionFailure> for Failure {
    fn from(failure: ActionFailure) -> Self {
        Self::Action(Box::new(failure.error), failure.audit_id)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use flowlake_transform::Place;

    use super::excerpt;

    #[test]
    fn the_place_is_marked_under_its_line() {
        let place = |line, column, length| Place {
            line,
            column,
            length,
        };
        let sql = "SELECT 'Köln 日本', quue\nFROM\tcalls";
        assert_eq!(
            excerpt(sql, place(1, 19, 4)).unwrap(),
            "    |\n  1 | SELECT 'Köln 日本', quue\n    |                     ^^^^\n"
        );
        assert_eq!(
            excerpt(sql, place(2, 6, 5)).unwrap(),
            "    |\n  2 | FROM calls\n    |      ^^^^^\n"
        );
        // The end of the text.
        assert!(
            excerpt(sql, place(2, 11, 3))
                .unwrap()
                .ends_with("|           ^\n")
        );
        assert_eq!(excerpt(sql, place(3, 1, 1)), None);
        assert_eq!(excerpt(sql, place(0, 0, 0)), None);
    }
}
