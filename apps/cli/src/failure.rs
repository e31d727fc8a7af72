//! How a command fails, and the exit code of it.

use std::{io, path::Path, process::ExitCode};

use flowlake_data_action::{ActionError, ErrorCode, Failure as ActionFailure};

use crate::{excerpt::drawn, grid::visible, panics, terminal::Terminal};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An action, or the configuration, failed with a stable code.
    Action(Box<ActionError>, Option<String>),
    /// `check` found this many things wrong, the first with this exit code; they are printed already.
    Findings(u8),
    /// What was to be shown or kept could not be written.
    Io(io::Error),
    /// The embedded stack or the server could not be started or stopped.
    Stack(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Why rows did not come to where they should; a reader that goes away has read enough.
    pub(crate) fn undelivered(&self) -> Option<ActionError> {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Io(error) => Some(unwritable(error)),
            Self::Action(error, _) => Some(error.as_ref().clone()),
            _ => None,
        }
    }

    /// Prints the failure to standard error and gives the exit code.
    ///
    /// A broken pipe is not a failure: the reader has read enough.
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
                told(&failure, as_json)
            }
            Self::Findings(code) => ExitCode::from(code),
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Io(error) => {
                let failure = ActionFailure {
                    error: unwritable(&error),
                    audit_id: None,
                };
                told(&failure, as_json)
            }
            Self::Stack(error) => {
                eprintln!("error: {error}");
                let mut source = error.source();
                while let Some(cause) = source {
                    eprintln!("  caused by: {cause}");
                    source = cause.source();
                }
                ExitCode::from(ErrorCode::Internal.exit_code())
            }
        }
    }
}

fn unwritable(error: &io::Error) -> ActionError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "Make the folder, or write to another place.",
        io::ErrorKind::PermissionDenied => "Write to a place where this user may.",
        _ => "Free space, or write to another place.",
    };
    ActionError::new(ErrorCode::OutputUnwritable, error.to_string(), advice)
}

/// The error of a file of the command line that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> ActionError {
    let (code, advice) = match error.kind() {
        io::ErrorKind::NotFound => (
            ErrorCode::FileNotFound,
            "Correct the path; one that does not begin with `/` is relative to the present folder.",
        ),
        _ => (
            ErrorCode::FileUnreadable,
            "Name a file that this user may read.",
        ),
    };
    ActionError::new(
        code,
        format!("cannot read {}: {error}", path.display()),
        advice,
    )
}

/// Prints what an action or a question failed with, and where in its file or its SQL.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line reports failures"
)]
fn told(failure: &ActionFailure, as_json: bool) -> ExitCode {
    let ActionFailure { error, audit_id } = failure;
    if as_json {
        let mut told = failure.to_json();
        // Lines and columns of the file are more use than those of the SQL in it.
        if let Some(excerpt) = error.excerpt()
            && let Some(file) = excerpt.file()
        {
            told["error"]["file"] = file.into();
            told["error"]["line"] = excerpt.place().line.into();
            told["error"]["column"] = excerpt.place().column.into();
        }
        eprintln!("{told}");
        return ExitCode::from(error.code().exit_code());
    }
    let colour = Terminal::get().stderr;
    let begin = colour.alarm(&format!("error[{}]:", error.code()));
    // Names of columns and files are in it, which may hold what drives a terminal.
    eprintln!("{begin} {}", visible(error.message()));
    if let Some(excerpt) = error.excerpt() {
        eprint!("{}", drawn(excerpt));
    }
    eprintln!("  {}", visible(error.advice()));
    if error.code() == ErrorCode::Internal
        && let Some(place) = panics::last_place()
    {
        eprintln!("  panicked at: {place}");
    }
    if let Some(id) = audit_id {
        eprintln!("  audit record: {id}");
    }
    ExitCode::from(error.code().exit_code())
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
