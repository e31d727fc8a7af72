//! Entry points for fuzzing: what comes from outside, as any bytes, and what must hold of it whatever it is.
//!
//! The targets of `fuzz/` and the test `tests/suite/mutations.rs` call the same functions. Each panics where a promise is broken.

mod decoders;
mod guard;
mod inputs;

pub use self::{
    decoders::{csv, json},
    guard::guard,
    inputs::{params, uri},
};
