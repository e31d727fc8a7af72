//! What does not fit: counted, or told with its place and kind, never with its value.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Error, ErrorKind, OnError};

/// What one run left out or made null.
#[derive(Debug, Default)]
pub(crate) struct MisfitCounts {
    skipped_rows: AtomicU64,
    nulled_values: AtomicU64,
}

impl MisfitCounts {
    pub(crate) fn skipped_rows(&self) -> u64 {
        self.skipped_rows.load(Ordering::Relaxed)
    }

    pub(crate) fn nulled_values(&self) -> u64 {
        self.nulled_values.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, others: &Self) {
        let Self {
            skipped_rows,
            nulled_values,
        } = self;
        skipped_rows.fetch_add(others.skipped_rows(), Ordering::Relaxed);
        nulled_values.fetch_add(others.nulled_values(), Ordering::Relaxed);
    }
}

/// What to do about misfits of one file.
#[derive(Debug, Clone)]
pub(crate) struct Misfits {
    pub(crate) on_error: OnError,
    pub(crate) file: Arc<str>,
    pub(crate) counts: Arc<MisfitCounts>,
}

impl Misfits {
    /// For heads of files that types are found from: nothing is counted, nothing fails.
    pub(crate) fn lenient(file: &str) -> Self {
        Self {
            on_error: OnError::Skip,
            file: file.into(),
            counts: Arc::default(),
        }
    }

    /// An error that no policy forgives.
    pub(crate) fn error(&self, what: impl Display) -> Error {
        Error::new(ErrorKind::MalformedData, format!("{}: {what}", self.file))
    }

    pub(crate) fn skip_row(&self) {
        self.counts.skipped_rows.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn null_value(&self) {
        self.counts.nulled_values.fetch_add(1, Ordering::Relaxed);
    }

    /// A row that cannot be divided into its fields: an error, or left out. The place is written as `line 7`.
    pub(crate) fn row(&self, place: impl Display, what: impl Display) -> Result<(), Error> {
        if self.on_error == OnError::Fail {
            return Err(self.error(format_args!("{place} {what}")));
        }
        self.skip_row();
        Ok(())
    }
}

/// What kind of value a text is, in words that give nothing of it away.
pub(crate) fn kind_of(text: &str) -> &'static str {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() {
        "empty text"
    } else if all_digits && digits.len() > 18 {
        "a very large integer"
    } else if all_digits {
        "an integer"
    } else if text
        .bytes()
        .next()
        .is_some_and(|byte| b"+-.0123456789".contains(&byte))
        && text.parse::<f64>().is_ok()
    {
        "a number"
    } else if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") {
        "a boolean"
    } else if text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' {
        "text like a date"
    } else {
        "text"
    }
}
