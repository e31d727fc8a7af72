//! Why the last attempt that needed a service did not get through it.

use std::sync::{Mutex, PoisonError};

use crate::ErrorCode;

/// Why the services that attempts ask failed the last attempt that asked them.
#[derive(Debug, Default)]
pub(crate) struct LastFailures(Mutex<Failures>);

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Failures {
    pub(crate) access: Option<ErrorCode>,
    pub(crate) s3: Option<ErrorCode>,
    pub(crate) genesys: Option<ErrorCode>,
}

/// What an attempt tells of the services.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptSummary {
    /// Why it failed.
    pub(crate) code: Option<ErrorCode>,
    /// Whether its action needs a token of Genesys Cloud, which is asked for first.
    pub(crate) needs_token: bool,
    /// Whether anything was asked of S3.
    pub(crate) asked_s3: bool,
}

impl LastFailures {
    pub(crate) fn get(&self) -> Failures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, attempt: AttemptSummary) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let AttemptSummary {
            code,
            needs_token,
            asked_s3,
        } = attempt;
        match code {
            Some(
                ErrorCode::GenesysCredentials
                | ErrorCode::GenesysRateLimited
                | ErrorCode::GenesysUnavailable,
            ) => {
                failures.genesys = code;
            }
            Some(ErrorCode::AccessUnavailable | ErrorCode::AwsCredentials) => {
                failures.access = code;
                if needs_token {
                    failures.genesys = None;
                }
            }
            Some(ErrorCode::S3Unavailable | ErrorCode::S3Throttled) => failures.s3 = code,
            // An answer came through all of them.
            None => {
                failures.access = None;
                if asked_s3 {
                    failures.s3 = None;
                }
                if needs_token {
                    failures.genesys = None;
                }
            }
            // It may have ended before it asked anything.
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(last: &LastFailures, code: Option<ErrorCode>) {
        last.note(AttemptSummary {
            code,
            needs_token: true,
            asked_s3: true,
        });
    }

    fn failures(last: &LastFailures) -> [Option<ErrorCode>; 3] {
        let failures = last.get();
        [failures.access, failures.s3, failures.genesys]
    }

    #[test]
    fn a_part_is_down_until_an_attempt_comes_through_it() {
        let last = LastFailures::default();
        for (code, expected) in [
            (
                ErrorCode::GenesysUnavailable,
                [None, None, Some(ErrorCode::GenesysUnavailable)],
            ),
            (
                ErrorCode::AccessUnavailable,
                [Some(ErrorCode::AccessUnavailable), None, None],
            ),
            (
                ErrorCode::S3Throttled,
                [
                    Some(ErrorCode::AccessUnavailable),
                    Some(ErrorCode::S3Throttled),
                    None,
                ],
            ),
            (
                ErrorCode::ParamInvalid,
                [
                    Some(ErrorCode::AccessUnavailable),
                    Some(ErrorCode::S3Throttled),
                    None,
                ],
            ),
        ] {
            note(&last, Some(code));
            assert_eq!(failures(&last), expected, "{code}");
        }
        last.note(AttemptSummary {
            code: None,
            needs_token: false,
            asked_s3: false,
        });
        // An answer from memory says nothing of S3.
        assert_eq!(failures(&last), [None, Some(ErrorCode::S3Throttled), None]);
        note(&last, None);
        assert_eq!(failures(&last), [None; 3]);
    }
}
