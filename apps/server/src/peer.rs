//! The peer of a connection: its address, its certificate, and its slot.

use std::{net::IpAddr, sync::Arc};

use axum::http::HeaderMap;
use rustls::pki_types::CertificateDer;

use crate::{connection_slots::ConnectionSlot, network::Network, proxies::Proxies};

/// The peer of a connection. Each request carries a clone as an extension, so cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: IpAddr,
    certificate: Option<Arc<CertificateDer<'static>>>,
    slot: ConnectionSlot,
}

impl Peer {
    pub(crate) fn new(
        address: IpAddr,
        certificate: Option<CertificateDer<'static>>,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            address,
            certificate: certificate.map(Arc::new),
            slot,
        }
    }

    /// The sender of a request with these headers: behind a trusted proxy, the address is the one that the proxy names.
    pub(crate) fn forwarded(&self, proxies: &Proxies, headers: &HeaderMap) -> Self {
        Self {
            address: proxies.caller(self.address, headers),
            ..self.clone()
        }
    }

    /// Marks the connection as authenticated, after a request with valid credentials.
    pub(crate) fn set_authenticated(&self) {
        self.slot.set_authenticated();
    }

    /// The network of its address.
    pub(crate) fn network(&self) -> Network {
        self.address.into()
    }

    /// The client certificate, if it sent one. It is verified: the peer has its private key.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_deref()
    }
}
