//! Taking the address to listen on.

use std::{io, net::SocketAddr};

use flowlake_data_action::{ActionError, ErrorCode, ServerSettings};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens where the settings say, in the clear only where nobody else hears it.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`].
pub(crate) async fn listen(settings: &ServerSettings) -> Result<TcpListener, ActionError> {
    let listen = &settings.listen;
    let unbound = |error: io::Error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("cannot listen on {listen}: {error}"),
            "Correct `listen` in [server], or end what has the address; `reuse_port = true` lets two servers share it.",
        )
        .with_source(error)
    };
    let addresses: Vec<_> = tokio::net::lookup_host(listen)
        .await
        .map_err(unbound)?
        .collect();
    let may_be_plain = settings.tls.is_some() || settings.allow_plain_http;
    if !may_be_plain && !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("plain HTTP on {listen} would tell keys and answers to the network"),
            "Add [server.tls] with `certificate` and `private_key`, or set `allow_plain_http = true` behind something that speaks TLS.",
        ));
    }
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match bind(address, settings.reuse_port) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(unbound(last))
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // So that a server can be started again while connections of the one before it are still being closed.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(reuse_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
