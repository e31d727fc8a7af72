//! How a command fails, and the exit code of it.

use std::{io, process::ExitCode};

use flowlake_data_action::{ActionError, Failure as ActionFailure};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An action, or the configuration, failed with a stable code.
    Action(Box<ActionError>, Option<String>),
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
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Action(error, audit_id) => {
                eprintln!(
                    "error[{}]: {}\n  {}",
                    error.code(),
                    error.message(),
                    error.advice()
                );
                if let Some(id) = audit_id {
                    eprintln!("  audit record: {id}");
                }
                ExitCode::from(error.code().exit_code())
            }
            Self::Findings(code) => ExitCode::from(code),
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Io(error) => {
                eprintln!("error: {error}");
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
