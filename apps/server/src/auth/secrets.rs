//! Secrets that are known by their SHA-256 only, found in a time that tells nothing about them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest, Sha256};

/// The shortest secret that is taken: shorter ones can be guessed, and their SHA-256 can be reversed.
const SHORTEST: usize = 16;

/// What belongs to each secret.
#[derive(Debug, Clone)]
pub(super) struct Secrets<T> {
    known: Vec<(SecretDigest, T)>,
}

/// The SHA-256 of a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SecretDigest(pub(super) [u8; 32]);

impl<T> Default for Secrets<T> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl SecretDigest {
    pub(super) fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether it is that of `secret`.
    pub(super) fn is_of(&self, secret: &str) -> bool {
        is_long(secret) && self.is(&Self::of(secret))
    }

    fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// Whether a secret is long enough to be one.
pub(super) const fn is_long(secret: &str) -> bool {
    secret.len() >= SHORTEST
}

impl<T> Secrets<T> {
    /// Adds a secret; gives back what belongs to it already.
    pub(super) fn add(&mut self, digest: SecretDigest, owner: T) -> Option<&T> {
        let known = self.known.iter().position(|(known, _)| *known == digest);
        if let Some(known) = known {
            return Some(&self.known[known].1);
        }
        self.known.push((digest, owner));
        None
    }

    /// What belongs to the secret. Every one is compared, so that the time does not tell which one it was.
    pub(super) fn find(&self, secret: &str) -> Option<&T> {
        if !is_long(secret) {
            return None;
        }
        let digest = SecretDigest::of(secret);
        self.known.iter().fold(None, |found, (known, owner)| {
            if known.is(&digest) {
                Some(owner)
            } else {
                found
            }
        })
    }
}

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretDigest(******)")
    }
}
