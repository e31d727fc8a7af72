//! The other end of a connection: where it is, and the certificate that it has shown.

use std::{net::IpAddr, sync::Arc};

use axum::http::HeaderMap;
use rustls::pki_types::CertificateDer;

use crate::{
    proxies::Proxies,
    seats::{Network, Seat},
};

/// The peer of a connection; cheap to clone, since every request carries it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: IpAddr,
    certificate: Option<Arc<CertificateDer<'static>>>,
    seat: Seat,
}

impl Peer {
    pub(crate) fn new(
        address: IpAddr,
        certificate: Option<CertificateDer<'static>>,
        seat: Seat,
    ) -> Self {
        Self {
            address,
            certificate: certificate.map(Arc::new),
            seat,
        }
    }

    /// The peer as the sender of a request with these headers: where a proxy says that it comes from.
    pub(crate) fn behind(&self, proxies: &Proxies, headers: &HeaderMap) -> Self {
        Self {
            address: proxies.caller(self.address, headers),
            ..self.clone()
        }
    }

    /// Notes that it has sent valid credentials.
    pub(crate) fn prove(&self) {
        self.seat.prove();
    }

    /// Where it is.
    pub(crate) fn network(&self) -> Network {
        self.address.into()
    }

    /// Its certificate, when it has shown one: then it is verified, and the peer has its private key.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_deref()
    }
}
