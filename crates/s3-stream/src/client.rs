//! The client in use, and what is changed in it when S3 says that the region or the credentials are not right.

use std::sync::{PoisonError, RwLock};

use aws_sdk_s3::{
    Client,
    config::{
        IdentityCache, Region, ResponseChecksumValidation, StalledStreamProtectionConfig,
        retry::RetryConfig,
    },
};

use crate::{Error, ErrorKind};

/// A client that can be replaced while requests are under way.
#[derive(Debug)]
pub(crate) struct CurrentClient(RwLock<Generation>);

/// A client and how many came before it.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub(crate) client: Client,
    number: u64,
}

impl CurrentClient {
    /// The caller's client, without what this crate does itself: retries would be neither counted nor able to resume a
    /// body, stalls are detected per body, and checksums are verified over the whole object.
    pub(crate) fn new(client: &Client) -> Self {
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self(RwLock::new(Generation {
            client: Client::from_conf(config),
            number: 0,
        }))
    }

    pub(crate) fn get(&self) -> Generation {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes what made a request fail; whether the request is worth sending again.
    ///
    /// A bucket in another region is asked there, credentials that have expired are taken from their provider again. When
    /// another request has changed the client already, nothing is changed a second time.
    pub(crate) fn adapt(&self, failed: &Generation, error: &Error) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != failed.number {
            return true;
        }
        let config = current.client.config();
        let builder = match error.kind() {
            ErrorKind::WrongRegion => {
                let known = config.region().map(Region::as_ref);
                match error.region() {
                    Some(region) if known != Some(region) => {
                        config.to_builder().region(Region::new(region.to_owned()))
                    }
                    _ => return false,
                }
            }
            ErrorKind::ExpiredCredentials => config
                .to_builder()
                .identity_cache(IdentityCache::lazy().build()),
            _ => return false,
        };
        tracing::debug!(%error, "the S3 client is changed");
        *current = Generation {
            client: Client::from_conf(builder.build()),
            number: current.number + 1,
        };
        true
    }
}
