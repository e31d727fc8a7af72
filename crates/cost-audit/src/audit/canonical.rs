//! The one way a record is written, so that its hash can be computed again.
//!
//! Object members in order of their names (by code point), no spaces, strings as `serde_json` escapes them, integers in plain decimal.
//! Fractions are not written as JSON numbers: money is a string.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The hash that the very first record is chained to.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
pub(crate) fn hash(previous: &str, record: &str, sequence: u64) -> String {
    let mut digest = Sha256::new();
    digest.update(br#"{"previous":""#);
    digest.update(previous.as_bytes());
    digest.update(br#"","record":"#);
    digest.update(record.as_bytes());
    digest.update(format!(r#","sequence":{sequence}}}"#).as_bytes());
    hex(&digest.finalize().into())
}

/// The digits of a hash. `hex::encode` makes a text digit by digit: a third of the time that the writer hashed in, under load.
fn hex(hash: &[u8; 32]) -> String {
    let mut digits = [0; 64];
    hex::encode_to_slice(hash, &mut digits).expect("32 bytes are 64 digits");
    String::from_utf8_lossy(&digits).into_owned()
}

/// Appends the whole line, newline included.
pub(crate) fn write_line(
    out: &mut Vec<u8>,
    hash: &str,
    previous: &str,
    record: &str,
    sequence: u64,
) {
    out.extend_from_slice(br#"{"hash":""#);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(br#"","previous":""#);
    out.extend_from_slice(previous.as_bytes());
    out.extend_from_slice(br#"","record":"#);
    out.extend_from_slice(record.as_bytes());
    out.extend_from_slice(format!(",\"sequence\":{sequence}}}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditObject, AuditRecord};

    #[test]
    fn a_record_is_serialised_in_canonical_form() {
        let some = || Some("x\u{e9}\"\\\n".to_owned());
        let record = AuditRecord {
            conversation_id: some(),
            correlation_id: some(),
            cost_usd: Some("0.000000400000".parse().unwrap()),
            decision: some(),
            http_status: Some(200),
            message: some(),
            objects: vec![AuditObject {
                version_id: some(),
                etag: some(),
                ..AuditObject::default()
            }],
            organization: some(),
            principal: some(),
            params: [
                ("b".to_owned(), "1".to_owned()),
                ("a".to_owned(), "2".to_owned()),
            ]
            .into(),
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
        assert_eq!(hash("p", r#"{"a":1}"#, 7), expected);
    }
}
