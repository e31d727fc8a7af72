//! Sample data: conversation metrics as Genesys Cloud exports them, and the customers who called.
//!
//! The same settings always give the same bytes. Every telephone number is from the ranges kept
//! for fiction (`+1 NPA 555-0100` to `555-0199`), every name is made up of two short lists.

mod customers;
mod parquet;
mod row;
mod text;
mod write;

pub use write::{SampleFile, SampleFiles, SampleSettings, write};
