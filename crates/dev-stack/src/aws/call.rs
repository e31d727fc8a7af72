//! One call of an operation, after its signature was found right.

use chrono::{DateTime, Utc};

use super::query::Parameters;
use crate::iam::{Directory, Principal};

/// A verified call.
pub(crate) struct Call<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) directory: &'a Directory,
    pub(crate) parameters: &'a Parameters,
    pub(crate) now: DateTime<Utc>,
    pub(crate) simulation_page: usize,
    pub(super) service: &'a str,
}

impl Call<'_> {
    /// Each service has its own word for "no".
    pub(crate) fn denied_code(&self) -> &'static str {
        match self.service {
            "ce" => "AccessDeniedException",
            _ => "AccessDenied",
        }
    }
}
