//! Content and transfer codings, undone (RFC 9110 §8.4, RFC 9112 §7).

use crate::limits::unfolded_bytes_max;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// Codings of one body. Two are rare, more are an attack: past this the body stays as sent.
const CODINGS_MAX: usize = 4;

/// Most bytes an inner coding hands to the one around it, in body limits: enough for what a body of
/// that many bytes may be coded as, and an end to bombs whose layers each grow a thousandfold.
const BETWEEN_LIMITS: u64 = 4;

/// Bytes that are always handed on between codings, however small the body limit.
const BETWEEN_BYTES_MIN: u64 = 64 << 10;

/// Bytes there is room for at first, for each coded one: as text mostly unfolds.
const ROOM_PER_BYTE: usize = 4;

/// A zstd window past 8 MiB is not allowed in HTTP (RFC 9659 §3): a decoder would hold as much for it.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// One coding, by its registered name (RFC 9110 §16.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// RFC 7932.
    Brotli,
    /// Zlib (RFC 1950), or deflate without it (RFC 1951), as some servers send.
    Deflate,
    /// RFC 1952.
    Gzip,
    /// Any other.
    Unknown,
    /// RFC 8878.
    Zstd,
}

/// The codings of a body, in the order they were applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Codings {
    applied: [Option<Coding>; CODINGS_MAX],
}

impl Codings {
    /// Adds the coding of that name; `identity` is none.
    pub fn push(&mut self, name: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let coding = match name {
            _ if is("gzip") || is("x-gzip") => Coding::Gzip,
            _ if is("br") => Coding::Brotli,
            _ if is("deflate") => Coding::Deflate,
            _ if is("zstd") => Coding::Zstd,
            _ if is("identity") || name.is_empty() => return,
            _ => Coding::Unknown,
        };
        self.add(coding);
    }

    fn add(&mut self, coding: Coding) {
        match self.applied.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(coding),
            // One too many makes all of them unknown: undoing a part would show a body nobody sent.
            None => self.applied = [Some(Coding::Unknown), None, None, None],
        }
    }

    /// Adds all of a field's value: a list (RFC 9110 §5.6.1).
    pub fn push_list(&mut self, value: &[u8]) {
        value.split(|&byte| byte == b',').for_each(|name| self.push(name.trim_ascii()));
    }

    /// These, then others applied after them.
    pub fn then(mut self, later: Codings) -> Codings {
        later.applied.into_iter().flatten().for_each(|coding| self.add(coding));
        self
    }

    /// Whether one of them is not known.
    pub fn is_unknown(&self) -> bool {
        self.applied.contains(&Some(Coding::Unknown))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.applied.first().is_none_or(Option::is_none)
    }
}

impl fmt::Display for Codings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, coding) in self.applied.iter().flatten().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(match coding {
                Coding::Brotli => "br",
                Coding::Deflate => "deflate",
                Coding::Gzip => "gzip",
                Coding::Unknown => "unknown coding",
                Coding::Zstd => "zstd",
            })?;
        }
        Ok(())
    }
}

/// What came of undoing the codings of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What was decoded, up to the limit.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub more: bool,
    /// Whether a coding failed, or is not known.
    pub failed: bool,
}

/// Undoes `codings`.
///
/// # Bounds
/// At most `bytes_max` bytes come out, and no more than [`unfolded_bytes_max`] says; a small multiple of that passes between
/// two codings. While it runs, up to 16 MiB for the window of a coding (brotli's largest).
pub fn decode(raw: &[u8], codings: Codings, bytes_max: usize) -> Decoded {
    let bytes_max = bytes_max.min(unfolded_bytes_max(raw.len()));
    let between = BETWEEN_BYTES_MIN.max(BETWEEN_LIMITS.saturating_mul(bytes_max as u64));
    let mut decoded = Decoded { bytes: Vec::new(), more: false, failed: false };
    if codings.is_unknown() {
        return Decoded { failed: true, ..decoded };
    }
    if bytes_max == 0 {
        return Decoded { more: true, ..decoded };
    }
    let mut reader: Box<dyn Read + '_> = Box::new(raw);
    for (inside, coding) in codings.applied.into_iter().flatten().rev().enumerate() {
        let inner: Box<dyn BufRead + '_> =
            if inside > 0 { Box::new(BufReader::new(reader.take(between))) } else { Box::new(raw) };
        match undo(coding, inner) {
            Some(outer) => reader = outer,
            None => return Decoded { failed: true, ..decoded },
        }
    }
    // Growing copies what is there.
    decoded.bytes.reserve(raw.len().saturating_mul(ROOM_PER_BYTE).min(bytes_max) + 1);
    let read = reader.take(bytes_max as u64 + 1).read_to_end(&mut decoded.bytes);
    decoded.more = decoded.bytes.len() > bytes_max;
    decoded.bytes.truncate(bytes_max);
    decoded.failed = read.is_err() && !decoded.more;
    decoded
}

fn undo<'a>(coding: Coding, mut inner: Box<dyn BufRead + 'a>) -> Option<Box<dyn Read + 'a>> {
    Some(match coding {
        Coding::Brotli => Box::new(brotli::Decompressor::new(inner, 4096)),
        Coding::Deflate => {
            let mut front = [0; 2];
            let mut have = 0;
            while let Ok(count @ 1..) = inner.read(front.get_mut(have..)?) {
                have += count;
            }
            let again = std::io::Cursor::new(front).take(have as u64).chain(inner);
            // A zlib header names deflate and is a multiple of 31 (RFC 1950 §2.2).
            let [first, second] = front;
            let zlib = first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
            if zlib { Box::new(ZlibDecoder::new(again)) } else { Box::new(DeflateDecoder::new(again)) }
        }
        Coding::Gzip => Box::new(MultiGzDecoder::new(inner)),
        Coding::Unknown => return None,
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(inner).ok()?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).ok()?;
            Box::new(decoder)
        }
    })
}
