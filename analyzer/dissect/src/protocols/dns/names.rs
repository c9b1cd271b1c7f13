//! Domain names: from labels and pointers to presentation form (RFC 1035 §3.1, §4.1.4, §5.1).

use formats::bytes::Reader;
use std::fmt::Write as _;

/// Bytes of a name, labels and their lengths (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// Labels and pointers of a name: labels of one byte and their lengths fill its bytes, and each pointer leads to one.
const STEPS_MAX: usize = NAME_BYTES_MAX;

/// The message is broken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// More bytes could still make sense of it.
pub const SHORT: Malformed = Malformed("the message ends within it");

const FORWARD: Malformed = Malformed("a name points forward");
const NO_LABEL: Malformed = Malformed("a label of a type nobody uses");
const TOO_LONG: Malformed = Malformed("a name longer than names are");

impl From<formats::bytes::Short> for Malformed {
    fn from(_: formats::bytes::Short) -> Self {
        SHORT
    }
}

/// Appends the name at the reader to `text`, without the last dot; the root is ".".
///
/// Pointers lead back only, each further than the one before, so that a message cannot hold a loop.
pub fn name(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Malformed> {
    let begin = text.len();
    let mut at = *reader;
    let mut behind = None;
    let mut earliest = reader.at();
    // One is the root's.
    let mut left_bytes = NAME_BYTES_MAX - 1;
    for _ in 0..STEPS_MAX {
        match at.u8()? {
            0 => {
                *reader = behind.unwrap_or(at);
                if text.len() == begin {
                    text.push('.');
                }
                return Ok(());
            }
            length @ 1..=63 => {
                left_bytes = left_bytes.checked_sub(1 + usize::from(length)).ok_or(TOO_LONG)?;
                if text.len() > begin {
                    text.push('.');
                }
                label(at.take(length.into())?, text);
            }
            high @ 0xc0.. => {
                let target = usize::from(high & 0x3f) << 8 | usize::from(at.u8()?);
                if target >= earliest {
                    return Err(FORWARD);
                }
                behind.get_or_insert(at);
                earliest = target;
                at = Reader::new(at.whole());
                at.skip(target)?;
            }
            _ => return Err(NO_LABEL),
        }
    }
    Err(TOO_LONG)
}

/// Steps over the name at the reader, and follows no pointer.
pub fn skip(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let begin = reader.at();
    while reader.at() - begin < NAME_BYTES_MAX {
        match reader.u8()? {
            0 => return Ok(()),
            length @ 1..=63 => reader.skip(length.into())?,
            high @ 0xc0.. => {
                let target = usize::from(high & 0x3f) << 8 | usize::from(reader.u8()?);
                return if target < begin { Ok(()) } else { Err(FORWARD) };
            }
            _ => return Err(NO_LABEL),
        }
    }
    Err(TOO_LONG)
}

/// A label, with what is special escaped; UTF-8 stays as it is (RFC 6762 §16).
fn label(bytes: &[u8], text: &mut String) {
    for piece in bytes.utf8_chunks() {
        for c in piece.valid().chars() {
            match c {
                '.' | '\\' | '"' | '(' | ')' | ';' | '@' | '$' => text.extend(['\\', c]),
                c if c == ' ' || c.is_control() => codes(c.encode_utf8(&mut [0; 4]).as_bytes(), text),
                c => text.push(c),
            }
        }
        codes(piece.invalid(), text);
    }
}

/// Bytes as decimal codes (RFC 1035 §5.1).
fn codes(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let _ = write!(text, "\\{byte:03}");
    }
}

/// A character string without quotes (RFC 9460, appendix A).
pub fn unquoted(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        match byte {
            b'"' | b'(' | b')' | b';' | b'\\' => text.extend(['\\', byte.into()]),
            b'!'..=b'~' => text.push(byte.into()),
            _ => codes(&[byte], text),
        }
    }
}

/// A character string in quotes (RFC 1035 §5.1).
pub fn quoted(bytes: &[u8], text: &mut String) {
    text.push('"');
    for piece in bytes.utf8_chunks() {
        for c in piece.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                c if c.is_control() => codes(c.encode_utf8(&mut [0; 4]).as_bytes(), text),
                c => text.push(c),
            }
        }
        codes(piece.invalid(), text);
    }
    text.push('"');
}
