//! Panics. Decoders of libraries have some, on files that are damaged; the engine catches them and makes errors of them, so they are
//! no news to the person at the terminal.

use std::{
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use flowlake_data_action::{ActionError, ErrorCode};

/// Where the last panic was.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs a command. Panics go to the log; one that ends the command is an error.
pub(crate) fn caught<T>(command: impl FnOnce() -> T) -> Result<T, ActionError> {
    panic::set_hook(Box::new(|panicked| {
        tracing::debug!(%panicked, "a part of the program panicked");
        let place = panicked.location().map(ToString::to_string);
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
    let ended = catch_unwind(AssertUnwindSafe(command));
    ended.map_err(|_panic| {
        ActionError::new(
            ErrorCode::Internal,
            "the program panicked",
            "Report this; with --log debug it says more.",
        )
    })
}

/// Where the last panic was: what a report of an internal error needs.
pub(crate) fn last_place() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
