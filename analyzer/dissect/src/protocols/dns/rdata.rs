//! Record data in presentation form, by type.

use super::names::{Malformed, name, quoted, unquoted};
use super::registry;
use formats::bytes::Reader;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The data from the reader to `end` of its message: known types as their standard writes them, others and
/// broken ones as RFC 3597 §5 does.
pub fn text(kind: u16, reader: &mut Reader<'_>, end: usize) -> String {
    let raw = reader.whole().get(reader.at()..end).unwrap_or_default();
    let mut text = String::new();
    match write(kind, reader, end, &mut text) {
        Ok(true) if reader.at() == end => text,
        _ => unknown(raw),
    }
}

/// `\#`, the length, hex (RFC 3597 §5).
fn unknown(raw: &[u8]) -> String {
    let mut text = format!("\\# {}", raw.len());
    if !raw.is_empty() {
        text.push(' ');
        hex(raw, &mut text);
    }
    text
}

fn hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

fn base64(bytes: &[u8], text: &mut String) {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode_string(bytes, text);
}

/// What is left before `end`.
fn rest<'a>(reader: &mut Reader<'a>, end: usize) -> Result<&'a [u8], Malformed> {
    Ok(reader.take(end.checked_sub(reader.at()).ok_or(Malformed("data goes beyond its length"))?)?)
}

/// Whether the type is known; the reader stands behind the data then.
fn write(kind: u16, reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<bool, Malformed> {
    match kind {
        // A (RFC 1035 §3.4.1), AAAA (RFC 3596 §2.2).
        1 => push(text, Ipv4Addr::from(reader.array::<4>()?)),
        28 => push(text, Ipv6Addr::from(reader.array::<16>()?)),
        // Names alone: NS, MD, MF, CNAME, MB, MG, MR, PTR, NSAP-PTR, DNAME.
        2..=5 | 7..=9 | 12 | 23 | 39 => name(reader, text)?,
        6 => soa(reader, text)?,
        // A number before a name: MX, AFSDB, RT, KX, LP.
        15 | 18 | 21 | 36 | 107 => {
            push(text, reader.u16_be()?);
            text.push(' ');
            name(reader, text)?;
        }
        // Two names: MINFO, RP.
        14 | 17 => {
            name(reader, text)?;
            text.push(' ');
            name(reader, text)?;
        }
        // Character strings: HINFO, TXT, X25, ISDN, SPF, NINFO.
        13 | 16 | 19 | 20 | 56 | 99 => strings(reader, end, text)?,
        33 => {
            for _ in 0..3 {
                push(text, reader.u16_be()?);
                text.push(' ');
            }
            name(reader, text)?;
        }
        35 => naptr(reader, text)?,
        37 => {
            let _ = write!(text, "{} {} {} ", reader.u16_be()?, reader.u16_be()?, reader.u8()?);
            base64(rest(reader, end)?, text);
        }
        41 => opt(reader, end, text)?,
        // DS, CDS, DLV, TA (RFC 4034 §5.3).
        43 | 59 | 32768 | 32769 => {
            let _ = write!(text, "{} {} {} ", reader.u16_be()?, reader.u8()?, reader.u8()?);
            hex(rest(reader, end)?, text);
        }
        44 => {
            let _ = write!(text, "{} {} ", reader.u8()?, reader.u8()?);
            hex(rest(reader, end)?, text);
        }
        46 | 24 => rrsig(reader, end, text)?,
        47 => {
            name(reader, text)?;
            types(rest(reader, end)?, text)?;
        }
        // KEY, DNSKEY, CDNSKEY (RFC 4034 §2.2).
        25 | 48 | 60 => {
            let _ = write!(text, "{} {} {} ", reader.u16_be()?, reader.u8()?, reader.u8()?);
            base64(rest(reader, end)?, text);
        }
        50 => nsec3(reader, end, text)?,
        51 => {
            let _ = write!(text, "{} {} {} ", reader.u8()?, reader.u8()?, reader.u16_be()?);
            salt(reader, text)?;
        }
        // TLSA, SMIMEA (RFC 6698 §2.2).
        52 | 53 => {
            let _ = write!(text, "{} {} {} ", reader.u8()?, reader.u8()?, reader.u8()?);
            hex(rest(reader, end)?, text);
        }
        61 => base64(rest(reader, end)?, text),
        62 => {
            let _ = write!(text, "{} {}", reader.u32_be()?, reader.u16_be()?);
            types(rest(reader, end)?, text)?;
        }
        63 => {
            let _ = write!(text, "{} {} {} ", reader.u32_be()?, reader.u8()?, reader.u8()?);
            hex(rest(reader, end)?, text);
        }
        64 | 65 => service(reader, end, text)?,
        108 | 109 => {
            let bytes = rest(reader, end)?;
            let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&pairs.join("-"));
        }
        250 => tsig(reader, text)?,
        256 => {
            let _ = write!(text, "{} {} ", reader.u16_be()?, reader.u16_be()?);
            quoted(rest(reader, end)?, text);
        }
        257 => {
            let _ = write!(text, "{} ", reader.u8()?);
            let length = reader.u8()?;
            text.push_str(&String::from_utf8_lossy(reader.take(length.into())?));
            text.push(' ');
            quoted(rest(reader, end)?, text);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn push(text: &mut String, value: impl std::fmt::Display) {
    let _ = write!(text, "{value}");
}

fn soa(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Malformed> {
    name(reader, text)?;
    text.push(' ');
    name(reader, text)?;
    for _ in 0..5 {
        let _ = write!(text, " {}", reader.u32_be()?);
    }
    Ok(())
}

fn strings(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<(), Malformed> {
    let begin = text.len();
    while reader.at() < end {
        if text.len() > begin {
            text.push(' ');
        }
        let length = reader.u8()?;
        quoted(reader.take(length.into())?, text);
    }
    Ok(())
}

/// RFC 3403 §4.1.
fn naptr(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Malformed> {
    let _ = write!(text, "{} {} ", reader.u16_be()?, reader.u16_be()?);
    for _ in 0..3 {
        let length = reader.u8()?;
        quoted(reader.take(length.into())?, text);
        text.push(' ');
    }
    name(reader, text)
}

/// RFC 4034 §3.2; times as YYYYMMDDHHMMSS.
fn rrsig(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<(), Malformed> {
    let _ = write!(
        text,
        "{} {} {} {}",
        registry::record_type(reader.u16_be()?),
        reader.u8()?,
        reader.u8()?,
        reader.u32_be()?
    );
    for _ in 0..2 {
        let time = jiff::Timestamp::from_second(reader.u32_be()?.into()).unwrap_or_default();
        let _ = write!(text, " {}", time.strftime("%Y%m%d%H%M%S"));
    }
    let _ = write!(text, " {} ", reader.u16_be()?);
    name(reader, text)?;
    text.push(' ');
    base64(rest(reader, end)?, text);
    Ok(())
}

/// A bitmap of types in windows (RFC 4034 §4.1.2).
fn types(bitmap: &[u8], text: &mut String) -> Result<(), Malformed> {
    let mut reader = Reader::new(bitmap);
    while !reader.is_empty() {
        let (window, length) = (reader.u8()?, reader.u8()?);
        for (at, byte) in reader.take(length.min(32).into())?.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & 0x80 >> bit != 0) {
                let _ = write!(text, " {}", registry::record_type(u16::from(window) << 8 | (at * 8 + bit) as u16));
            }
        }
    }
    Ok(())
}

fn salt(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Malformed> {
    let length = reader.u8()?;
    match reader.take(length.into())? {
        [] => text.push('-'),
        salt => hex(salt, text),
    }
    Ok(())
}

/// RFC 5155 §3.3; the next name in base 32 with the extended alphabet (RFC 4648 §7).
fn nsec3(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<(), Malformed> {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let _ = write!(text, "{} {} {} ", reader.u8()?, reader.u8()?, reader.u16_be()?);
    salt(reader, text)?;
    text.push(' ');
    let length = reader.u8()?;
    let (mut bits, mut count) = (0u16, 0);
    for &byte in reader.take(length.into())? {
        bits = bits << 8 | u16::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(DIGITS[usize::from(bits >> count) & 31].into());
        }
    }
    if count > 0 {
        text.push(DIGITS[usize::from(bits << (5 - count)) & 31].into());
    }
    types(rest(reader, end)?, text)
}

/// SVCB and HTTPS (RFC 9460 §2.1, §7).
fn service(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<(), Malformed> {
    let _ = write!(text, "{} ", reader.u16_be()?);
    name(reader, text)?;
    while reader.at() < end {
        let (key, length) = (reader.u16_be()?, reader.u16_be()?);
        let mut value = reader.sub(length.into())?;
        const KEYS: [&str; 8] =
            ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath"];
        match KEYS.get(usize::from(key)) {
            Some(key) => push(text, format_args!(" {key}")),
            None => push(text, format_args!(" key{key}")),
        }
        if value.is_empty() {
            continue;
        }
        text.push('=');
        let mut values: Vec<String> = Vec::new();
        while !value.is_empty() {
            values.push(match key {
                0 => match value.u16_be()? {
                    code @ 0..=7 => KEYS[usize::from(code)].to_owned(),
                    code => format!("key{code}"),
                },
                1 => {
                    let length = value.u8()?;
                    listed(value.take(length.into())?)
                }
                3 => value.u16_be()?.to_string(),
                4 => Ipv4Addr::from(value.array::<4>()?).to_string(),
                6 => Ipv6Addr::from(value.array::<16>()?).to_string(),
                5 => {
                    let mut encoded = String::new();
                    base64(value.take(value.left())?, &mut encoded);
                    encoded
                }
                _ => {
                    let mut escaped = String::new();
                    unquoted(value.take(value.left())?, &mut escaped);
                    escaped
                }
            });
        }
        text.push_str(&values.join(","));
    }
    Ok(())
}

/// A value of a list: escaped as one, and once more as a part of a character string (RFC 9460, appendix A.1).
fn listed(value: &[u8]) -> String {
    let (mut escaped, mut text) = (Vec::new(), String::new());
    for &byte in value {
        if matches!(byte, b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    unquoted(&escaped, &mut text);
    text
}

/// RFC 8945 §4.2, without the signature.
fn tsig(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Malformed> {
    name(reader, text)?;
    let signed = u64::from(reader.u16_be()?) << 32 | u64::from(reader.u32_be()?);
    let (fudge, length) = (reader.u16_be()?, reader.u16_be()?);
    reader.skip(length.into())?;
    let (id, error, other) = (reader.u16_be()?, reader.u16_be()?, reader.u16_be()?);
    reader.skip(other.into())?;
    let _ = write!(text, " {signed} {fudge} {id} {}", registry::rcode(error));
    Ok(())
}

/// EDNS options by name (IANA: DNS EDNS0 Option Codes).
fn opt(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Result<(), Malformed> {
    while reader.at() < end {
        let (code, length) = (reader.u16_be()?, reader.u16_be()?);
        let mut value = reader.sub(length.into())?;
        if !text.is_empty() {
            text.push(' ');
        }
        match code {
            3 => text.push_str("NSID="),
            8 => {
                text.push_str("ECS=");
                let (family, source, scope) = (value.u16_be()?, value.u8()?, value.u8()?);
                let mut address = [0; 16];
                let given = value.rest();
                address.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
                match family {
                    1 => push(text, Ipv4Addr::new(address[0], address[1], address[2], address[3])),
                    _ => push(text, Ipv6Addr::from(address)),
                }
                let _ = write!(text, "/{source}/{scope}");
                continue;
            }
            10 => text.push_str("COOKIE="),
            11 => text.push_str("KEEPALIVE="),
            12 => {
                let _ = write!(text, "PADDING={length}");
                continue;
            }
            15 => {
                let _ = write!(text, "EDE={} ", value.u16_be()?);
                quoted(value.rest(), text);
                continue;
            }
            _ => push(text, format_args!("OPT{code}=")),
        }
        hex(value.rest(), text);
    }
    Ok(())
}
