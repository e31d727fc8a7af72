//! What a certificate says of itself (X.509, RFC 5280), as far as the server looks at it.

use chrono::{DateTime, NaiveDateTime, Utc};

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const OBJECT_ID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
/// A time with two digits of the year.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// `id-ce-extKeyUsage`.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
/// `anyExtendedKeyUsage` and `id-kp-serverAuth`.
const OF_SERVERS: [&[u8]; 2] = [&[0x55, 29, 37, 0], &[0x2b, 6, 1, 5, 5, 7, 3, 1]];

/// The signed part of a certificate.
pub(crate) struct TbsCertificate<'a> {
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_after: DateTime<Utc>,
    /// Sets of attributes.
    pub(crate) subject: Der<'a>,
    /// Whether a server may prove itself with it.
    pub(crate) is_for_servers: bool,
}

impl<'a> TbsCertificate<'a> {
    /// Reads the certificate; `None` when it is none, or cut off.
    pub(crate) fn parse(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Der(certificate);
        let mut signed = Der(outer.expect(SEQUENCE)?);
        let mut content = Der(signed.expect(SEQUENCE)?);
        content.optional(VERSION);
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            content.next()?;
        }
        let mut validity = Der(content.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = Der(content.expect(SEQUENCE)?);
        let _public_key = content.expect(SEQUENCE)?;
        content.optional(ISSUER_ID);
        content.optional(SUBJECT_ID);
        let is_for_servers = match content.optional(EXTENSIONS) {
            Some(extensions) => is_for_servers(Der(extensions))?,
            None => true,
        };
        Some(Self {
            not_before,
            not_after,
            subject,
            is_for_servers,
        })
    }
}

/// Whether the extensions allow the use by a server. A certificate without a list of usages allows every use.
fn is_for_servers(mut extensions: Der<'_>) -> Option<bool> {
    let mut list = Der(extensions.expect(SEQUENCE)?);
    while !list.is_empty() {
        let mut extension = Der(list.expect(SEQUENCE)?);
        let id = extension.expect(OBJECT_ID)?;
        let _critical = extension.optional(BOOLEAN);
        if id != EXTENDED_KEY_USAGE {
            continue;
        }
        let mut value = Der(extension.expect(OCTETS)?);
        let mut usages = Der(value.expect(SEQUENCE)?);
        let mut is_listed = false;
        while !usages.is_empty() {
            is_listed |= OF_SERVERS.contains(&usages.expect(OBJECT_ID)?);
        }
        return Some(is_listed);
    }
    Some(true)
}

fn time((kind, digits): (u8, &[u8])) -> Option<DateTime<Utc>> {
    let digits = std::str::from_utf8(digits).ok()?;
    let digits = match kind {
        GENERALIZED_TIME => digits.to_owned(),
        // RFC 5280, 4.1.2.5.1.
        UTC_TIME if digits.get(..2)? < "50" => format!("20{digits}"),
        UTC_TIME => format!("19{digits}"),
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(&digits, "%Y%m%d%H%M%SZ");
    time.ok().map(|time| time.and_utc())
}

/// The rest of a content in DER.
#[derive(Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag and content.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=127 => (usize::from(first), rest),
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            // A certificate of 64 KiB is none of ours.
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }

    /// The same of an element that may be left out.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.0.first() == Some(&tag)).then(|| self.expect(tag))?
    }
}
