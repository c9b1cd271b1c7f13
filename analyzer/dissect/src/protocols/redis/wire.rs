//! RESP: bytes to a value, a piece at a time.
//!
//! Nothing is read twice: what is there is taken in, whether the value is whole or not, so a reply of any size
//! costs time in its length and memory within bounds. A string beyond what may be kept is stepped over by its length; it
//! keeps its front and its true length. Values within each other are put together in `nesting.rs`.
//!
//! Source: Redis serialization protocol specification (RESP2, RESP3), and for streamed types the RESP3
//! specification by antirez, "Streamed strings" and "Streamed aggregated data types".

use super::nesting::Nesting;
use super::node::{Kind, Node, Str, TextKind};
use memchr::memchr;

/// The longest line that holds a length or a number: an i64 has 20 characters.
pub const HEADER_BYTES_MAX: usize = 32;

/// Longest string (proto-max-bulk-len is 512 MiB unless configured) that is believed.
const STRING_BYTES_MAX: u64 = 1 << 40;

/// What a side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Arrays of bulk strings.
    Commands,
    /// Any value.
    Values,
}

/// What became of the bytes.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// No RESP, and why.
    Malformed(&'static str),
    /// So many unread bytes are needed.
    Wanted(usize),
    /// A value ended.
    Whole(Node),
}

/// What is being read.
#[derive(Debug, Default)]
enum Open {
    /// CR and LF behind a string, of which so many bytes were seen.
    End { kind: TextKind, text: Str, seen: u8 },
    #[default]
    Header,
    /// A line of text up to its end, and whether a CR was its last byte so far.
    Line { kind: TextKind, text: Str, cr: bool },
    /// A string of which so many bytes are left.
    String { kind: TextKind, text: Str, left: u64 },
}

/// One side's value under construction.
#[derive(Debug)]
pub struct Parser {
    grammar: Grammar,
    open: Open,
    nesting: Nesting,
    /// A streamed string, of which chunks are still to come.
    streamed: Option<Str>,
    begun: bool,
    kept_bytes_max: usize,
    kept_bytes: usize,
    /// The version only which has what was read.
    pub evidence: Option<u8>,
}

impl Parser {
    /// Keeps at most so many bytes of the strings of a message.
    pub fn new(grammar: Grammar, kept_bytes_max: usize) -> Self {
        Self {
            grammar,
            open: Open::Header,
            nesting: Nesting::default(),
            streamed: None,
            begun: false,
            kept_bytes_max,
            kept_bytes: 0,
            evidence: None,
        }
    }

    /// Whether it is inside a value.
    pub fn is_inside(&self) -> bool {
        self.begun
    }

    /// Begins an inline command: a line of text.
    pub fn begin_line(&mut self) {
        self.begun = true;
        self.open = Open::Line { kind: TextKind::Simple, text: Str::default(), cr: false };
    }

    /// What it reads.
    pub fn grammar(&self) -> Grammar {
        self.grammar
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.kept_bytes + self.nesting.held_bytes()
    }

    /// Takes in bytes; says how many are done with.
    pub fn read(&mut self, input: &[u8]) -> (usize, Read) {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return (at, Read::Wanted(1));
            }
            let done = match std::mem::take(&mut self.open) {
                Open::Header => match self.header(rest) {
                    Ok((taken, done)) => {
                        self.begun = true;
                        at += taken;
                        done
                    }
                    Err(read) => return (at, read),
                },
                Open::Line { kind, text, cr } => {
                    let (taken, done) = self.line(kind, text, cr, rest);
                    at += taken;
                    match done {
                        Ok(done) => done,
                        Err(why) => return (at, Read::Malformed(why)),
                    }
                }
                Open::String { kind, mut text, left } => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    // Where a third of it was seen, there is room for the rest at once: growing copies what is there.
                    if left <= 2 * text.bytes.len() as u64 {
                        let room = self.kept_bytes_max.saturating_sub(self.kept_bytes) as u64;
                        text.bytes.reserve_exact(left.min(room) as usize);
                    }
                    self.keep(&mut text, rest.get(..taken).unwrap_or_default());
                    at += taken;
                    self.open = match left - taken as u64 {
                        0 => Open::End { kind, text, seen: 0 },
                        left => Open::String { kind, text, left },
                    };
                    None
                }
                Open::End { kind, text, seen } => {
                    let wanted = if seen == 0 { b'\r' } else { b'\n' };
                    if rest.first() != Some(&wanted) {
                        return (at, Read::Malformed("no line end behind a string"));
                    }
                    at += 1;
                    self.end_string(kind, text, seen + 1)
                }
            };
            if let Some(node) = done.and_then(|node| self.complete(node)) {
                return (at, Read::Whole(node));
            }
        }
    }

    /// Steps over bytes that are missing. Says whether the value's extent is known all the same.
    pub fn lose(&mut self, lost_bytes: u64) -> Option<Option<Node>> {
        let (kind, mut text, left, seen) = match std::mem::take(&mut self.open) {
            Open::String { kind, text, left } => (kind, text, left, 0),
            Open::End { kind, text, seen } => (kind, text, 0, seen),
            other => {
                self.open = other;
                return None;
            }
        };
        let owed = left + u64::from(2 - seen);
        if lost_bytes > owed {
            self.open = Open::String { kind, text, left };
            return None;
        }
        let of_text = lost_bytes.min(left);
        if of_text > 0 {
            text.lose();
        }
        let left = left - of_text;
        let seen = seen + (lost_bytes - of_text) as u8;
        if left > 0 {
            self.open = Open::String { kind, text, left };
            return Some(None);
        }
        let done = self.end_string(kind, text, seen);
        Some(done.and_then(|node| self.complete(node)))
    }

    /// Gives up the value: what of it was read.
    pub fn abandon(&mut self) -> Option<Node> {
        let mut part = match std::mem::take(&mut self.open) {
            Open::Header => None,
            Open::Line { kind, mut text, .. } => {
                text.cut = true;
                Some(Node::Text(kind, text))
            }
            Open::End { kind, text, .. } => Some(Node::Text(kind, text)),
            Open::String { kind, mut text, .. } => {
                text.cut = true;
                Some(Node::Text(kind, text))
            }
        };
        if let Some(mut text) = self.streamed.take() {
            text.cut = true;
            part = Some(Node::Text(TextKind::Bulk, text));
        }
        let part = self.nesting.abandon(part);
        self.finish();
        part
    }

    /// A value that ended; the outermost is returned, if it ended with it.
    fn complete(&mut self, node: Node) -> Option<Node> {
        let whole = self.nesting.complete(node)?;
        self.finish();
        Some(whole)
    }

    /// Begins anew behind a whole value.
    fn finish(&mut self) {
        self.begun = false;
        self.kept_bytes = 0;
    }

    /// The first line of a value. Only lines with a length or number are waited for as a whole.
    fn header(&mut self, rest: &[u8]) -> Result<(usize, Option<Node>), Read> {
        let Some(&kind) = rest.first() else { return Err(Read::Wanted(1)) };
        if let Some(text) = self.text_line(kind) {
            self.open = Open::Line { kind: text, text: Str::default(), cr: false };
            return Ok((1, None));
        }
        if !self.may_begin(kind) {
            return Err(Read::Malformed("no type of RESP"));
        }
        let window = rest.get(..HEADER_BYTES_MAX).unwrap_or(rest);
        let Some(end) = memchr(b'\n', window) else {
            let possible = window.len() < HEADER_BYTES_MAX;
            return Err(if possible { Read::Wanted(rest.len() + 1) } else { Read::Malformed("a length is too long") });
        };
        let line = window.get(1..end).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(Read::Malformed("a line ends without CR"))?;
        self.begin(kind, line).map(|node| (end + 1, node)).map_err(Read::Malformed)
    }

    fn text_line(&self, kind: u8) -> Option<TextKind> {
        match kind {
            _ if self.grammar == Grammar::Commands || self.streamed.is_some() => None,
            b'+' => Some(TextKind::Simple),
            b'-' => Some(TextKind::Error),
            b'(' => Some(TextKind::BigNumber),
            b',' => Some(TextKind::Double),
            _ => None,
        }
    }

    fn may_begin(&self, kind: u8) -> bool {
        match self.grammar {
            _ if self.streamed.is_some() => kind == b';',
            Grammar::Commands if self.nesting.is_empty() => kind == b'*',
            Grammar::Commands => kind == b'$',
            Grammar::Values => b":$*_#!=%~>|.".contains(&kind),
        }
    }

    /// Reads what a line says behind its type; the value, where it has nothing more.
    fn begin(&mut self, kind: u8, line: &[u8]) -> Result<Option<Node>, &'static str> {
        if b"_#!=%~>|.".contains(&kind) {
            self.evidence = Some(3);
        }
        match kind {
            b':' => Ok(Some(Node::Int(number(line).ok_or("a number is none")?))),
            b'_' if line.is_empty() => Ok(Some(Node::Null)),
            b'#' if line == b"t" || line == b"f" => Ok(Some(Node::Bool(line == b"t"))),
            b'.' if line.is_empty() => self.nesting.end_streamed(),
            b';' => {
                let length = length(line)?.ok_or("a chunk without length")?;
                let text = self.streamed.take().unwrap_or_default();
                if length == 0 {
                    return Ok(Some(Node::Text(TextKind::Bulk, text)));
                }
                self.streamed = Some(Str::default());
                self.string(TextKind::Bulk, text, length)
            }
            b'$' if line == b"?" && self.grammar == Grammar::Values => {
                self.evidence = Some(3);
                self.streamed = Some(Str::default());
                Ok(None)
            }
            b'$' | b'!' | b'=' => match length(line)? {
                Some(bytes) => {
                    let kind = match kind {
                        b'!' => TextKind::BlobError,
                        b'=' => TextKind::Verbatim,
                        _ => TextKind::Bulk,
                    };
                    self.string(kind, Str::default(), bytes)
                }
                None => self.null(),
            },
            _ => self.aggregate(kind, line),
        }
    }

    fn null(&mut self) -> Result<Option<Node>, &'static str> {
        if self.grammar == Grammar::Commands && !self.nesting.is_empty() {
            return Err("an argument that is nil");
        }
        self.evidence = Some(2);
        Ok(Some(Node::Null))
    }

    fn string(&mut self, kind: TextKind, text: Str, bytes: u64) -> Result<Option<Node>, &'static str> {
        if bytes > STRING_BYTES_MAX {
            return Err("a string too long to be one");
        }
        let text = Str { length: text.length + bytes, ..text };
        self.open =
            if bytes == 0 { Open::End { kind, text, seen: 0 } } else { Open::String { kind, text, left: bytes } };
        Ok(None)
    }

    fn aggregate(&mut self, kind: u8, line: &[u8]) -> Result<Option<Node>, &'static str> {
        let kind = match kind {
            b'*' => Kind::Array,
            b'%' => Kind::Map,
            b'~' => Kind::Set,
            b'>' => Kind::Push,
            b'|' => Kind::Attribute,
            _ => return Err("a line that says nothing"),
        };
        let left = if line == b"?" && self.grammar == Grammar::Values {
            self.evidence = Some(3);
            None
        } else {
            let Some(count) = length(line)? else { return self.null() };
            let each = if matches!(kind, Kind::Attribute | Kind::Map) { 2 } else { 1 };
            Some(count.checked_mul(each).filter(|&count| count <= u32::MAX.into()).ok_or("too many values")?)
        };
        self.nesting.begin(kind, left)
    }

    fn line(
        &mut self,
        kind: TextKind,
        mut text: Str,
        cr: bool,
        rest: &[u8],
    ) -> (usize, Result<Option<Node>, &'static str>) {
        let end = memchr(b'\n', rest);
        let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        text.length += piece.len() as u64;
        self.keep(&mut text, piece);
        let cr = piece.last().map_or(cr, |&last| last == b'\r');
        let Some(end) = end else {
            self.open = Open::Line { kind, text, cr };
            return (rest.len(), Ok(None));
        };
        if cr {
            text.length -= 1;
            text.bytes.truncate(usize::try_from(text.length).unwrap_or(usize::MAX));
        } else if self.grammar == Grammar::Values {
            return (end, Err("a line ends without CR"));
        }
        if matches!(kind, TextKind::BigNumber | TextKind::Double) {
            self.evidence = Some(3);
        }
        (end + 1, Ok(Some(Node::Text(kind, text))))
    }

    fn end_string(&mut self, kind: TextKind, text: Str, seen: u8) -> Option<Node> {
        if seen < 2 {
            self.open = Open::End { kind, text, seen };
            return None;
        }
        if self.streamed.is_some() {
            self.streamed = Some(text);
            return None;
        }
        Some(Node::Text(kind, text))
    }

    fn keep(&mut self, text: &mut Str, piece: &[u8]) {
        let room = self.kept_bytes_max.saturating_sub(self.kept_bytes);
        self.kept_bytes += text.keep(piece, room);
    }
}

/// A number as RESP writes it.
pub fn number(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// A length; RESP2 writes nil as -1.
fn length(line: &[u8]) -> Result<Option<u64>, &'static str> {
    match number(line) {
        Some(-1) => Ok(None),
        Some(length) => u64::try_from(length).map(Some).map_err(|_| "a length below zero"),
        None => Err("a length is no number"),
    }
}
