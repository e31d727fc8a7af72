//! TLS: the certificate, who may prove itself by one, and their renewal while connections go on.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, Clock, ErrorCode, Gauge, TlsSettings};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::{
    gauge::{number, single},
    x509::TbsCertificate,
};

/// What both sides may speak, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate of now. Connections keep the one that they began with.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    clock: Arc<dyn Clock>,
    current: RwLock<Current>,
    failed_handshakes: AtomicU64,
    failed_reloads: AtomicU64,
    /// Why the files cannot be taken as they are now.
    failure: Mutex<Option<ActionError>>,
}

#[derive(Debug)]
struct Current {
    files: Files,
    config: Arc<ServerConfig>,
    /// When the certificate ends.
    end: DateTime<Utc>,
}

/// The content of the files, by its SHA-256: what is compared to find out whether it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files([u8; 32]);

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when a file cannot be read or used, the key is not the certificate's, or the certificate is not
    /// valid now or not for servers.
    pub(crate) fn load(
        settings: TlsSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ActionError> {
        Ok(Arc::new(Self {
            current: RwLock::new(read(&settings, clock.now())?),
            settings,
            clock,
            failed_handshakes: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
            failure: Mutex::default(),
        }))
    }

    /// Begins a connection with the certificate of now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Takes what the files hold now; returns whether that is something else than before. New connections begin with it.
    ///
    /// # Errors
    /// Those of [`Self::load`]; the certificate of before stays.
    pub(crate) fn reload(&self) -> Result<bool, ActionError> {
        let read = read(&self.settings, self.clock.now());
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = read.as_ref().err().cloned();
        drop(failure);
        let new = read.inspect_err(|_| {
            self.failed_reloads.fetch_add(1, Relaxed);
        })?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.files == new.files {
            return Ok(false);
        }
        *current = new;
        Ok(true)
    }

    /// Reloads whenever the files have changed, until it is dropped.
    pub(crate) async fn watch(&self) {
        let mut last_error = None;
        loop {
            sleep(self.settings.check_every).await;
            match self.reload() {
                Ok(true) => tracing::info!("the certificate was replaced"),
                Ok(false) => {}
                // Certificate and key are not replaced at the same moment: the next look may find both.
                Err(error) => {
                    let message = error.message().to_owned();
                    if last_error.as_ref() != Some(&message) {
                        tracing::warn!(%error, advice = error.advice(), "the certificate of before stays");
                    }
                    last_error = Some(message);
                    continue;
                }
            }
            last_error = None;
        }
    }

    /// What operators should do about files that cannot be taken.
    pub(crate) fn warning(&self) -> Option<String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(|error| {
            let advice = error.advice();
            format!(
                "the certificate cannot be taken, and the one of before stays: {error}. {advice}"
            )
        })
    }

    /// Counts a handshake that failed.
    pub(crate) fn note_failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Relaxed);
    }

    pub(crate) fn gauges(&self) -> [Gauge; 2] {
        let failures = [
            ("handshake", &self.failed_handshakes),
            ("reload", &self.failed_reloads),
        ];
        let failures = failures.map(|(what, count)| {
            let labels = vec![("what", what.to_owned())];
            (labels, number(count.load(Relaxed)))
        });
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let end = u64::try_from(current.end.timestamp()).unwrap_or_default();
        [
            Gauge {
                name: "flowlake_tls_failures",
                help: "Handshakes, and reloads of the certificate, that failed since the start.",
                values: failures.into(),
            },
            single(
                "flowlake_tls_certificate_end_seconds",
                "When the certificate in use ends, in seconds since 1970.",
                number(end),
            ),
        ]
    }
}

fn read(settings: &TlsSettings, now: DateTime<Utc>) -> Result<Current, ActionError> {
    let certificate = read_file(&settings.certificate)?;
    let private_key = read_file(&settings.private_key)?;
    let client_roots = settings.client_roots.as_deref();
    let client_roots = client_roots.map(read_file).transpose()?;
    let mut digest = Sha256::new();
    for content in [&certificate, &private_key]
        .into_iter()
        .chain(&client_roots)
    {
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = match (&client_roots, &settings.client_roots) {
        (Some(content), Some(path)) => verifier(content, path, &provider)?,
        _ => Arc::new(NoClientAuth),
    };
    let chain = certificates(&certificate, &settings.certificate)?;
    let end = end(&chain[0], now).map_err(|what| invalid(&settings.certificate, &what))?;
    let key = PrivateKeyDer::from_pem_slice(&private_key).map_err(|error| {
        let what = format!("holds no private key: {error}");
        invalid(&settings.private_key, &what)
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&settings.certificate, &error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| {
            let what = format!(
                "cannot be used with {}: {error}",
                settings.private_key.display()
            );
            invalid(&settings.certificate, &what)
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Current {
        files: Files(digest.finalize().into()),
        config: Arc::new(config),
        end,
    })
}

/// When a certificate ends that callers will take now, or what they would find wrong with it.
fn end(certificate: &CertificateDer<'_>, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let Some(content) = TbsCertificate::parse(certificate) else {
        return Err("holds a certificate that cannot be read".to_owned());
    };
    let TbsCertificate {
        not_before,
        not_after,
        is_for_servers,
        ..
    } = content;
    if now > not_after {
        return Err(format!("holds a certificate that ended at {not_after}"));
    }
    if now < not_before {
        return Err(format!("holds a certificate that begins at {not_before}"));
    }
    if !is_for_servers {
        return Err(
            "holds a certificate that is not for servers: its extended key usage lacks serverAuth"
                .to_owned(),
        );
    }
    Ok(not_after)
}

/// Verifies the certificates of callers that send one. A caller without one is authenticated otherwise, or refused later.
fn verifier(
    content: &[u8],
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ActionError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(content, path)? {
        roots.add(root).map_err(|error| {
            invalid(path, &format!("holds a root that cannot be used: {error}"))
        })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| invalid(path, &error.to_string()))
}

fn certificates(content: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, ActionError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(content)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(path, &format!("is no PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(invalid(path, "holds no certificate"));
    }
    Ok(certificates)
}

fn read_file(path: &Path) -> Result<Vec<u8>, ActionError> {
    fs::read(path)
        .map_err(|error| invalid(path, &format!("cannot be read: {error}")).with_source(error))
}

/// What the file says is not repeated: it may be the key.
fn invalid(path: &Path, what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{} {what}", path.display()),
        "Put PEM files of a certificate with its chain and of its private key there, and name them in [server.tls].",
    )
    .at_key(["server", "tls"])
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use chrono::Datelike;
    use flowlake_data_action::TlsSettings;
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::{PROTOCOLS, TbsCertificate, end, read};

    #[test]
    fn no_request_comes_with_a_handshake_where_it_could_be_replayed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/certificates");
        let settings = TlsSettings {
            certificate: folder.join("server.pem"),
            private_key: folder.join("server.key"),
            client_roots: None,
            check_every: Duration::from_secs(1),
        };
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        let config = read(&settings, now).unwrap().config;
        assert_eq!(config.max_early_data_size, 0);
        assert_eq!(config.alpn_protocols, PROTOCOLS.map(<[u8]>::to_vec));
    }

    #[test]
    fn a_certificate_is_taken_while_it_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/certificates");
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
        let content = TbsCertificate::parse(&certificate).unwrap();
        let (begin, last) = (content.not_before, content.not_after);
        assert!(content.is_for_servers && last.year() > begin.year() + 90);
        let second = chrono::TimeDelta::seconds(1);
        assert_eq!(end(&certificate, begin), Ok(last));
        assert_eq!(end(&certificate, last), Ok(last));
        for (now, part) in [
            (begin - second, "begins at 20"),
            (last + second, "ended at 21"),
        ] {
            let wrong = end(&certificate, now).unwrap_err();
            assert!(wrong.contains(part), "{wrong}");
        }
    }
}
