//! Taking the address to listen on.

use std::{io, net::SocketAddr};

use flowlake_data_action::{ActionError, ErrorCode, ServerSettings};
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket};

/// A listener, and the address with the port that was really taken.
pub(crate) type Listener = (TcpListener, SocketAddr);

/// Connections that wait until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens where the settings say, or on the socket that a service manager has handed over; in the clear only where nobody else
/// hears it.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`].
pub(crate) async fn listen(
    settings: &ServerSettings,
    given: Option<std::net::TcpListener>,
) -> Result<Listener, ActionError> {
    let may_be_remote = settings.tls.is_some() || settings.allow_plain_http;
    let remote = |listen: &str| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("plain HTTP on {listen} would tell keys and answers to the network"),
            "Add [server.tls] with `certificate` and `private_key`, or set `allow_plain_http = true` behind something that speaks TLS.",
        )
        .at_key(["server", "listen"])
    };
    let refused = (!may_be_remote).then_some(remote);
    let Some(given) = given else {
        return listen_on("listen", &settings.listen, settings.reuse_port, refused).await;
    };
    let taken = given
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(given))
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = taken.map_err(not_handed_over)?;
    match refused {
        Some(remote) if !address.ip().is_loopback() => Err(remote(&address.to_string())),
        _ => Ok((listener, address)),
    }
}

/// The listening socket that a service manager has handed over (the protocol of `sd_listen_fds(3)`), in place of `listen` in
/// `[server]`.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] when it is no TCP socket, or not the only one.
pub fn handed_over() -> Result<Option<std::net::TcpListener>, ActionError> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        return Err(not_handed_over(io::Error::other("there are several")));
    }
    handed.take_tcp_listener(0).map_err(not_handed_over)
}

fn not_handed_over(error: io::Error) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("the socket that the service manager handed over cannot be used: {error}"),
        "Give the socket unit one `ListenStream` with an address and port, and `Accept=no`.",
    )
    .with_source(error)
}

/// Listens for operators, where the settings name an address for them: for those of this machine, unless told otherwise.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`].
pub(crate) async fn listen_for_operators(
    settings: &ServerSettings,
) -> Result<Option<Listener>, ActionError> {
    let Some(admin) = &settings.admin else {
        return Ok(None);
    };
    let remote = |listen: &str| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("`admin` on {listen} would show the network what operators see, without a key"),
            "Set `admin` to a loopback address, or `allow_remote_admin = true` where a network policy keeps strangers from it.",
        )
        .at_key(["server", "admin"])
    };
    let refused = (!settings.allow_remote_admin).then_some(remote);
    let listener = listen_on("admin", admin, settings.reuse_port, refused).await?;
    Ok(Some(listener))
}

/// Listens on the first address of a name that can be had; `remote` is the error where another address than loopback is refused.
async fn listen_on(
    key: &'static str,
    listen: &str,
    reuse_port: bool,
    remote: Option<impl FnOnce(&str) -> ActionError>,
) -> Result<Listener, ActionError> {
    let unbound = |error: io::Error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("cannot listen on {listen}: {error}"),
            format!("Correct `{key}` in [server], or end what has the address; `reuse_port = true` lets two servers share it."),
        )
        .at_key(["server", key])
        .with_source(error)
    };
    let addresses: Vec<_> = tokio::net::lookup_host(listen)
        .await
        .map_err(unbound)?
        .collect();
    if let Some(remote) = remote
        && !addresses.iter().all(|address| address.ip().is_loopback())
    {
        return Err(remote(listen));
    }
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        let bound = bind(address, reuse_port);
        match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => return Ok((listener, address)),
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
