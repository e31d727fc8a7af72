//! The other end of a connection: where it is, and the certificate that it has shown.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::seats::Network;

/// The peer of a connection; cheap to clone, since every request carries it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    network: Network,
    certificate: Option<Arc<CertificateDer<'static>>>,
}

impl Peer {
    pub(crate) fn new(network: Network, certificate: Option<CertificateDer<'static>>) -> Self {
        Self {
            network,
            certificate: certificate.map(Arc::new),
        }
    }

    /// Where it is.
    pub(crate) const fn network(&self) -> Network {
        self.network
    }

    /// Its certificate, when it has shown one: then it is verified, and the peer has its private key.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_deref()
    }
}
