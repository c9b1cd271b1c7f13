//! What a proxy puts in front of a connection it hands on: who asked it (PROXY protocol, versions 1 and 2).

use formats::bytes::Reader;

/// The longest line of version 1, its end included (§2.1).
const LINE_BYTES_MAX: usize = 107;

/// Begins a header of version 2 (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 2 that is taken for one: addresses take 216 bytes, what else proxies tell some hundred.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// Bytes that tell such a header from what other protocols may begin with.
const FRONT_BYTES: usize = 6;

/// What stands at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// Something else.
    Other,
    /// The begin of a header.
    Part,
    /// A header of so many bytes.
    Whole(usize),
}

/// Looks for a header at the front of the bytes one side sent.
pub fn front(bytes: &[u8]) -> Front {
    let begins = |known: &[u8]| bytes.iter().zip(known).all(|(byte, known)| byte == known);
    if bytes.len() < FRONT_BYTES {
        return Front::Other;
    }
    if begins(b"PROXY ") {
        return line(bytes);
    }
    if !begins(SIGNATURE) {
        return Front::Other;
    }
    let mut reader = Reader::new(bytes);
    let length = reader.skip(SIGNATURE.len() + 2).and_then(|()| reader.u16_be());
    match length.map(|length| reader.at() + usize::from(length)) {
        Ok(whole) if whole > HEADER_BYTES_MAX => Front::Other,
        Ok(whole) if whole <= bytes.len() => Front::Whole(whole),
        _ => Front::Part,
    }
}

fn line(bytes: &[u8]) -> Front {
    let known = [&b"PROXY TCP4 "[..], b"PROXY TCP6 ", b"PROXY UNKNOWN"];
    if !known.iter().any(|known| bytes.iter().zip(*known).all(|(byte, known)| byte == known)) {
        return Front::Other;
    }
    let line = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    match memchr::memchr(b'\n', line) {
        Some(end) => Front::Whole(end + 1),
        None if line.len() < LINE_BYTES_MAX => Front::Part,
        None => Front::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_both_versions() {
        let second = [SIGNATURE, b"\x21\x11\0\x0c", &[9; 12]].concat();
        for header in [&b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n"[..], b"PROXY UNKNOWN\r\n", &second] {
            let followed = [header, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(front(&followed), Front::Whole(header.len()));
            for end in 0..header.len() {
                let want = if end < FRONT_BYTES { Front::Other } else { Front::Part };
                assert_eq!(front(&header[..end]), want, "{end}");
            }
        }
        let endless = [b"PROXY TCP4 ", [b'1'; 120].as_slice()].concat();
        let huge = [SIGNATURE, b"\x21\x11\xff\xff"].concat();
        for other in [&b"PROXY / HTTP/1.1\r\n"[..], b"\r\n\r\nGET / HTTP/1.1\r\n", &endless, &huge] {
            assert_eq!(front(other), Front::Other, "{other:?}");
        }
    }
}
