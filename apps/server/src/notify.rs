//! Telling a service manager how the process is (the protocol of `sd_notify(3)`): one datagram to the socket that it names.

use std::{
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
};

use flowlake_data_action::Environment;

/// The state of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// It answers requests.
    Ready,
    /// It will end.
    Stopping,
}

impl ServiceState {
    const fn message(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Stopping => b"STOPPING=1",
        }
    }

    /// Tells the service manager, if there is one; one that does not listen is logged.
    pub fn tell(self, environment: &dyn Environment) {
        let Some(place) = environment.get("NOTIFY_SOCKET") else {
            return;
        };
        if let Err(error) = send(&place, self.message()) {
            tracing::warn!(%error, place, "the service manager cannot be notified");
        }
    }
}

fn send(place: &str, message: &[u8]) -> io::Result<()> {
    let address = match place.strip_prefix('@') {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message, &address)
        .map(drop)
}

/// The address of a socket that is no file, which only Linux has.
#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
