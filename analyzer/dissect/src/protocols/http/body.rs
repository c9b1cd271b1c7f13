//! One body: what is kept of it while it passes, and what a row gets in the end.
//!
//! Bytes are kept as sent, up to the limit, and decoded when the body has ended: a decoder's window (up to
//! 16 MiB) is held for the moment of decoding instead of for as long as a slow body takes, and what cannot be
//! decoded is still there to be handed on as it was sent.

use super::coding::{Codings, decode};
use super::fields::Fields;
use crate::limits::GRAPHQL_BYTES_MAX;
use crate::protocols::{graphql, grpc};
use std::fmt::Write as _;

/// Coded bytes that are kept however small the body limit: too few would decode to nothing.
const CODED_BYTES_MIN: usize = 4 << 10;

/// A body as it passes.
#[derive(Debug, Default)]
pub struct Body {
    bytes_max: usize,
    codings: Codings,
    kept: Vec<u8>,
    /// Bytes so far, the lost ones too.
    bytes: u64,
    /// Lost bytes, and where the first of them was.
    lost: Option<(u64, u64)>,
    /// Whether more may be missing, nobody knows how much.
    doubtful: bool,
    /// Whether it may be of GraphQL: then it is kept up to a bound of its own, too.
    graphql: bool,
    /// Counts the messages of gRPC.
    grpc: Option<Box<grpc::Counter>>,
    /// Whether nothing more is kept.
    full: bool,
}

/// A body as sent, that is longer than rows want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    raw: Vec<u8>,
    codings: Codings,
}

impl Beyond {
    /// The body with its codings undone, up to the bound of GraphQL.
    pub fn decoded(&self) -> Vec<u8> {
        decode(&self.raw, self.codings, GRAPHQL_BYTES_MAX).bytes
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.raw.len()
    }
}

/// A body that ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The body with its codings undone, or as sent where `note` says that one failed; up to the limit.
    pub body: Vec<u8>,
    /// Length as sent.
    pub bytes: u64,
    /// Whether bytes of it were lost, or may have been.
    pub damaged: bool,
    /// Whether nobody knows how many.
    pub doubtful: bool,
    /// Why `body` is not the whole or not decoded.
    pub note: Option<String>,
    /// What is kept of it beyond the limit.
    pub beyond: Option<Beyond>,
    /// Its messages, where it is of gRPC.
    pub grpc: Option<Box<grpc::Counted>>,
}

impl Body {
    /// A body of which rows want at most `bytes_max` bytes, and of which nothing is known.
    pub fn new(bytes_max: usize, codings: Codings) -> Self {
        Self { bytes_max, codings, ..Self::default() }
    }

    /// The same, of the message with these header fields: they say what it may carry.
    pub fn of(headers: &Fields, bytes_max: usize, codings: Codings) -> Self {
        let kind = headers.get("content-type").unwrap_or_default();
        let counter = grpc::content_type(kind).map(|(framing, _)| Box::new(grpc::Counter::new(framing)));
        Self { graphql: graphql::may_carry(kind), grpc: counter, ..Self::new(bytes_max, codings) }
    }

    /// Takes the next bytes. Without a body wanted this only counts.
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        // Past a loss a coding makes no sense of what follows.
        if !self.full && (self.lost.is_none() || self.codings.is_empty()) {
            let room = self.kept_bytes_max().max(self.beyond_bytes_max()).saturating_sub(self.kept.len());
            self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        if let Some(grpc) = &mut self.grpc
            && self.codings.is_empty()
        {
            grpc.write(bytes);
        }
    }

    /// Takes note of bytes that were lost.
    pub fn lose(&mut self, bytes: u64) {
        let (lost, _) = self.lost.get_or_insert((0, self.bytes));
        *lost += bytes;
        self.bytes += bytes;
        if let Some(grpc) = &mut self.grpc {
            grpc.lose(bytes);
        }
    }

    /// Takes note that bytes may be missing here, nobody knows how many.
    pub fn doubt(&mut self) {
        self.doubtful = true;
        if let Some(grpc) = &mut self.grpc {
            grpc.doubt();
        }
    }

    /// Keeps nothing of what follows: the connection holds as much as it may.
    pub fn keep_no_more(&mut self) {
        self.full = true;
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.kept.len() + self.grpc.as_ref().map_or(0, |grpc| grpc.held_bytes())
    }

    /// Hands over what a row gets; `whole` says whether the message came to its end.
    pub fn end(mut self, whole: bool) -> Ended {
        let (bytes, doubtful) = (self.bytes, self.doubtful);
        let damaged = self.lost.is_some() || doubtful;
        let beyond = self.take_beyond();
        let (codings, mut grpc) = (self.codings, self.grpc.take());
        let (body, note, cut) = if self.bytes_max == 0 { (Vec::new(), None, true) } else { self.decoded(whole) };
        if let Some(counter) = &mut grpc
            && !codings.is_empty()
        {
            // What stands inside a coding is known once it is undone, all of it.
            if note.is_some() || cut || damaged { counter.stop(grpc::Odd::Coded) } else { counter.write(&body) }
        }
        let grpc = grpc.map(|counter| Box::new(counter.end(whole)));
        Ended { body, bytes, damaged, doubtful, note, beyond, grpc }
    }

    /// What a row gets, why that is not the whole or not decoded, and whether it was cut.
    fn decoded(self, whole: bool) -> (Vec<u8>, Option<String>, bool) {
        let bytes = self.bytes;
        let mut note = String::new();
        if let Some((lost, at)) = self.lost {
            let _ = write!(note, "{lost} bytes lost at byte {at}; ");
        }
        let lost = self.lost.map_or(0, |(lost, _)| lost);
        let mut cut = self.kept.len() as u64 + lost < bytes;
        let mut body = self.kept;
        if !self.codings.is_empty() && !body.is_empty() {
            let decoded = decode(&body, self.codings, self.bytes_max);
            // Half of a coded body decodes to an error at its end.
            let half = (cut || lost > 0 || !whole) && !decoded.bytes.is_empty();
            if decoded.failed && !half {
                let _ = write!(note, "{} not undone, kept as sent; ", self.codings);
                cut |= body.len() > self.bytes_max;
                body.truncate(self.bytes_max);
            } else {
                cut |= decoded.more || decoded.failed;
                body = decoded.bytes;
            }
        }
        if cut {
            let _ = write!(note, "cut at byte {}; ", body.len());
        }
        note.truncate(note.trim_end_matches("; ").len());
        (body, (!note.is_empty()).then_some(note), cut)
    }

    /// Splits off what is kept for GraphQL alone.
    fn take_beyond(&mut self) -> Option<Beyond> {
        let row_bytes = self.kept_bytes_max();
        if self.beyond_bytes_max() <= row_bytes {
            return None;
        }
        let row = self.kept.get(..row_bytes).unwrap_or(&self.kept).to_vec();
        let raw = std::mem::replace(&mut self.kept, row);
        (self.lost.is_none() && raw.len() > self.bytes_max).then_some(Beyond { raw, codings: self.codings })
    }

    /// Bytes kept for a row.
    fn kept_bytes_max(&self) -> usize {
        match self.bytes_max {
            0 => 0,
            most if self.codings.is_empty() => most,
            most => most.max(CODED_BYTES_MIN),
        }
    }

    /// Bytes kept for what a row does not show but another derives from.
    fn beyond_bytes_max(&self) -> usize {
        if self.graphql { GRAPHQL_BYTES_MAX } else { 0 }
    }
}

/// Whether bytes are text, but for characters that are cut at either end: no coding makes such.
pub fn is_text(bytes: &[u8]) -> bool {
    let begin = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let text = bytes.get(begin..).unwrap_or_default();
    let text = std::str::from_utf8(text).or_else(|error| match error.error_len() {
        None => std::str::from_utf8(text.get(..error.valid_up_to()).unwrap_or_default()),
        Some(_) => Err(error),
    });
    let odd = |character: char| character.is_control() && !character.is_ascii_whitespace();
    text.is_ok_and(|text| !text.contains(odd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write};
    use std::io::Write as _;

    const TEXT: &[u8] = b"Remora remora remora, a fish that travels with others.";

    fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" | "x-gzip" => {
                let mut coder = write::GzEncoder::new(Vec::new(), level);
                coder.write_all(text).unwrap();
                coder.finish().unwrap()
            }
            "zlib" => {
                let mut coder = write::ZlibEncoder::new(Vec::new(), level);
                coder.write_all(text).unwrap();
                coder.finish().unwrap()
            }
            "raw" => {
                let mut coder = write::DeflateEncoder::new(Vec::new(), level);
                coder.write_all(text).unwrap();
                coder.finish().unwrap()
            }
            "br" => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(text).unwrap();
                out
            }
            "zstd" => zstd::encode_all(text, 1).unwrap(),
            _ => text.to_vec(),
        }
    }

    /// What a row gets of `pieces`; an empty piece stands for seven lost bytes.
    fn pass(codings: &str, bytes_max: usize, pieces: &[&[u8]], whole: bool) -> (String, u64, String) {
        let mut known = Codings::default();
        known.push_list(codings.as_bytes());
        let mut body = Body::new(bytes_max, known);
        for piece in pieces {
            if piece.is_empty() { body.lose(7) } else { body.write(piece) }
        }
        let ended = body.end(whole);
        (String::from_utf8_lossy(&ended.body).into_owned(), ended.bytes, ended.note.unwrap_or_default())
    }

    #[test]
    fn every_coding_is_undone() {
        let whole = String::from_utf8_lossy(TEXT);
        for (named, chain) in [
            ("", vec![]),
            ("identity", vec![]),
            ("gzip", vec!["gzip"]),
            ("X-GZip", vec!["gzip"]),
            ("deflate", vec!["zlib"]),
            ("deflate", vec!["raw"]),
            ("br", vec!["br"]),
            ("zstd", vec!["zstd"]),
            ("deflate, gzip", vec!["raw", "gzip"]),
            ("gzip,br ,zstd", vec!["gzip", "br", "zstd"]),
        ] {
            let sent = chain.iter().fold(TEXT.to_vec(), |text, coding| coded(coding, &text));
            let (body, bytes, note) = pass(named, 1000, &[&sent], true);
            assert_eq!((body.as_str(), bytes, note.as_str()), (&*whole, sent.len() as u64, ""), "{named}");
            let (body, bytes, note) = pass(named, 6, &[&sent], true);
            assert_eq!(
                (body.as_str(), bytes, note.as_str()),
                ("Remora", sent.len() as u64, "cut at byte 6"),
                "{named}"
            );
            assert_eq!(pass(named, 0, &[&sent], true), (String::new(), sent.len() as u64, String::new()), "{named}");
        }
    }

    #[test]
    fn what_fails_is_kept_as_sent() {
        for (named, sent, want) in [
            ("rc4", "abc", ("abc", "unknown coding not undone, kept as sent")),
            ("gzip,rc4", "abc", ("abc", "gzip, unknown coding not undone, kept as sent")),
            ("gzip", "abc", ("abc", "gzip not undone, kept as sent")),
            ("br", "abc", ("abc", "br not undone, kept as sent")),
            ("zstd", "abc", ("abc", "zstd not undone, kept as sent")),
            ("deflate", "abc", ("abc", "deflate not undone, kept as sent")),
            ("gzip,gzip,gzip,gzip,gzip", "abc", ("abc", "unknown coding not undone, kept as sent")),
            ("gzip", "", ("", "")),
            ("gzip", "0123456789abcdef", ("0123456789ab", "gzip not undone, kept as sent; cut at byte 12")),
        ] {
            let (body, _, note) = pass(named, 12, &[sent.as_bytes(), &[]][..usize::from(!sent.is_empty())], true);
            assert_eq!((body.as_str(), note.as_str()), want, "{named}");
        }
    }

    #[test]
    fn a_loss_is_named_with_its_place() {
        let (body, bytes, note) = pass("", 100, &[b"abc", b"", b"def"], true);
        assert_eq!((body.as_str(), bytes, note.as_str()), ("abcdef", 13, "7 bytes lost at byte 3"));
        let long = coded("gzip", &TEXT.repeat(40));
        let (front, back) = long.split_at(60);
        let (body, bytes, note) = pass("gzip", 9000, &[front, b"", back], true);
        assert!(TEXT.repeat(40).starts_with(body.as_bytes()) && !body.is_empty());
        assert_eq!(bytes, long.len() as u64 + 7);
        assert_eq!(note, format!("7 bytes lost at byte 60; cut at byte {}", body.len()));
    }

    #[test]
    fn json_is_kept_beyond_the_limit() {
        let mut headers = Fields::default();
        headers.push(b"Content-Type", b"application/json");
        for (bytes_max, kept) in [(0, Some(&b"[1,2]"[..])), (2, Some(b"[1,2]")), (5, None), (GRAPHQL_BYTES_MAX, None)] {
            let mut body = Body::of(&headers, bytes_max, Codings::default());
            body.write(b"[1,2]");
            let ended = body.end(true);
            assert_eq!(ended.beyond.map(|beyond| beyond.decoded()).as_deref(), kept, "{bytes_max}");
            assert_eq!(ended.body, &b"[1,2]"[..bytes_max.min(5)]);
        }
        let mut body = Body::of(&headers, 0, Codings::default());
        body.write(b"[1,");
        body.lose(1);
        body.write(b"]");
        let ended = body.end(true);
        assert!(ended.damaged && ended.beyond.is_none());
    }

    #[test]
    fn half_of_a_coded_body_is_decoded_as_far_as_it_goes() {
        for coding in ["gzip", "br", "zstd"] {
            let text: Vec<u8> = (0..200_000_u32).flat_map(|n| (n ^ (n >> 3)).to_le_bytes()).collect();
            let sent = coded(coding, &text);
            let mut known = Codings::default();
            known.push(coding.as_bytes());
            let mut body = Body::new(1 << 20, known);
            body.write(&sent[..sent.len() / 2]);
            let ended = body.end(false);
            assert!(!ended.body.is_empty() && text.starts_with(&ended.body), "{coding}");
            assert_eq!(ended.note, Some(format!("cut at byte {}", ended.body.len())), "{coding}");
        }
    }

    #[test]
    fn text_is_told_from_what_may_be_coded() {
        let cut = &"…und Ströme“".as_bytes()[1..16];
        for text in [b"".as_slice(), b"{\"a\":\t1}\r\n", "für".as_bytes(), cut] {
            assert!(is_text(text), "{text:?}");
        }
        for coding in ["gzip", "zlib", "raw", "br", "zstd"] {
            assert!(!is_text(&coded(coding, TEXT)), "{coding}");
        }
        assert!(!is_text(b"a\xffb") && !is_text(b"a\0b"));
    }

    #[test]
    fn a_bomb_goes_off_within_the_limit() {
        let mut bomb = vec![0; 4 << 20];
        for _ in 0..3 {
            bomb = coded("gzip", &bomb);
        }
        let (body, bytes, note) = pass("gzip,gzip,gzip", 1000, &[&bomb], true);
        assert_eq!((body.len(), bytes), (1000, bomb.len() as u64));
        assert_eq!(note, "cut at byte 1000");
    }
}
