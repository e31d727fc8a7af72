//! Against the embedded STS, IAM and S3, through the real SDK clients over HTTP. One binary: it links the SDKs once.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod credentials;
mod decisions;
mod objects;
mod policy_cases;
mod preflight;
mod support;
