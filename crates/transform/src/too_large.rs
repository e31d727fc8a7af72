//! The error of what the SQL computes beyond its type or the calendar.

use std::{error, fmt};

use datafusion::common::DataFusionError;

/// What a moment is that was moved too far.
pub(crate) const BEYOND_CALENDAR: &str =
    "a moment or a span of time is beyond what the calendar holds";

/// What a moment is that is beyond the nanoseconds of 64 bits.
pub(crate) const BEYOND_NANOSECONDS: &str = "a moment in nanoseconds is beyond the years 1677 to 2262: compare with a DATE, or CAST text to TIMESTAMP(6)";

/// A result does not fit its type. The text is for callers: it never holds the value.
#[derive(Debug)]
pub(crate) struct TooLarge(&'static str);

impl TooLarge {
    pub(crate) fn error(what: &'static str) -> DataFusionError {
        DataFusionError::External(Box::new(Self(what)))
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl error::Error for TooLarge {}
