//! Keyed hashes of sensitive parameter values: equal values can be recognised, and none can be read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::canonical::Hash;

/// HMAC-SHA256 of `value` under `key`, as `hmac-sha256:<hex>`.
///
/// Use a long random key and keep it out of the log: with it, short values can be guessed.
#[must_use]
pub fn keyed_hash(key: &[u8], value: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC-SHA256 takes keys of every length");
    mac.update(value.as_bytes());
    let hash = Hash::new(mac.finalize().into_bytes());
    ["hmac-sha256:", hash.as_str()].concat()
}

#[cfg(test)]
mod tests {
    use super::keyed_hash;

    #[test]
    fn agrees_with_rfc_4231_test_case_2() {
        assert_eq!(
            keyed_hash(b"Jefe", "what do ya want for nothing?"),
            "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
