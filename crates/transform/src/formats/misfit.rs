//! What does not fit: counted, or told with its place and kind, never with its value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use datafusion::arrow::datatypes::DataType;
use serde::Serialize;

use crate::{Error, ErrorKind, OnError, schema::type_name};

/// Columns that are remembered to be named.
pub(crate) const MOST_UNLISTED: usize = 10;
/// Problems whose places are remembered.
const MOST_PROBLEMS: usize = 20;

/// A value or a row of a file that does not fit, by its place. The value itself is never named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file.
    pub file: Arc<str>,
    /// The line of text; the row of formats that have no lines.
    pub line: u64,
    /// The column, where one value is the problem.
    pub column: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// All problems of a run that looks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The first ones of the files, in order of file and line.
    pub first: Vec<Problem>,
    /// How many there are.
    pub count: u64,
    /// How many are values of each column.
    pub by_column: BTreeMap<String, u64>,
}

impl Problems {
    /// Adds those of text that begins after `lines` lines of the same file.
    fn add(&mut self, others: Self, lines: u64) {
        let free = MOST_PROBLEMS.saturating_sub(self.first.len());
        let others_first = others.first.into_iter().take(free);
        self.first.extend(others_first.map(|problem| Problem {
            line: problem.line + lines,
            ..problem
        }));
        self.count += others.count;
        for (column, count) in others.by_column {
            *self.by_column.entry(column).or_default() += count;
        }
    }
}

/// Files of a table that are written alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// How, as `[tables.NAME]` says it, such as `delimiter = ";"`.
    pub lines: Vec<String>,
    /// How many files.
    pub files: u64,
    /// One of them: the first by name.
    pub example: Arc<str>,
}

/// Columns by their table, each with whether a file has it.
pub(crate) type Declared = BTreeMap<(Arc<str>, String), bool>;

/// What one run left out or made null.
#[derive(Debug, Default)]
pub(crate) struct MisfitCounts {
    skipped_rows: AtomicU64,
    nulled_values: AtomicU64,
    /// Columns that files have and their tables do not, each with one of the files.
    unlisted: Mutex<BTreeMap<String, Arc<str>>>,
    /// Declared columns of each table, and whether any file that was read has them.
    declared: Mutex<Declared>,
    /// The places, in a run that looks for them.
    problems: Option<Mutex<Problems>>,
    /// How the files are written, in a run that remembers places.
    written: Mutex<Vec<Written>>,
}

impl MisfitCounts {
    /// Counts that remember places too.
    pub(crate) fn with_places() -> Self {
        Self {
            problems: Some(Mutex::default()),
            ..Self::default()
        }
    }

    /// Counts of nothing yet, which remember places if these do.
    pub(crate) fn alike(&self) -> Self {
        Self {
            problems: self.problems.as_ref().map(|_| Mutex::default()),
            ..Self::default()
        }
    }

    /// The problems so far; none where nobody looks for them.
    pub(crate) fn problems(&self) -> Problems {
        let mut problems = self.problems.as_ref().map(locked).map(|all| all.clone());
        if let Some(problems) = &mut problems {
            problems.first.sort();
        }
        problems.unwrap_or_default()
    }

    /// How the files are written that were opened so far; nothing where nobody looks for it.
    pub(crate) fn written(&self) -> Vec<Written> {
        let written = self.written.lock();
        let mut written = written.unwrap_or_else(PoisonError::into_inner).clone();
        written.sort_by(|one, other| one.example.cmp(&other.example));
        written
    }

    /// Remembers how a file is written, in a run that remembers places.
    pub(crate) fn note_written(&self, file: &Arc<str>, lines: impl FnOnce() -> Vec<String>) {
        if self.problems.is_none() {
            return;
        }
        let lines = lines();
        let written = self.written.lock();
        let mut written = written.unwrap_or_else(PoisonError::into_inner);
        match written.iter_mut().find(|known| known.lines == lines) {
            Some(known) => {
                known.files += 1;
                if *file < known.example {
                    known.example = Arc::clone(file);
                }
            }
            None => written.push(Written {
                lines,
                files: 1,
                example: Arc::clone(file),
            }),
        }
    }

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

    /// Declared columns, by their table, and whether any file that was read has them.
    pub(crate) fn declared(&self) -> Declared {
        let declared = self.declared.lock();
        declared.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Declared columns that no file has which was read.
    pub(crate) fn absent(&self) -> BTreeSet<String> {
        let declared = self.declared().into_iter();
        let absent = declared.filter(|(_, is_there)| !is_there);
        absent.map(|((_, column), _)| column).collect()
    }

    fn add_declared(&self, table: &Arc<str>, column: &str, is_there: bool) {
        let declared = self.declared.lock();
        let mut declared = declared.unwrap_or_else(PoisonError::into_inner);
        *declared
            .entry((Arc::clone(table), column.to_owned()))
            .or_default() |= is_there;
    }

    /// Adds what a worker has counted.
    #[cfg(feature = "cluster")]
    pub(crate) fn add_reported(
        &self,
        skipped_rows: u64,
        nulled_values: u64,
        unlisted: &BTreeMap<String, Arc<str>>,
        declared: &[(Arc<str>, String, bool)],
    ) {
        self.skipped_rows.fetch_add(skipped_rows, Ordering::Relaxed);
        self.nulled_values
            .fetch_add(nulled_values, Ordering::Relaxed);
        for (column, file) in unlisted {
            self.add_unlisted(column, file);
        }
        for (table, column, is_there) in declared {
            self.add_declared(table, column, *is_there);
        }
    }

    fn add_unlisted(&self, column: &str, file: &Arc<str>) {
        let unlisted = self.unlisted.lock();
        let mut unlisted = unlisted.unwrap_or_else(PoisonError::into_inner);
        if unlisted.len() < MOST_UNLISTED && !unlisted.contains_key(column) {
            unlisted.insert(column.to_owned(), Arc::clone(file));
        }
    }

    /// Adds what was counted in text that begins after `lines` lines of the same file.
    pub(crate) fn add(&self, others: &Self, lines: u64) {
        let Self {
            skipped_rows,
            nulled_values,
            unlisted: _,
            declared: _,
            problems,
            // Files are opened for a whole run, and not for a part of their text.
            written: _,
        } = self;
        if let Some((problems, others)) = problems.as_ref().zip(others.problems.as_ref()) {
            locked(problems).add(std::mem::take(&mut *locked(others)), lines);
        }
        skipped_rows.fetch_add(others.skipped_rows(), Ordering::Relaxed);
        nulled_values.fetch_add(others.nulled_values(), Ordering::Relaxed);
        for (column, file) in others.unlisted() {
            self.add_unlisted(&column, &file);
        }
        for ((table, column), is_there) in others.declared() {
            self.add_declared(&table, &column, is_there);
        }
    }
}

fn locked(problems: &Mutex<Problems>) -> MutexGuard<'_, Problems> {
    problems.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Remembers the place of a problem, in a run that looks for them.
    pub(crate) fn note(&self, line: u64, column: Option<&str>, what: impl FnOnce() -> String) {
        let Some(problems) = &self.counts.problems else {
            return;
        };
        let mut problems = locked(problems);
        problems.count += 1;
        if let Some(column) = column {
            match problems.by_column.get_mut(column) {
                Some(count) => *count += 1,
                None => {
                    problems.by_column.insert(column.to_owned(), 1);
                }
            }
        }
        if problems.first.len() < MOST_PROBLEMS {
            problems.first.push(Problem {
                file: Arc::clone(&self.file),
                line,
                column: column.map(str::to_owned),
                what: what(),
            });
        }
    }

    /// A column of the file that the table does not have.
    pub(crate) fn unlisted(&self, column: &str) {
        self.counts.add_unlisted(column, &self.file);
    }

    /// A declared column of the table, and whether this file has it, as far as it was read.
    pub(crate) fn declared(&self, table: &Arc<str>, column: &str, is_there: bool) {
        self.counts.add_declared(table, column, is_there);
    }

    /// A row that cannot be divided into its fields: an error, or left out. The place begins with the line, as in `line 7`.
    pub(crate) fn row(
        &self,
        place: impl Display,
        line: u64,
        what: impl Display,
    ) -> Result<(), Error> {
        if self.on_error == OnError::Fail {
            return Err(self.error(format_args!("{place} {what}")));
        }
        self.note(line, None, || what.to_string());
        self.skip_row();
        Ok(())
    }
}

pub(crate) const ARRAY: &str = "an array";
pub(crate) const ARRAY_OF_OTHER_LENGTH: &str = "an array of another length";
pub(crate) const OBJECT: &str = "an object";
/// An integer of which a float may not keep all digits.
pub(crate) const LARGE_INTEGER: &str = "a very large integer";

/// What is wrong with a value that is not of its column's type.
pub(crate) fn fault(holds: &str, kind: &DataType) -> String {
    match kind {
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
