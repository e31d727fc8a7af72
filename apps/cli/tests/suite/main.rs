//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod access;
mod actions;
mod arguments;
mod desk;
mod doctor;
mod doors;
mod explain;
mod generated;
mod inspect;
mod log;
mod nodes;
mod pages;
mod profile;
mod schema;
mod screen;
mod shell;
mod spreadsheet;
mod sql;
mod support;
mod tests;
mod transcripts;
mod versions;
mod watch;
