//! The tests of the crate from outside: one program, since linking takes longer than most of them.

mod actuals;
mod audit_log;
mod budget;
mod common;
mod crash;
mod journal;
mod logs;
mod needs_root;
mod offer;
mod price_coverage;
mod prices;
mod reading;
mod report;
mod segments;
mod shared_budget;
mod shipping;
