//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod analysts;
mod arithmetic;
mod bounds;
mod broken;
mod columns;
mod config;
mod costs;
mod damaged;
mod documented;
mod engine;
mod error_page;
mod formats;
mod garbage;
mod hot;
mod kept;
mod locations;
mod metrics;
mod mistakes;
mod parquet_files;
mod pipeline;
mod readers;
mod refusals;
mod sql_cases;
mod support;
mod types;
mod worlds;
