//! The programs from outside: one program, as every crate has.

mod audit;
mod cases;
mod cli;
mod conformance;
mod cost;
mod credentials;
mod dashboard;
mod demo;
mod deploy;
mod failures;
mod genesys_sdk;
mod interface;
mod lambda;
mod models;
mod moto;
mod newcomer;
mod nodes;
mod policies;
mod seaweed;
mod server;
mod spill;
mod storm;
mod telemetry;
