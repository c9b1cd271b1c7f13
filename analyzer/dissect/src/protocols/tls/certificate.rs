//! The certificate a server shows (RFC 5280).

use formats::hash::Hash256;
use std::fmt::Write as _;
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};
use x509_parser::x509::AttributeTypeAndValue;

/// What a certificate says of its owner. Hostile ones are still known by their hash.
#[derive(Debug)]
pub struct Certificate {
    /// Of its DER bytes.
    pub sha256: Hash256,
    /// What could be read of it.
    pub said: Option<Said>,
}

/// The fields of a certificate.
#[derive(Debug)]
pub struct Said {
    /// Whose it is (RFC 4514).
    pub subject: String,
    /// Who says so (RFC 4514).
    pub issuer: String,
    /// Names, addresses and URIs it is good for (RFC 5280 §4.2.1.6).
    pub names: Vec<String>,
    /// Seconds since the Unix epoch.
    pub not_before_s: i64,
    /// Seconds since the Unix epoch.
    pub not_after_s: i64,
}

impl Certificate {
    /// Reads DER bytes.
    pub fn read(der: &[u8]) -> Self {
        Self { sha256: Hash256::of(der), said: said(der) }
    }

    /// Memory of what it says.
    pub fn held_bytes(&self) -> usize {
        self.said.as_ref().map_or(0, |said| {
            said.subject.len() + said.issuer.len() + said.names.iter().map(String::len).sum::<usize>()
        })
    }
}

fn said(der: &[u8]) -> Option<Said> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(general_name);
    Some(Said {
        subject: distinguished_name(certificate.subject()),
        issuer: distinguished_name(certificate.issuer()),
        names: names.collect(),
        not_before_s: validity.not_before.timestamp(),
        not_after_s: validity.not_after.timestamp(),
    })
}

/// A name as text; kinds that have none are left out.
fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::DirectoryName(name) => Some(distinguished_name(name)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The most specific part first (RFC 4514 §2.1).
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for (at, parts) in name.iter_rdn().collect::<Vec<_>>().into_iter().rev().enumerate() {
        for (inner, part) in parts.iter().enumerate() {
            if inner > 0 {
                text.push('+');
            } else if at > 0 {
                text.push(',');
            }
            attribute(part, &mut text);
        }
    }
    text
}

/// Short names of attributes, those of RFC 4514 §3 first, then what certificates have besides.
const ATTRIBUTES: [(&str, &str); 17] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
];

fn attribute(part: &AttributeTypeAndValue<'_>, text: &mut String) {
    let oid = part.attr_type().to_id_string();
    let value = part.attr_value();
    let name = ATTRIBUTES.iter().find(|known| known.0 == oid).map_or(oid.as_str(), |known| known.1);
    text.push_str(name);
    text.push('=');
    match string(value.tag().0, value.data) {
        Some(string) => escape(&string, text),
        None => {
            text.push('#');
            for byte in value.data {
                // A string never refuses to be written to.
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
}

/// The text of an ASN.1 string type, by its universal tag (X.680 §8.4).
fn string(tag: u32, data: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, and the types of ASCII letters.
        12 | 18 | 19 | 22 | 26 | 27 => Some(String::from_utf8_lossy(data).into_owned()),
        // TeletexString is Latin-1 in practice, and UTF-8 where its issuer did not care.
        20 => Some(match str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => data.iter().map(|&byte| char::from(byte)).collect(),
        }),
        30 => {
            let units: Vec<u16> = data.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
            Some(String::from_utf16_lossy(&units))
        }
        _ => None,
    }
}

/// Escapes what would end or change a value (RFC 4514 §2.4).
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (at == 0 && matches!(letter, ' ' | '#'))
            || (at == last && letter == ' ');
        if letter == '\0' {
            text.push_str("\\00");
            continue;
        }
        if special {
            text.push('\\');
        }
        text.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        for (value, want) in [("a, b", "a\\, b"), ("#x ", "\\#x\\ "), ("\0", "\\00"), ("é", "é"), (" ", "\\ ")] {
            let mut text = String::new();
            escape(value, &mut text);
            assert_eq!(text, want);
        }
    }

    #[test]
    fn what_is_no_certificate_has_a_hash() {
        let certificate = Certificate::read(b"no");
        assert!(certificate.said.is_none() && certificate.sha256 == Hash256::of(b"no"));
    }
}
