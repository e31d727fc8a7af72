//! The tests of the server, over real connections.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod attacks;
mod clients;
mod http;
mod http2;
mod interface;
mod load;
mod restart;
mod slow;
mod strangers;
mod support;
mod tls;
mod tokens;
