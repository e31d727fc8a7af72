//! The SQL cases of `crates/transform/tests/cases` as an analyst would have them: files in a bucket, and an action's file for
//! each question.
//!
//! `transform` answers the cases in process, DuckDB answers them in the end-to-end tests; here they become what the pipeline and
//! the programs read.

mod action;
mod documented;
mod expected;
mod file;

pub use action::{Asks, Case, Suite};
pub use documented::{
    Documented, Example, examples as documented_tables, lines as documented_functions,
};
pub use expected::{Answered, shown};
pub use file::written;
