//! The tests of the server, over real connections.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod admin;
mod attacks;
mod batch;
mod clients;
mod describe;
mod http;
mod http2;
mod interface;
mod load;
mod mcp;
mod reload;
mod restart;
mod seats;
mod slow;
mod strangers;
mod support;
mod tls;
mod tokens;
mod values;
