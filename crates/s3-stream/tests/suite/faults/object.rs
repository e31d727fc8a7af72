//! An object of which every version's bytes are known.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) etag: String,
    pub(crate) bytes: Bytes,
}

impl Version {
    /// Bytes of which no two pieces are alike, and which differ between versions.
    pub(crate) fn new(number: u64, length: usize) -> Self {
        let salt = number.wrapping_mul(0xD6E8_FEB8_6659_FD93) | 1;
        // Eight bytes at a time: versions are made 30,000 times.
        let mut bytes = Vec::with_capacity(length + 8);
        for place in (0..length as u64).step_by(8) {
            let word = place
                .wrapping_add(number)
                .wrapping_mul(salt ^ 0x9E37_79B9_7F4A_7C15);
            bytes.extend_from_slice(&(word ^ word >> 29).to_be_bytes());
        }
        bytes.truncate(length);
        Self {
            etag: format!("\"v{number}\""),
            bytes: bytes.into(),
        }
    }

    /// CRC-64/NVME as S3 sends it.
    pub(crate) fn checksum(&self) -> String {
        let value = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &self.bytes);
        BASE64_STANDARD.encode(value.to_be_bytes())
    }
}
