#![doc = include_str!("../README.md")]

mod actions;
mod auth;
mod environment;
mod negotiation;
mod operations;
mod routes;
mod server;
mod state;
mod telemetry;

pub use auth::Keys;
pub use environment::ProcessEnvironment;
pub use server::{RunningServer, Server, ServerError};
pub use telemetry::Telemetry;
