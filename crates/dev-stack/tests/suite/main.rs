//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod aws;
mod login;
mod s3;
mod sample;
mod support;
