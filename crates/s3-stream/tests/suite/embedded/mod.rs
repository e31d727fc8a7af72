//! The store against the embedded S3.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod conformance;
mod disk_cache;
mod kinds;
mod reading;
mod support;
