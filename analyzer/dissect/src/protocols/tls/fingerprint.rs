//! Fingerprints of hellos: JA3 and JA3S, and JA4 of the client.
//!
//! Only of whole hellos: one of a part would be that of another client.

use super::wire::{ClientHello, ServerHello};
use crate::protocols::value::push_number;
use formats::hash::{Hash256, hex, push_hex};
use md5::{Digest, Md5};

/// Codes that clients name so that servers learn to ignore what they do not know (RFC 8701 §2).
pub fn is_grease(code: u16) -> bool {
    code & 0x0f0f == 0x0a0a && code >> 8 == code & 0xff
}

/// JA3 (salesforce/ja3): MD5 of version, ciphers, extensions, groups and point formats, in the order sent.
pub fn ja3(hello: &ClientHello<'_>) -> Option<String> {
    let mut text = format!("{},", hello.version?);
    for codes in [&hello.ciphers, &hello.extensions, &hello.groups] {
        push_decimal(&mut text, known(codes));
        text.push(',');
    }
    push_decimal(&mut text, hello.point_formats.iter().map(|&format| format.into()));
    Some(md5(&text))
}

/// JA3S (salesforce/ja3): MD5 of version, cipher and extensions of the server.
pub fn ja3s(hello: &ServerHello<'_>) -> Option<String> {
    let mut text = format!("{},{},", hello.version?, hello.cipher?);
    push_decimal(&mut text, hello.extensions.iter().copied());
    Some(md5(&text))
}

/// JA4 (FoxIO-LLC/ja4, technical_details/JA4.md).
pub fn ja4(hello: &ClientHello<'_>) -> Option<String> {
    let legacy = hello.version?;
    let version = known(&hello.versions).max().unwrap_or(legacy);
    let sni = if hello.extensions.contains(&0x0000) { 'd' } else { 'i' };
    let (mut ciphers, mut extensions): (Vec<u16>, Vec<u16>) =
        (known(&hello.ciphers).collect(), known(&hello.extensions).collect());
    let counts = (ciphers.len().min(99), extensions.len().min(99));
    ciphers.sort_unstable();
    // The first part has told of the server name and of ALPN already.
    extensions.retain(|code| !matches!(code, 0x0000 | 0x0010));
    extensions.sort_unstable();
    let mut properties = hexadecimal(extensions.iter().copied());
    if !properties.is_empty() && !hello.signature_algorithms.is_empty() {
        properties.push('_');
        properties += &hexadecimal(known(&hello.signature_algorithms));
    }
    Some(format!(
        "t{}{sni}{:02}{:02}{}_{}_{}",
        version_letters(version),
        counts.0,
        counts.1,
        alpn_letters(hello.alpns.first().copied().unwrap_or_default()),
        short_hash(&hexadecimal(ciphers.iter().copied())),
        short_hash(&properties),
    ))
}

fn version_letters(version: u16) -> &'static str {
    match version {
        0x0002 => "s2",
        0x0300 => "s3",
        0x0301 => "10",
        0x0302 => "11",
        0x0303 => "12",
        0x0304 => "13",
        _ => "00",
    }
}

/// First and last character of the first name; of its hexadecimal form where either is no letter and no digit.
fn alpn_letters(name: &[u8]) -> String {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return "00".into() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last].map(char::from).iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 0x0f)
}

fn known(codes: &[u16]) -> impl Iterator<Item = u16> {
    codes.iter().copied().filter(|&code| !is_grease(code))
}

fn push_decimal(text: &mut String, codes: impl Iterator<Item = u16>) {
    for (at, code) in codes.enumerate() {
        text.push_str(if at == 0 { "" } else { "-" });
        push_number(text, code);
    }
}

/// Room for the codes of most greetings: five bytes each.
const CODES_BYTES: usize = 256;

fn hexadecimal(codes: impl Iterator<Item = u16>) -> String {
    let mut text = String::with_capacity(CODES_BYTES);
    for (at, code) in codes.enumerate() {
        text.push_str(if at == 0 { "" } else { "," });
        push_hex(&mut text, &code.to_be_bytes());
    }
    text
}

/// Zeros where there is nothing to hash, so that one sees it.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut hash = Hash256::of(text.as_bytes()).to_string();
    hash.truncate(12);
    hash
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_ja4_definition() {
        let hello = ClientHello {
            version: Some(0x0303),
            versions: vec![0x2a2a, 0x0304, 0x0303],
            ciphers: vec![
                0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01,
                0x000b, 0x000a, 0x0015, 0x7a7a,
            ],
            signature_algorithms: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            alpns: vec![b"h2"],
            ..ClientHello::default()
        };
        assert_eq!(ja4(&hello).as_deref(), Some("t13d1516h2_8daaf6152771_e5627efa2ab1"));
        let without = ClientHello { signature_algorithms: Vec::new(), ..hello };
        assert_eq!(ja4(&without).as_deref(), Some("t13d1516h2_8daaf6152771_6d807ffa2a79"));
    }

    #[test]
    fn alpn_by_its_ends() {
        for (name, want) in [
            (&b""[..], "00"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
        ] {
            assert_eq!(alpn_letters(name), want, "{name:?}");
        }
    }
}
