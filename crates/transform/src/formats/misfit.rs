//! What does not fit: counted, or told with its place and kind, never with its value.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use datafusion::arrow::datatypes::DataType;

use crate::{Error, ErrorKind, OnError, schema::type_name};

/// Columns that are remembered to be named.
pub(crate) const MOST_UNLISTED: usize = 10;

/// What one run left out or made null.
#[derive(Debug, Default)]
pub(crate) struct MisfitCounts {
    skipped_rows: AtomicU64,
    nulled_values: AtomicU64,
    /// Columns that files have and their tables do not, each with one of the files.
    unlisted: Mutex<BTreeMap<String, Arc<str>>>,
}

impl MisfitCounts {
    pub(crate) fn skipped_rows(&self) -> u64 {
        self.skipped_rows.load(Ordering::Relaxed)
    }

    pub(crate) fn nulled_values(&self) -> u64 {
        self.nulled_values.load(Ordering::Relaxed)
    }

    /// Columns that files have and their tables do not, each with one of the files.
    pub(crate) fn unlisted(&self) -> BTreeMap<String, Arc<str>> {
        let unlisted = self.unlisted.lock();
        unlisted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add_unlisted(&self, column: &str, file: &Arc<str>) {
        let unlisted = self.unlisted.lock();
        let mut unlisted = unlisted.unwrap_or_else(PoisonError::into_inner);
        if unlisted.len() < MOST_UNLISTED && !unlisted.contains_key(column) {
            unlisted.insert(column.to_owned(), Arc::clone(file));
        }
    }

    pub(crate) fn add(&self, others: &Self) {
        let Self {
            skipped_rows,
            nulled_values,
            unlisted: _,
        } = self;
        skipped_rows.fetch_add(others.skipped_rows(), Ordering::Relaxed);
        nulled_values.fetch_add(others.nulled_values(), Ordering::Relaxed);
        for (column, file) in others.unlisted() {
            self.add_unlisted(&column, &file);
        }
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

    /// A column of the file that the table does not have.
    pub(crate) fn unlisted(&self, column: &str) {
        self.counts.add_unlisted(column, &self.file);
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

pub(crate) const ARRAY: &str = "an array";
pub(crate) const OBJECT: &str = "an object";
/// An integer of which a float may not keep all digits.
pub(crate) const LARGE_INTEGER: &str = "a very large integer";

/// What is wrong with a value that is not of its column's type.
pub(crate) fn fault(holds: &str, kind: &DataType) -> String {
    match kind {
        DataType::Struct(_) if holds == OBJECT => {
            "holds an object with a member of another type than the column has there".to_owned()
        }
        kind if kind.is_list() && holds == ARRAY => {
            format!("holds an array and is {}: an item is none", type_name(kind))
        }
        DataType::Struct(_) | DataType::Map(..) => format!("holds {holds} and is an object"),
        _ => format!(
            "holds {holds} and is {}{}",
            type_name(kind),
            advice(holds, kind)
        ),
    }
}

/// What is wrong with a value inside an object or a list.
pub(crate) fn inner_fault(holds: &str, kind: &DataType) -> String {
    let (name, advice) = (type_name(kind), advice(holds, kind));
    format!("holds {holds} where {name} is expected{advice}")
}

/// What to declare for a value that is not of its type, where that is certain.
fn advice(holds: &str, kind: &DataType) -> &'static str {
    if holds == LARGE_INTEGER && kind.is_floating() {
        ", which does not keep all its digits: declare `decimal(p, s)`"
    } else {
        ""
    }
}

/// What kind of value a text is, in words that give nothing of it away.
pub(crate) fn kind_of(text: &str) -> &'static str {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() {
        "empty text"
    } else if all_digits && (text.starts_with('+') || digits.len() > 1 && digits.starts_with('0')) {
        "digits with a plus or a zero before them"
    } else if all_digits && digits.len() > 15 {
        LARGE_INTEGER
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
