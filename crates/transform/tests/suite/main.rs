//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod cases;
#[cfg(feature = "cluster")]
mod cluster;
mod documented;
mod encodings;
mod escapes;
mod explain;
mod functions;
mod hostile;
mod hot;
mod lake;
mod mutations;
mod queries;
mod scan;
mod sources;
mod spill;
mod support;
