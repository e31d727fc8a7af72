//! Worker processes on loopback, and a pipeline that asks them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod answers;
mod faults;
mod house;
