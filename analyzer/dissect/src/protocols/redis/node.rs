//! A value of RESP as it is kept, and as the `reply` column shows it.

use crate::protocols::value::Value;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A string, or the front of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Str {
    /// What is kept of it.
    pub bytes: Vec<u8>,
    /// Its true length.
    pub length: u64,
    /// Whether it went on where we stopped keeping it, or bytes of it are missing.
    pub cut: bool,
}

/// What a string was sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// `(`, an integer of any size.
    BigNumber,
    /// `!`
    BlobError,
    /// `$`
    Bulk,
    /// `,`
    Double,
    /// `-`
    Error,
    /// `+`
    Simple,
    /// `=`, with a format of three characters in front.
    Verbatim,
}

/// What several values were sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*`
    Array,
    /// `|`, about the value behind it.
    Attribute,
    /// `%`
    Map,
    /// `>`
    Push,
    /// `~`
    Set,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Several values, and how many more there were.
    Aggregate(Kind, Vec<Node>, u64),
    /// A value with what was said about it.
    Attributed(Box<(Node, Node)>),
    /// `#`
    Bool(bool),
    /// `:`
    Int(i64),
    /// `_`, and in RESP2 a length of -1.
    Null,
    /// A string.
    Text(TextKind, Str),
}

impl Node {
    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Node::Aggregate(_, nodes, _) => nodes.iter().map(Node::held_bytes).sum(),
                Node::Attributed(both) => both.0.held_bytes() + both.1.held_bytes(),
                Node::Text(_, text) => text.bytes.len(),
                Node::Bool(_) | Node::Int(_) | Node::Null => 0,
            }
    }
}

impl Str {
    /// Keeps as much of a piece as there is room for; says how much.
    pub fn keep(&mut self, piece: &[u8], room: usize) -> usize {
        if self.cut {
            return 0;
        }
        let kept = piece.get(..room).unwrap_or(piece);
        self.cut = kept.len() < piece.len();
        self.bytes.extend_from_slice(kept);
        kept.len()
    }

    /// Bytes of it are missing: what comes behind them is not kept.
    pub fn lose(&mut self) {
        self.cut = true;
    }

    /// Whether all of it is kept.
    pub fn is_whole(&self) -> bool {
        !self.cut
    }

    /// Whether it is that word, in upper case or lower.
    pub fn is(&self, word: &str) -> bool {
        self.is_whole() && self.bytes.eq_ignore_ascii_case(word.as_bytes())
    }

    /// The kept bytes; of a cut text without the part of a character at its end.
    fn kept(&self) -> &[u8] {
        // A character of several bytes that is not whole begins in the last three.
        if !self.cut || !self.bytes.iter().rev().take(3).any(|&byte| byte >= 0xc0) {
            return &self.bytes;
        }
        match str::from_utf8(&self.bytes) {
            Err(error) if error.error_len().is_none() => self.bytes.get(..error.valid_up_to()).unwrap_or_default(),
            _ => &self.bytes,
        }
    }

    fn value(&self) -> Value<'_> {
        let kept = Value::from(self.kept());
        if self.is_whole() {
            return kept;
        }
        Value::Map(vec![("$cut".into(), kept), ("bytes".into(), Value::UInt(self.length))])
    }

    /// The same as [`Self::text`], without another copy where it reads as it is.
    pub fn into_text(self) -> String {
        if !self.is_whole() || !reads_as_is(&self.bytes) {
            return self.text();
        }
        String::from_utf8(self.bytes).unwrap_or_else(|error| escape(error.as_bytes()))
    }

    /// As text: what is no UTF-8, control characters, and a backslash that would read as such an escape, are
    /// written `\xNN`, so nothing is lost; of a string that is cut the true length is added.
    pub fn text(&self) -> String {
        if self.is_whole() {
            return escape(&self.bytes);
        }
        let mut text = String::with_capacity(self.bytes.len() + 32);
        escape_to(&mut text, self.kept());
        // A string never refuses to be written to.
        let _ = write!(text, "…({} bytes)", self.length);
        text
    }
}

/// Bytes of a text that are looked through at a time.
const PIECE_BYTES: usize = 256;

/// Whether nothing is to be escaped, if it is UTF-8.
fn reads_as_is(bytes: &[u8]) -> bool {
    let odd = |byte: &u8| !matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..) || *byte == b'\\';
    // All bytes of a piece are looked at at once.
    let is_odd = |piece: &[u8]| piece.iter().fold(false, |found, byte| found | odd(byte));
    !bytes.chunks(PIECE_BYTES).any(is_odd)
}

/// See [`Str::text`].
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    escape_to(&mut text, bytes);
    text
}

fn escape_to(text: &mut String, bytes: &[u8]) {
    if reads_as_is(bytes)
        && let Ok(plain) = str::from_utf8(bytes)
    {
        return text.push_str(plain);
    }
    let mut rest = bytes;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            match character {
                '\\' if is_escape(rest) => text.push_str("\\x5c"),
                '\t' | '\n' | '\r' => text.push(character),
                '\0'..='\x1f' | '\x7f' => text.push_str(&format!("\\x{:02x}", u32::from(character))),
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
        rest = rest.get(chunk.invalid().len()..).unwrap_or_default();
    }
}

/// Whether the rest of an escape is in front.
fn is_escape(rest: &[u8]) -> bool {
    matches!(rest, [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

impl Node {
    /// Values that ended; a map never ends with a key.
    pub fn aggregate(kind: Kind, mut items: Vec<Node>, mut left_out: u64) -> Self {
        if matches!(kind, Kind::Attribute | Kind::Map) && items.len() % 2 == 1 {
            items.pop();
            left_out += 1;
        }
        Node::Aggregate(kind, items, left_out)
    }

    /// The value with what was said about it.
    pub fn with(self, attribute: Option<Node>) -> Self {
        match attribute {
            Some(attribute) => Node::Attributed(Box::new((attribute, self))),
            None => self,
        }
    }

    /// The value without what was said about it.
    pub fn bare(&self) -> &Node {
        match self {
            Node::Attributed(both) => &both.1,
            other => other,
        }
    }

    /// The string, if it is one that is whole.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self.bare() {
            Node::Text(TextKind::Bulk | TextKind::Simple | TextKind::Verbatim, text) if text.is_whole() => {
                Some(&text.bytes)
            }
            _ => None,
        }
    }

    /// The values, if it is several.
    pub fn items(&self) -> Option<(Kind, &[Node])> {
        match self.bare() {
            Node::Aggregate(kind, items, _) => Some((*kind, items)),
            _ => None,
        }
    }

    /// The text of an error.
    pub fn error(&self) -> Option<String> {
        match self.bare() {
            Node::Text(TextKind::BlobError | TextKind::Error, text) => Some(text.text()),
            _ => None,
        }
    }

    /// Name of its type in the `reply_type` column.
    pub fn type_name(&self) -> &'static str {
        match self.bare() {
            Node::Aggregate(Kind::Array, ..) => "array",
            Node::Aggregate(Kind::Attribute | Kind::Map, ..) => "map",
            Node::Aggregate(Kind::Push, ..) => "push",
            Node::Aggregate(Kind::Set, ..) => "set",
            Node::Attributed(_) | Node::Null => "null",
            Node::Bool(_) => "boolean",
            Node::Int(_) => "integer",
            Node::Text(TextKind::BigNumber, _) => "big_number",
            Node::Text(TextKind::BlobError, _) => "blob_error",
            Node::Text(TextKind::Bulk, _) => "bulk_string",
            Node::Text(TextKind::Double, _) => "double",
            Node::Text(TextKind::Error, _) => "error",
            Node::Text(TextKind::Simple, _) => "simple_string",
            Node::Text(TextKind::Verbatim, _) => "verbatim_string",
        }
    }

    /// The text of the `reply` column.
    pub fn json(&self) -> String {
        let mut json = String::with_capacity(self.shown_bytes() + 64);
        self.value().write(&mut json);
        json
    }

    /// About as many bytes as it takes to show it.
    fn shown_bytes(&self) -> usize {
        match self {
            Node::Aggregate(_, items, _) => items.iter().map(|item| item.shown_bytes() + 1).sum(),
            Node::Attributed(both) => both.0.shown_bytes() + both.1.shown_bytes(),
            Node::Text(_, text) => text.bytes.len() + 2,
            Node::Bool(_) | Node::Int(_) | Node::Null => 4,
        }
    }

    /// The value for the `reply` column.
    fn value(&self) -> Value<'_> {
        match self {
            Node::Aggregate(Kind::Attribute | Kind::Map, items, left_out) => {
                let mut entries: Vec<_> = items.chunks_exact(2).filter_map(entry).collect();
                if *left_out > 0 {
                    entries.push(("$left_out".into(), Value::UInt(left_out / 2)));
                }
                Value::Map(entries)
            }
            Node::Aggregate(_, items, left_out) => {
                let mut values: Vec<_> = items.iter().map(Node::value).collect();
                if *left_out > 0 {
                    values.push(Value::Map(vec![("$left_out".into(), Value::UInt(*left_out))]));
                }
                Value::List(values)
            }
            Node::Attributed(both) => {
                Value::Map(vec![("$attributes".into(), both.0.value()), ("$value".into(), both.1.value())])
            }
            Node::Bool(truth) => Value::Bool(*truth),
            Node::Int(number) => Value::Int(*number),
            Node::Null => Value::Null,
            Node::Text(kind, text) => text_value(*kind, text),
        }
    }
}

fn entry(pair: &[Node]) -> Option<(Cow<'_, str>, Value<'_>)> {
    let [name, value] = pair else { return None };
    let name = match name {
        Node::Text(TextKind::Bulk | TextKind::Simple, text) if text.is_whole() => {
            str::from_utf8(&text.bytes).ok().map(Cow::Borrowed)
        }
        _ => None,
    };
    Some((
        name.unwrap_or_else(|| Cow::Owned(pair.first().map(|name| name.value().json()).unwrap_or_default())),
        value.value(),
    ))
}

fn text_value(kind: TextKind, text: &Str) -> Value<'_> {
    match kind {
        TextKind::BlobError | TextKind::Error => Value::Map(vec![("$error".into(), text.value())]),
        TextKind::Double => str::from_utf8(&text.bytes)
            .ok()
            .filter(|_| text.is_whole())
            .and_then(|text| text.parse().ok())
            .map_or_else(|| text.value(), Value::Float),
        TextKind::Verbatim => match text.kept().split_at_checked(4) {
            Some((b"txt:", content)) if text.is_whole() => content.into(),
            _ => Value::Map(vec![("$verbatim".into(), text.value())]),
        },
        TextKind::BigNumber | TextKind::Bulk | TextKind::Simple => text.value(),
    }
}
