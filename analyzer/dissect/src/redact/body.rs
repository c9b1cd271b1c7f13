//! Bodies: what they are, and what becomes of them.

use super::json::Outcome;
use super::{Redaction, Trace, document};
use std::borrow::Cow;

/// A body, and what is said of it.
pub struct Body<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Its content type; empty where nobody says.
    pub content_type: &'a [u8],
    /// Whether it is all that was sent, with its codings undone.
    pub whole: bool,
    /// Whether it is in a coding that was not undone.
    pub packed: bool,
}

/// What a body is, as far as rules look into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Name and value pairs.
    Form,
    /// A GraphQL document.
    Graphql,
    /// gRPC messages: their rows have them as JSON.
    Grpc,
    Json,
    /// A JSON value on each line, or events with such.
    Lines,
    /// Parts of any kind.
    Multipart,
    /// Nothing that rules know.
    Other,
    /// In a coding that was not undone.
    Packed,
}

impl Body<'_> {
    fn kind(&self) -> Kind {
        let named = self.content_type.split(|&byte| byte == b';').next().unwrap_or_default().to_ascii_lowercase();
        let named = String::from_utf8_lossy(named.trim_ascii());
        let text = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.bytes);
        let has = |parts: &[&str]| parts.iter().any(|part| named.contains(part));
        match text.trim_ascii_start() {
            _ if self.packed => Kind::Packed,
            _ if named.starts_with("application/grpc") => Kind::Grpc,
            _ if named.starts_with("multipart/") => Kind::Multipart,
            _ if has(&["ndjson", "jsonl", "json-lines", "json-seq", "stream+json", "event-stream"]) => Kind::Lines,
            _ if has(&["json"]) => Kind::Json,
            _ if has(&["x-www-form-urlencoded"]) => Kind::Form,
            _ if has(&["application/graphql"]) => Kind::Graphql,
            // Whatever its sender calls it.
            [b'{' | b'[', ..] => Kind::Json,
            // gzip, zstd, and lz4.
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x04, 0x22, 0x4d, 0x18, ..] => Kind::Packed,
            _ => Kind::Other,
        }
    }
}

impl Redaction {
    /// Redacts a body. [`Outcome::Unsure`] stands for one that rules would have to look into and cannot.
    pub(super) fn body(&self, body: &Body<'_>, place: &'static str, trace: &mut Trace) -> Outcome {
        if body.bytes.is_empty() {
            return Outcome::Same;
        }
        let (by_path, by_name) = (!self.json.is_empty(), !self.parameters.is_empty());
        let changed = |text: Option<Vec<u8>>| text.map_or(Outcome::Same, Outcome::Changed);
        match body.kind() {
            Kind::Other => Outcome::Same,
            Kind::Form if !by_path && !by_name && self.userinfo.is_none() => Outcome::Same,
            Kind::Form if body.whole => changed(self.parameters(body.bytes, place, trace)),
            // Of gRPC-Web, trailers with their fields are a part of the body.
            Kind::Grpc if by_path || !self.headers.is_empty() => Outcome::Unsure,
            Kind::Multipart | Kind::Packed if by_path || by_name => Outcome::Unsure,
            Kind::Grpc | Kind::Multipart | Kind::Packed => Outcome::Same,
            _ if !by_path && !matches!(body.kind(), Kind::Form) => Outcome::Same,
            _ if !body.whole => Outcome::Unsure,
            Kind::Graphql => match std::str::from_utf8(body.bytes) {
                Ok(text) => changed(document::redact(text, self, place, trace).map(String::into_bytes)),
                Err(_) => Outcome::Unsure,
            },
            Kind::Lines => self.lines(body.bytes, place, trace),
            _ => self.json_text(body.bytes, None, place, trace),
        }
    }

    /// JSON values one behind the other, each on its line, or behind the `data:` of an event.
    fn lines(&self, text: &[u8], place: &'static str, trace: &mut Trace) -> Outcome {
        let mut out = Vec::with_capacity(text.len());
        let mut outcome = Outcome::Same;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let (line, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |line| (line, b"\n"));
            let begin = line.iter().position(|byte| matches!(byte, b'{' | b'[')).filter(|&at| {
                let front = line.get(..at).unwrap_or_default().trim_ascii();
                matches!(front, b"" | b"data:" | b"\x1e")
            });
            let (front, value) = line.split_at(begin.unwrap_or(line.len()));
            let value = match begin {
                Some(_) => match self.json_text(value, None, place, trace) {
                    Outcome::Unsure => return Outcome::Unsure,
                    Outcome::Same => Cow::Borrowed(value),
                    Outcome::Changed(value) => value.into(),
                },
                // The rest of a value that began on another line.
                None if line.trim_ascii().ends_with(b"}") => return Outcome::Unsure,
                None => Cow::Borrowed(value),
            };
            out.extend_from_slice(front);
            out.extend_from_slice(&value);
            out.extend_from_slice(end);
        }
        if out != text {
            outcome = Outcome::Changed(out);
        }
        outcome
    }

    /// The first rule that looks into bodies of any kind: it answers for those that cannot be looked into.
    pub(super) fn first_of_bodies(&self) -> usize {
        let named = [self.json.first().map(|(rule, _)| *rule), self.parameters.first().map(|(rule, _)| *rule)];
        let others = [self.headers.first().map(|(rule, _)| *rule), self.userinfo];
        named.into_iter().chain(others).flatten().next().unwrap_or_default()
    }
}
