//! The state of every part: its own where it keeps one, otherwise what the last attempt that needed it found.

use std::sync::{Mutex, PoisonError};

use flowlake_cost_audit::audit::Shipper;
use serde::Serialize;

use super::Pipeline;
use crate::ErrorCode;

/// One part of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// Which one: `audit`, `shipping`, `hot`, `access`, `s3` or `genesys`.
    pub part: &'static str,
    /// Whether it worked when it was last needed. Without `audit` nothing is answered, without another part some requests are.
    pub up: bool,
    /// What is wrong: a code of [`ErrorCode`], or a figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why the services that attempts ask failed the last attempt that asked them.
#[derive(Debug, Default)]
pub(crate) struct LastFailures(Mutex<Failures>);

#[derive(Debug, Default, Clone, Copy)]
struct Failures {
    access: Option<ErrorCode>,
    s3: Option<ErrorCode>,
    genesys: Option<ErrorCode>,
}

/// What an attempt tells of the services.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempted {
    /// Why it failed.
    pub(super) code: Option<ErrorCode>,
    /// Whether its action needs a token of Genesys Cloud, which is asked for first.
    pub(super) needs_token: bool,
    /// Whether anything was asked of S3.
    pub(super) asked_s3: bool,
}

impl LastFailures {
    pub(super) fn note(&self, attempt: Attempted) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Attempted {
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

impl Pipeline {
    /// How each part is, those that are not configured left out.
    #[must_use]
    pub fn health(&self) -> Vec<PartHealth> {
        let shared = &self.shared;
        let failures = *shared
            .last_failures
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let part = |part, wrong: Option<String>| PartHealth {
            part,
            up: wrong.is_none(),
            detail: wrong,
        };
        let code = |code: Option<ErrorCode>| code.map(|code| code.as_str().to_owned());
        let audit = (!shared.audit.is_healthy()).then(|| "it cannot be written".to_owned());
        let mut parts = vec![part("audit", audit)];
        if let Some(status) = shared.shipper.as_ref().map(Shipper::status) {
            let failing = status.failing_since.is_some();
            let pending = failing.then(|| format!("{} segments pending", status.pending_segments));
            parts.push(part("shipping", pending));
        }
        if shared.actions.values().any(|action| action.hot.is_some()) {
            let stale = shared.hot.status().stale;
            let stale = (stale > 0).then(|| format!("{stale} actions cannot be checked"));
            parts.push(part("hot", stale));
        }
        parts.push(part("access", code(failures.access)));
        parts.push(part("s3", code(failures.s3)));
        if shared.genesys.is_some() {
            parts.push(part("genesys", code(failures.genesys)));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(last: &LastFailures, code: Option<ErrorCode>) {
        last.note(Attempted {
            code,
            needs_token: true,
            asked_s3: true,
        });
    }

    fn failures(last: &LastFailures) -> [Option<ErrorCode>; 3] {
        let failures = *last.0.lock().unwrap();
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
        last.note(Attempted {
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
