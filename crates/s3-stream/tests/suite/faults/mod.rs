//! Whatever S3 and the network do, a reader gets exactly an object's bytes, or an error.
//!
//! The client is the real SDK; under it lies a connection that answers as S3 does, and as S3 does not, by a seed. Time is
//! paused, so stalls, waits and retries cost none.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod object;
mod plan;
mod schedules;
mod server;
mod slowing;
