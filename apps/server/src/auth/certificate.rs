//! Maps a verified client certificate to a client, by an alternative name or by its whole subject.

use std::fmt::Write as _;

use flowlake_data_action::CertificateMatch;
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};

use crate::x509::{Der, OBJECT_ID, SEQUENCE, SET, TbsCertificate};

/// `UTF8String`, `PrintableString` and `IA5String`: what subjects of today are written in.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Attributes that have a name of their own (RFC 4514, section 3), by their object identifier.
const NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
];

/// Whether the certificate is one of those.
pub(super) fn fits(certificate: &CertificateDer<'_>, wanted: &CertificateMatch) -> bool {
    match wanted {
        CertificateMatch::Subject(wanted) => subject(certificate).as_ref() == Some(wanted),
        CertificateMatch::San(name) => {
            let parsed = ParsedCertificate::try_from(certificate);
            let name = ServerName::try_from(name.as_str());
            let (Ok(parsed), Ok(name)) = (parsed, name) else {
                return false;
            };
            verify_server_name(&parsed, &name).is_ok()
        }
    }
}

/// The subject as text such as `O=Contact Centre,CN=flows`, in the order of the certificate. None when it is empty, or has a part
/// that is no text or of a kind without a name: what cannot be written cannot be compared.
fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let mut parts = TbsCertificate::parse(certificate)?.subject;
    let mut text = String::new();
    while !parts.is_empty() {
        let mut attributes = Der(parts.expect(SET)?);
        let mut joint = if text.is_empty() { "" } else { "," };
        while !attributes.is_empty() {
            let mut attribute = Der(attributes.expect(SEQUENCE)?);
            let id = attribute.expect(OBJECT_ID)?;
            let (_, name) = NAMES.iter().find(|(known, _)| *known == id)?;
            let (kind, value) = attribute.next()?;
            let value = std::str::from_utf8(value)
                .ok()
                .filter(|_| TEXTS.contains(&kind))?;
            let _ = write!(text, "{joint}{name}=");
            // So that no value looks like two parts.
            for character in value.chars() {
                if ",+=\\".contains(character) {
                    text.push('\\');
                }
                text.push(character);
            }
            joint = "+";
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flowlake_data_action::CertificateMatch::{San, Subject};
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::{fits, subject};

    fn certificate(name: &str) -> CertificateDer<'static> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/certificates");
        CertificateDer::from_pem_file(folder.join(name)).unwrap()
    }

    #[test]
    fn a_certificate_is_known_by_its_subject_or_a_name() {
        let client = certificate("client.pem");
        assert_eq!(subject(&client).unwrap(), "O=Contact Centre,CN=flows");
        for (wanted, is_it) in [
            (Subject("O=Contact Centre,CN=flows".to_owned()), true),
            (Subject("CN=flows".to_owned()), false),
            (Subject("CN=flows,O=Contact Centre".to_owned()), false),
            (San("flows.example".to_owned()), true),
            (San("other.example".to_owned()), false),
            (San("example".to_owned()), false),
            (San(String::new()), false),
        ] {
            assert_eq!(fits(&client, &wanted), is_it, "{wanted:?}");
        }
        assert!(fits(
            &certificate("server.pem"),
            &San("127.0.0.1".to_owned())
        ));
    }

    #[test]
    fn what_is_cut_off_is_no_subject() {
        let whole = certificate("client.pem");
        for length in 0..whole.len() {
            let cut = CertificateDer::from(&whole[..length]);
            assert_eq!(subject(&cut), None, "{length}");
        }
    }
}
