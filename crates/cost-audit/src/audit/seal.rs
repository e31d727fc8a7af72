//! A segment that is finished gets a seal: its figures and hash beside it, signed with Ed25519 when there is a key.
//!
//! The chain alone cannot show that the last records of a log were cut off; the seals can, for every sealed segment.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;

use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::canonical;
use super::segment::Segment;
use crate::error::{Error, ErrorKind};

/// The secret key that seals are signed with.
#[derive(Clone)]
pub struct SealingKey(SigningKey);

impl SealingKey {
    /// Reads a key of 32 bytes in hexadecimal, as `openssl rand -hex 32` makes them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] when the text is something else; the message does not repeat it.
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| {
            Error::new(
                ErrorKind::InvalidSetting,
                "the sealing key must be 64 hexadecimal digits, make one with `openssl rand -hex 32`",
            )
        })?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The public key in hexadecimal, which verifying needs.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.0.verifying_key().as_bytes())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(******)")
    }
}

/// What a seal states about its segment.
// In alphabetical order: serialising gives the canonical form that is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealBody {
    /// The segment's size.
    pub bytes: u64,
    /// Number of its first record.
    pub first_sequence: u64,
    /// Hash of its last record, and so of all: each is in that of the next, and a file has one form only.
    pub last_hash: String,
    /// Number of its last record.
    pub last_sequence: u64,
    /// The id of its log; seals of before logs had one are without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// When it was sealed.
    pub sealed_at: DateTime<Utc>,
    /// The segment's file name.
    pub segment: String,
}

/// A seal, as it lies beside its segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// What is stated.
    pub body: SealBody,
    /// The public key in hexadecimal, when the seal is signed.
    pub public_key: Option<String>,
    /// The signature over the canonical form of `body`, in hexadecimal.
    pub signature: Option<String>,
}

impl Seal {
    pub(super) fn new(body: SealBody, key: Option<&SealingKey>) -> Self {
        let signature = key.map(|key| hex::encode(key.0.sign(signed(&body).as_bytes()).to_bytes()));
        Self {
            body,
            public_key: key.map(SealingKey::public_key),
            signature,
        }
    }

    /// Whether it states the same, whenever it was made.
    pub(super) fn agrees_with(&self, body: &SealBody) -> bool {
        let body = SealBody {
            sealed_at: self.body.sealed_at,
            ..body.clone()
        };
        self.body == body
    }

    /// Reads the seal of a segment, if it has one.
    pub(super) fn read(
        segment: &Segment,
    ) -> Result<Option<Result<Self, serde_json::Error>>, Error> {
        let path = segment.seal_path();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::unreadable(&path, error)),
        }
    }

    /// Writes the seal so that it is there whole or not at all.
    pub(super) fn write(&self, segment: &Segment) -> Result<(), std::io::Error> {
        let path = segment.seal_path();
        let draft = path.with_extension("tmp");
        let mut file = File::create(&draft)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    }

    /// Checks the signature; with `trusted`, only that key counts and there must be a signature.
    pub(super) fn check_signature(&self, trusted: Option<&str>) -> Result<(), String> {
        let (Some(public_key), Some(signature)) = (&self.public_key, &self.signature) else {
            return match trusted {
                Some(_) => Err("the seal is not signed".to_owned()),
                None => Ok(()),
            };
        };
        if trusted.is_some_and(|trusted| !trusted.eq_ignore_ascii_case(public_key)) {
            return Err("the seal is signed with another key".to_owned());
        }
        let wrong = |_| "the seal's signature is wrong".to_owned();
        let mut key = [0; 32];
        hex::decode_to_slice(public_key, &mut key).map_err(wrong)?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).map_err(wrong)?;
        VerifyingKey::from_bytes(&key)
            .and_then(|key| {
                key.verify_strict(
                    signed(&self.body).as_bytes(),
                    &Signature::from_bytes(&bytes),
                )
            })
            .map_err(|_| "the seal's signature is wrong".to_owned())
    }
}

fn signed(body: &SealBody) -> String {
    let value = serde_json::to_value(body).expect("a seal has only plain fields");
    canonical::to_string(&value)
}
