//! Conditional requests, in S3's order of precedence.

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::file::Version;

/// The four headers of a conditional read.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// `If-Match` beats `If-Unmodified-Since`, `If-None-Match` beats `If-Modified-Since`.
    pub(crate) fn check(&self, version: &Version) -> S3Result<()> {
        let etag = version.etag();
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !names(condition, &etag) => return Err(failed()),
            (None, Some(since)) if version.last_modified() > *since => return Err(failed()),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if names(condition, &etag) => Err(unchanged(&etag)),
            (None, Some(since)) if version.last_modified() <= *since => Err(unchanged(&etag)),
            _ => Ok(()),
        }
    }
}

/// Whether a condition speaks of this `ETag`.
pub(crate) fn names(condition: &ETagCondition, etag: &ETag) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag.value(),
    }
}

pub(crate) fn failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold"
    )
}

fn unchanged(etag: &ETag) -> S3Error {
    let mut error = s3_error!(NotModified);
    if let Ok(value) = etag.to_http_header() {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::ETAG, value);
        error.set_headers(headers);
    }
    error
}
