#![doc = include_str!("../README.md")]

mod actions;
mod activity;
mod ask;
mod auth;
mod batch;
mod bind;
mod body;
mod caller;
mod describe;
mod door;
mod environment;
mod failures;
mod headers;
mod listener;
mod load;
mod mcp;
mod negotiation;
mod notify;
mod oauth;
mod operations;
mod peer;
mod query;
mod rate;
mod refusal;
mod routes;
mod seats;
mod server;
mod state;
mod telemetry;
mod tls;
mod validators;

pub use auth::Callers;
pub use environment::ProcessEnvironment;
pub use notify::ServiceState;
pub use server::{RunningServer, Server, ServerError};
pub use telemetry::Telemetry;
