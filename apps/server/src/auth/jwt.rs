//! JSON Web Tokens (RFC 7519) in the compact form: read, verified with a key that fits their algorithm, and made.
//!
//! Only what an access token needs: one signature, no encryption, no extension. The key decides which algorithms are possible,
//! never the token: a token without a signature, or signed with a public key taken as a secret one, has no key that fits.

use aws_lc_rs::{hmac, signature as scheme};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest token that is looked at.
const LONGEST: usize = 8 << 10;

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 30;

/// A token that is not verified yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    header: Header,
    signed: &'a [u8],
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that have to be understood: none is.
    crit: Option<Value>,
}

/// A key that tokens are verified with.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    /// Modulus and exponent.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    /// A point.
    Ed25519(Vec<u8>),
}

/// Why a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It is no token that can be read.
    Malformed,
    /// Nobody here has the key that it names, or it is signed otherwise.
    Signature,
    /// It is not valid any more, or not yet.
    Time,
    /// It is from another issuer, or for somebody else.
    Audience,
    /// The issuer cannot be asked whether it has the key.
    Unavailable,
}

impl<'a> Token<'a> {
    /// Reads a token; nothing is looked at whose signature is not.
    pub(super) fn parse(text: &'a str) -> Result<Self, Rejected> {
        let malformed = || Rejected::Malformed;
        if text.len() > LONGEST {
            return Err(malformed());
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let header = object(&decode(header)?)?;
        let header: Header =
            serde_json::from_value(Value::Object(header)).map_err(|_| malformed())?;
        if header.crit.is_some() {
            return Err(malformed());
        }
        Ok(Self {
            header,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
            claims: object(&decode(claims)?)?,
        })
    }

    /// The key that it says it is signed with.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The issuer that the token names.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Whether it says that it is signed so.
    pub(super) fn has_algorithm(&self, algorithm: &str) -> bool {
        self.header.alg == algorithm
    }

    /// Whether it is signed with a secret, as tokens of this server are.
    pub(super) fn is_symmetric(&self) -> bool {
        self.has_algorithm("HS256")
    }

    /// Checks the signature with a secret.
    pub(super) fn verify_hmac(&self, key: &hmac::Key) -> Result<(), Rejected> {
        if !self.is_symmetric() {
            return Err(Rejected::Signature);
        }
        hmac::verify(key, self.signed, &self.signature).map_err(|_| Rejected::Signature)
    }

    /// Checks the signature with a public key.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), Rejected> {
        let (signed, signature) = (self.signed, &self.signature[..]);
        let point = |algorithm: &'static dyn scheme::VerificationAlgorithm, point: &[u8]| {
            scheme::UnparsedPublicKey::new(algorithm, point).verify(signed, signature)
        };
        let verified = match (key, self.header.alg.as_str()) {
            (PublicKey::Rsa { n, e }, algorithm) => {
                let parameters = match algorithm {
                    "RS256" => &scheme::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &scheme::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &scheme::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &scheme::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &scheme::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &scheme::RSA_PSS_2048_8192_SHA512,
                    _ => return Err(Rejected::Signature),
                };
                scheme::RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
            }
            (PublicKey::P256(key), "ES256") => point(&scheme::ECDSA_P256_SHA256_FIXED, key),
            (PublicKey::P384(key), "ES384") => point(&scheme::ECDSA_P384_SHA384_FIXED, key),
            (PublicKey::Ed25519(key), "EdDSA" | "Ed25519") => point(&scheme::ED25519, key),
            _ => return Err(Rejected::Signature),
        };
        verified.map_err(|_| Rejected::Signature)
    }

    /// The claims of a token whose signature is right, if it is of this issuer, for this audience, and valid now.
    pub(super) fn claims(
        self,
        issuer: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, Rejected> {
        if self.issuer() != Some(issuer) || !self.is_for(audience) {
            return Err(Rejected::Audience);
        }
        let now = now.timestamp();
        let time = |claim: &str| {
            self.claims
                .get(claim)
                .map(|time| seconds(time).ok_or(Rejected::Malformed))
                .transpose()
        };
        // One without an end would be valid for ever.
        let ends = time("exp")?.ok_or(Rejected::Time)?;
        let begins = time("nbf")?.unwrap_or(i64::MIN);
        if now >= ends.saturating_add(LEEWAY) || now < begins.saturating_sub(LEEWAY) {
            return Err(Rejected::Time);
        }
        Ok(self.claims)
    }

    fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(some)) => some.iter().any(|one| one == audience),
            _ => false,
        }
    }
}

/// Makes a token that is signed with a secret.
pub(super) fn sign(claims: &Value, key: &hmac::Key) -> String {
    let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Seconds since 1970; a fraction is cut off.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and the range is compared with today"
)]
fn seconds(time: &Value) -> Option<i64> {
    time.as_i64()
        .or_else(|| time.as_f64().map(|time| time as i64))
}

/// An object in which no name stands twice.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, Rejected> {
    flowlake_data_action::parameters(bytes).map_err(|_| Rejected::Malformed)
}
