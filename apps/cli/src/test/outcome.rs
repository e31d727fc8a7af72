//! What cases come to.

use std::{path::PathBuf, time::Duration};

use flowlake_data_action::ActionError;

use super::{
    aligned::Grid,
    compare::{Counts, Difference},
    file::Expect,
};

/// The exit code when a case does not end as expected.
pub(super) const DIFFERS: u8 = 1;

/// What a case came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) action: String,
    pub(super) path: PathBuf,
    pub(super) index: usize,
    pub(super) case: String,
    pub(super) line: usize,
    pub(super) took: Duration,
    pub(super) expect: Option<Expect>,
    /// Whether `--update` left the expectation as it is, since the answer is of another kind.
    pub(super) stays: bool,
    pub(super) verdict: Verdict,
    /// What the action answered; none for a fault of the test.
    pub(super) answer: Option<Result<(Counts, Grid), ActionError>>,
    pub(super) expected: Grid,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Passed,
    /// The expectation is what the action answers, since it was written just now.
    Updated,
    /// The test itself cannot be run.
    Fault(ActionError),
    /// The action fails and should not, or does not fail as it should.
    WrongError {
        expected: Option<String>,
        found: Option<ActionError>,
    },
    /// Nothing is expected of these rows.
    Unexpected(Grid),
    Different {
        difference: Difference,
        expected: Grid,
        answered: Grid,
    },
}

impl Verdict {
    pub(super) const fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Updated)
    }
}

impl Outcome {
    pub(super) fn milliseconds(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }
}
