//! The secret of a cluster, which each request carries.

use std::{fmt, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;
use tonic::{Status, service::Interceptor};

use crate::{Error, ErrorKind};

/// The header with the secret.
pub(super) const SECRET: &str = "x-flowlake-secret";
const SHORTEST_SECRET: usize = 16;

/// What all nodes of a cluster know and nobody else does.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Arc<str>);

impl ClusterSecret {
    /// A secret of at least 16 characters, which are printable ASCII.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn try_new(secret: &str) -> Result<Self, Error> {
        let secret = secret.trim();
        if secret.len() < SHORTEST_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                "the secret of a cluster has at least 16 characters, all of them printable ASCII",
            ));
        }
        Ok(Self(secret.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("it is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether this is the secret. Takes the same time wherever the first difference is.
    fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(self.as_bytes(), given).is_ok()
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("******")
    }
}

/// Lets nobody in without the secret.
#[derive(Debug, Clone)]
pub(super) struct Gate(pub(super) ClusterSecret);

impl Interceptor for Gate {
    fn call(&mut self, request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let given = request.metadata().get(SECRET);
        if given.is_some_and(|given| self.0.is(given.as_bytes())) {
            return Ok(request);
        }
        Err(Status::unauthenticated(
            "the secret of the cluster is wrong",
        ))
    }
}

#[cfg(test)]
mod tests {
    use tonic::service::Interceptor;

    use super::{ClusterSecret, Gate, SECRET};

    #[test]
    fn a_secret_is_long_and_never_shown() {
        assert!(ClusterSecret::try_new("short").is_err());
        assert!(ClusterSecret::try_new("one with blanks in it").is_err());
        let secret = ClusterSecret::try_new("0123456789abcdef\n").unwrap();
        assert_eq!(format!("{secret:?}"), "******");
        assert!(secret.is(b"0123456789abcdef"));
        assert!(!secret.is(b"0123456789abcdeF") && !secret.is(b"0123456789abcde"));
    }

    #[test]
    fn nobody_is_let_in_without_the_secret() {
        let mut gate = Gate(ClusterSecret::try_new("0123456789abcdef").unwrap());
        assert!(gate.call(tonic::Request::new(())).is_err());
        let mut request = tonic::Request::new(());
        let secret = "0123456789abcdef".parse().unwrap();
        request.metadata_mut().insert(SECRET, secret);
        assert!(gate.call(request).is_ok());
    }
}
