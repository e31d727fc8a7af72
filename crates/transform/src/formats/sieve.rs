//! Leaves out rows before they are decoded, where the query's own conditions rule them out.
//!
//! The idea is that of Palkar et al., "Filter Before You Parse" (VLDB 2018): bytes are searched for what any row of the
//! answer must hold, and conditions are judged on the columns that they need before the other columns are decoded. A sieve
//! may let rows through that do not belong; the engine applies the exact conditions to what is left.

use std::fmt;

use aho_corasick::AhoCorasick;
use datafusion::arrow::array::{BooleanArray, RecordBatch};

/// Judges rows by some of their columns.
pub(crate) type Judge = Box<dyn Fn(&RecordBatch) -> Option<BooleanArray> + Send + Sync>;

/// Which rows need not be decoded.
#[derive(Default)]
pub(crate) struct Sieve {
    /// Texts, one of which the bytes of each row of the answer hold as they are, unless the format wrote them with escapes.
    pub(crate) needles: Option<AhoCorasick>,
    /// Places in the table of the columns that `judge` looks at.
    pub(crate) columns: Vec<usize>,
    /// `None` when it cannot tell.
    pub(crate) judge: Option<Judge>,
}

impl fmt::Debug for Sieve {
    /// What is searched for may be personal data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sieve")
            .field("needles", &self.needles.is_some())
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
