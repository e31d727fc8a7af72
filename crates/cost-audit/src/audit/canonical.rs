//! The one way a record is written, so that its hash can be computed again.
//!
//! Object members in order of their names (by code point), no spaces, strings as `serde_json` escapes them, integers in plain decimal.
//! Fractions are not written as JSON numbers: money is a string.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The hash that the very first record is chained to.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A SHA-256, as digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash([u8; DIGITS]);

impl Hash {
    /// `hex::encode` makes a text digit by digit: a third of the time that the writer hashed in, under load.
    pub(crate) fn new(hash: impl AsRef<[u8]>) -> Self {
        let mut digits = [0; DIGITS];
        hex::encode_to_slice(hash, &mut digits).expect("32 bytes are 64 digits");
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// `value` in canonical form.
pub(crate) fn to_string(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            let ordered: Map<String, Value> = names
                .into_iter()
                .map(|name| (name.clone(), sorted(&members[name])))
                .collect();
            Value::Object(ordered)
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The chained hash of a record whose canonical form is `record`.
pub(crate) fn hash(previous: &str, record: &str, sequence: u64) -> Hash {
    let mut members = Vec::new();
    write_members(&mut members, previous, record, sequence);
    hash_of(&members)
}

/// Appends a record's whole line, newline included, and gives its chained hash.
pub(crate) fn chain_line(out: &mut Vec<u8>, previous: &str, record: &str, sequence: u64) -> Hash {
    let from = out.len() + HASH_MEMBER.len();
    let to = from + DIGITS;
    // In place of the hash, as many digits.
    write_line(out, GENESIS, previous, record, sequence);
    let hash = hash_of(&out[to + AFTER_HASH.len()..out.len() - 1]);
    out[from..to].copy_from_slice(&hash.0);
    hash
}

/// Appends the whole line of a record whose hash is known, newline included.
pub(crate) fn write_line(
    out: &mut Vec<u8>,
    hash: &str,
    previous: &str,
    record: &str,
    sequence: u64,
) {
    out.extend_from_slice(HASH_MEMBER);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(AFTER_HASH);
    write_members(out, previous, record, sequence);
    out.push(b'\n');
}

const HASH_MEMBER: &[u8] = br#"{"hash":""#;
const AFTER_HASH: &[u8] = br#"","#;
const DIGITS: usize = 64;

/// What is hashed, but for the brace before it.
fn write_members(out: &mut Vec<u8>, previous: &str, record: &str, sequence: u64) {
    out.extend_from_slice(br#""previous":""#);
    out.extend_from_slice(previous.as_bytes());
    out.extend_from_slice(br#"","record":"#);
    out.extend_from_slice(record.as_bytes());
    write!(out, r#","sequence":{sequence}}}"#).expect("memory takes every byte");
}

fn hash_of(members: &[u8]) -> Hash {
    let mut digest = Sha256::new();
    digest.update(b"{");
    digest.update(members);
    Hash::new(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditObject, AuditRecord};

    #[test]
    fn a_record_is_serialised_in_canonical_form() {
        let some = || Some("x\u{e9}\"\\\n".to_owned());
        let record = AuditRecord {
            address: some(),
            conversation_id: some(),
            correlation_id: some(),
            cost_usd: Some("0.000000400000".parse().unwrap()),
            decision: some(),
            destination: some(),
            http_status: Some(200),
            message: some(),
            objects: vec![AuditObject {
                version_id: some(),
                etag: some(),
                ..AuditObject::default()
            }],
            objects_count: Some(1_001),
            objects_digest: some(),
            organization: some(),
            principal: some(),
            params: [
                ("b".to_owned(), "1".to_owned()),
                ("a".to_owned(), "2".to_owned()),
            ]
            .into(),
            trace_id: some(),
            user: some(),
            ..AuditRecord::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(to_string(&value), text);
    }

    #[test]
    fn the_hash_is_that_of_the_canonical_members() {
        let expected = hex::encode(Sha256::digest(
            br#"{"previous":"p","record":{"a":1},"sequence":7}"#,
        ));
        assert_eq!(hash("p", r#"{"a":1}"#, 7).as_str(), expected);
        let mut lines = b"a line before\n".to_vec();
        let chained = chain_line(&mut lines, "p", r#"{"a":1}"#, 7);
        assert_eq!(chained.as_str(), expected);
        let line = format!(
            "a line before\n{{\"hash\":\"{expected}\",\"previous\":\"p\",\"record\":{{\"a\":1}},\"sequence\":7}}\n"
        );
        assert_eq!(String::from_utf8(lines).unwrap(), line);
    }
}
