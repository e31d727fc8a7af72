//! The checksum that S3 keeps of a whole object, and its verification over a whole read.

use aws_sdk_s3::{
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    types::ChecksumType,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind};

/// A checksum over all bytes of an object.
///
/// S3 keeps one for each object that was put whole, and for multipart uploads of checksum type `FULL_OBJECT` (Amazon S3 User
/// Guide, "Checking object integrity"). Checksums of checksums (`COMPOSITE`) are of no use to a reader of parts of other sizes,
/// and are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checksum {
    /// How it is computed.
    pub algorithm: ChecksumAlgorithm,
    /// Its bytes, the most significant first, as S3 sends them in base64.
    pub value: Vec<u8>,
}

/// How a [`Checksum`] is computed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ChecksumAlgorithm {
    /// CRC-64/NVME, which S3 computes of what comes without any.
    Crc64Nvme,
    /// CRC-32 as in gzip.
    Crc32,
    /// CRC-32C, Castagnoli's.
    Crc32c,
    /// SHA-256.
    Sha256,
}

/// A checksum in the making.
enum Hasher {
    Crc(Box<Digest>, usize),
    Sha256(Box<Sha256>),
}

impl Checksum {
    /// The best one that HEAD names, if any.
    pub(crate) fn from_head(head: &HeadObjectOutput) -> Option<Self> {
        let named = [
            (ChecksumAlgorithm::Crc64Nvme, head.checksum_crc64_nvme()),
            (ChecksumAlgorithm::Crc32c, head.checksum_crc32_c()),
            (ChecksumAlgorithm::Crc32, head.checksum_crc32()),
            (ChecksumAlgorithm::Sha256, head.checksum_sha256()),
        ];
        Self::best(head.checksum_type(), named)
    }

    /// The best one that the answer to a GET of the whole object names, if any.
    pub(crate) fn from_get(get: &GetObjectOutput) -> Option<Self> {
        let named = [
            (ChecksumAlgorithm::Crc64Nvme, get.checksum_crc64_nvme()),
            (ChecksumAlgorithm::Crc32c, get.checksum_crc32_c()),
            (ChecksumAlgorithm::Crc32, get.checksum_crc32()),
            (ChecksumAlgorithm::Sha256, get.checksum_sha256()),
        ];
        Self::best(get.checksum_type(), named)
    }

    /// The first that is of the whole object.
    fn best(
        kind: Option<&ChecksumType>,
        named: [(ChecksumAlgorithm, Option<&str>); 4],
    ) -> Option<Self> {
        if kind == Some(&ChecksumType::Composite) {
            return None;
        }
        named.into_iter().find_map(|(algorithm, text)| {
            // `value-3` is a checksum of three checksums, also where the type is left out.
            let value = BASE64_STANDARD.decode(text?).ok()?;
            (value.len() == algorithm.bytes()).then_some(Self { algorithm, value })
        })
    }
}

impl ChecksumAlgorithm {
    const fn bytes(self) -> usize {
        match self {
            Self::Crc64Nvme => 8,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Sha256 => 32,
        }
    }

    fn start(self) -> Hasher {
        let crc = |algorithm| Hasher::Crc(Box::new(Digest::new(algorithm)), self.bytes());
        match self {
            Self::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            Self::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            Self::Sha256 => Hasher::Sha256(Box::default()),
        }
    }
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest, _) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(digest, bytes) => {
                let value = digest.finalize().to_be_bytes();
                value[value.len() - bytes..].to_vec()
            }
            Self::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// The same bytes, with an error at their end when they are not those that `expected` is the checksum of.
pub(crate) fn verified(
    bytes: impl Stream<Item = Result<Bytes, Error>> + Send + Unpin,
    expected: Checksum,
    what: String,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let running = expected.algorithm.start();
    stream::try_unfold(Some((bytes, running)), move |state| {
        let (expected, what) = (expected.clone(), what.clone());
        async move {
            let Some((mut bytes, mut running)) = state else {
                return Ok(None);
            };
            if let Some(piece) = bytes.next().await {
                let piece = piece?;
                running.update(&piece);
                return Ok(Some((piece, Some((bytes, running)))));
            }
            if running.finish() == expected.value {
                return Ok(None);
            }
            Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{what}: the bytes do not have the object's {:?} checksum",
                    expected.algorithm
                ),
            ))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Checksum, ChecksumAlgorithm};
    use aws_sdk_s3::{operation::head_object::HeadObjectOutput, types::ChecksumType};

    /// Check values of "123456789": the CRC catalogue (reveng.sourceforge.io/crc-catalogue) and FIPS 180-4's algorithm.
    #[test]
    fn check_values_come_out() {
        let cases = [
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (
                ChecksumAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ];
        for (algorithm, expected) in cases {
            let mut running = algorithm.start();
            running.update(b"1234");
            running.update(b"56789");
            let value: String = running
                .finish()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(value, expected, "{algorithm:?}");
        }
    }

    #[test]
    fn checksums_of_checksums_are_left_out() {
        let whole = HeadObjectOutput::builder()
            .checksum_crc32("y/Q5Jg==")
            .build();
        let found = Checksum::from_head(&whole).unwrap();
        assert_eq!(found.value, [0xcb, 0xf4, 0x39, 0x26]);
        let composite = HeadObjectOutput::builder()
            .checksum_crc32("y/Q5Jg==")
            .checksum_type(ChecksumType::Composite);
        assert_eq!(Checksum::from_head(&composite.build()), None);
        let unsaid = HeadObjectOutput::builder().checksum_crc32("y/Q5Jg==-3");
        assert_eq!(Checksum::from_head(&unsaid.build()), None);
    }
}
