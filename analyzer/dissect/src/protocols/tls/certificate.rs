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
    use proptest::prelude::*;

    #[test]
    fn values_are_escaped() {
        for (value, want) in [("a, b", "a\\, b"), ("#x ", "\\#x\\ "), ("\0", "\\00"), ("é", "é"), (" ", "\\ ")] {
            let mut text = String::new();
            escape(value, &mut text);
            assert_eq!(text, want);
        }
    }

    /// Made with `openssl req -x509` for these tests.
    const DER: &str = "\
        308201f53082019aa00302010202146b1fa2752124098d8900083afe3695dca2d73571300a06082a8648ce3d040302303d31 \
        0b300906035504061302444531153013060355040a0c0c4578616d706c652c20496e633117301506035504030c0e612e6578 \
        616d706c652e746573743020170d3236313132363132353331365a180f39393636313130313132353331365a303d310b3009 \
        06035504061302444531153013060355040a0c0c4578616d706c652c20496e633117301506035504030c0e612e6578616d70 \
        6c652e746573743059301306072a8648ce3d020106082a8648ce3d0301070342000455be6ca640592b2b324c64f60406a5b3 \
        11bf2ce8a97d16a0b3e02ae47f10dd53b82cb92f1f262ad5b785fd5dd584c266222aaf98f4702248f45c02ba4dcb4f38a376 \
        307430530603551d11044c304a820e612e6578616d706c652e746573748704c0000201871020010db8000000000000000000 \
        00000186207370696666653a2f2f636c75737465722e6c6f63616c2f6e732f612f73612f62301d0603551d0e041604144038 \
        d0995e5350c96a1e419dd3b509b30d0fb707300a06082a8648ce3d04030203490030460221009f452f28d3b9ca52e0cc19c2 \
        0c06ecc1af6fcb8825bf32dc675c4f4e7e0dc658022100cb6785a26d62e28104eb78058fa86a888e19b33d3ed34282ef3097 \
        56bfcd84fe";

    fn der() -> Vec<u8> {
        let digits: Vec<char> = DER.chars().filter(|digit| !digit.is_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
    }

    #[test]
    fn what_a_certificate_says() {
        let certificate = Certificate::read(&der());
        assert_eq!(certificate.sha256.to_string(), "d110b2032cac7231f04e18521bae2e7b32094083c821989da5eab025f32c0fc2");
        let said = certificate.said.unwrap();
        assert_eq!(said.subject, "CN=a.example.test,O=Example\\, Inc,C=DE");
        assert_eq!(said.issuer, said.subject);
        let names = ["a.example.test", "192.0.2.1", "2001:db8::1", "spiffe://cluster.local/ns/a/sa/b"];
        assert_eq!(said.names, names);
        // 2026-11-26 12:53:16 and 9966-11-01 12:53:16.
        assert_eq!((said.not_before_s, said.not_after_s), (1_795_697_596, 252_355_697_596));
    }

    #[test]
    fn what_is_no_certificate_has_a_hash() {
        let certificate = Certificate::read(b"no");
        assert!(certificate.said.is_none() && certificate.sha256 == Hash256::of(b"no"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read(at in 0usize..505, byte: u8, cut in 0usize..505) {
            let mut der = der();
            der[at] = byte;
            Certificate::read(&der);
            Certificate::read(&der[..cut]);
        }
    }
}
