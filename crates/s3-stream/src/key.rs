//! Names on S3: what an object is called in errors, and how a copy names its source.

use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Everything but the unreserved characters of RFC 3986 and the slash.
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// `s3://bucket/key`.
pub(crate) fn display(bucket: &str, location: &Path) -> String {
    format!("s3://{bucket}/{location}")
}

/// `bucket/key`, percent-encoded as the `x-amz-copy-source` header wants it.
pub(crate) fn copy_source(bucket: &str, location: &Path) -> String {
    format!(
        "{bucket}/{}",
        percent_encode(location.as_ref().as_bytes(), COPY_SOURCE)
    )
}

/// The prefix of everything below `location`, with the slash at its end.
pub(crate) fn prefix(location: Option<&Path>) -> Option<String> {
    location
        .filter(|path| !path.as_ref().is_empty())
        .map(|path| format!("{path}/"))
}
