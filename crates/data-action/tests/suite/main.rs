//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod bounds;
mod columns;
mod config;
mod costs;
mod engine;
mod error_page;
mod formats;
mod hot;
mod locations;
mod metrics;
mod parquet_files;
mod pipeline;
mod readers;
mod sql_cases;
mod support;
mod types;
mod worlds;
