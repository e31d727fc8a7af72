//! Signature version 4, computed again and compared.

use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::iam::{Directory, Principal};

/// A request whose signature was right.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) principal: Principal,
    /// The service in the credential scope: `sts`, `iam` or `ce`.
    pub(crate) service: String,
}

/// How far a request's clock may be from ours.
const MAX_SKEW_SECONDS: i64 = 300;

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut credential = None;
        let mut signed_headers = None;
        let mut signature = None;
        for part in text.strip_prefix("AWS4-HMAC-SHA256")?.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed_headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let scope: Vec<&str> = credential?.split('/').collect();
        let [key_id, date, region, service, "aws4_request"] = scope[..] else {
            return None;
        };
        Some(Self {
            key_id,
            date,
            region,
            service,
            signed_headers: signed_headers?.split(';').collect(),
            signature: signature?,
        })
    }
}

/// Who signed this request, or the refusal that AWS would send.
pub(crate) fn verify(
    parts: &Parts,
    body: &[u8],
    directory: &Directory,
    now: DateTime<Utc>,
) -> Result<Signed, Refusal> {
    let header = header_of(parts, "authorization").ok_or_else(|| {
        Refusal::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    let incomplete = || {
        Refusal::new(
            400,
            "IncompleteSignature",
            "Authorization header is not a complete version 4 signature",
        )
    };
    let authorization = Authorization::parse(&header).ok_or_else(incomplete)?;
    let unknown = || {
        Refusal::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let secret = directory.secret(authorization.key_id).ok_or_else(unknown)?;
    let stamp = header_of(parts, "x-amz-date").ok_or_else(incomplete)?;
    check_time(&stamp, &authorization, now)?;
    if signature(parts, body, &authorization, &stamp, &secret) != authorization.signature {
        return Err(Refusal::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method.",
        ));
    }
    let principal = directory
        .principal(authorization.key_id)
        .ok_or_else(unknown)?;
    if let Some(session) = &principal.session {
        if header_of(parts, "x-amz-security-token").as_deref() != Some(session.token.as_str()) {
            return Err(unknown());
        }
        if now >= session.expires {
            return Err(Refusal::new(
                403,
                "ExpiredToken",
                "The security token included in the request is expired",
            ));
        }
    }
    Ok(Signed {
        principal,
        service: authorization.service.to_owned(),
    })
}

fn header_of(parts: &Parts, name: &str) -> Option<String> {
    let values: Vec<&str> = parts
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn check_time(
    stamp: &str,
    authorization: &Authorization<'_>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let signed_at = NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ")
        .map(|time| time.and_utc())
        .ok()
        .filter(|_| stamp.starts_with(authorization.date))
        .ok_or_else(|| {
            Refusal::new(
                400,
                "IncompleteSignature",
                "Date must be in ISO-8601 basic format and that of the credential scope",
            )
        })?;
    let age = (now - signed_at).num_seconds();
    if age.abs() <= MAX_SKEW_SECONDS {
        return Ok(());
    }
    let when = now.format("%Y%m%dT%H%M%SZ");
    let message = if age > 0 {
        format!("Signature expired: {stamp} is now earlier than {when} - 5 min.")
    } else {
        format!("Signature not yet current: {stamp} is still later than {when} + 5 min.")
    };
    Err(Refusal::new(403, "SignatureDoesNotMatch", message))
}

fn signature(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    stamp: &str,
    secret: &str,
) -> String {
    let mut headers = String::new();
    for name in &authorization.signed_headers {
        let value = header_of(parts, name).unwrap_or_default();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        parts.method,
        parts.uri.path(),
        canonical_query(parts.uri.query().unwrap_or_default()),
        authorization.signed_headers.join(";"),
        hex::encode(Sha256::digest(body)),
    );
    let scope = format!(
        "{}/{}/{}/aws4_request",
        authorization.date, authorization.region, authorization.service
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mut key = hmac(
        format!("AWS4{secret}").as_bytes(),
        authorization.date.as_bytes(),
    );
    for part in [authorization.region, authorization.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    hex::encode(hmac(&key, to_sign.as_bytes()))
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}
