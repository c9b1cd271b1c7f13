//! Length-prefixed messages in a body, counted while it passes.
//!
//!     flags (1 byte: 0x01 compressed, in gRPC-Web 0x80 trailers) | length (4 bytes) | message
//!
//! gRPC over HTTP2 "Length-Prefixed-Message"; PROTOCOL-WEB.md for the frame of trailers and for base64.

use crate::protocols::http::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Bytes before each message.
pub const PREFIX_BYTES: usize = 5;

/// Bytes of a trailers frame that are kept: servers refuse longer header sections.
const TRAILERS_BYTES_MAX: usize = 8 << 10;

const COMPRESSED: u8 = 0x01;
const TRAILERS: u8 = 0x80;

/// What content types of gRPC begin with.
const PREFIX: &str = "application/grpc";

/// How messages stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One after the other.
    Plain,
    /// The same, and a frame of trailers.
    Web,
    /// The same in base64, padded wherever the sender flushed.
    WebText,
}

/// What a content type says: the framing, and the format of messages where it names one.
pub fn content_type(value: &[u8]) -> Option<(Framing, String)> {
    // Most are of something else: nothing is copied for these.
    let (front, _) = value.split_at_checked(PREFIX.len())?;
    if !front.eq_ignore_ascii_case(PREFIX.as_bytes()) {
        return None;
    }
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    let kind = String::from_utf8(value.get(..end)?.trim_ascii().to_ascii_lowercase()).ok()?;
    let (kind, format) = kind.split_once('+').unwrap_or((&kind, "proto"));
    let framing = match kind.strip_prefix(PREFIX)? {
        "" => Framing::Plain,
        "-web" => Framing::Web,
        "-web-text" => Framing::WebText,
        _ => return None,
    };
    Some((framing, format.to_owned()))
}

/// A frame at the front of `bytes`: whether it is compressed or of trailers, its content, and what is behind it.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether it is compressed.
    pub compressed: bool,
    /// Whether it holds trailers instead of a message.
    pub trailers: bool,
    /// What it holds, as sent.
    pub bytes: &'a [u8],
    /// What follows it.
    pub rest: &'a [u8],
}

/// The whole frame at the front.
pub fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let ([flags, length @ ..], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some(Frame { compressed: flags & COMPRESSED != 0, trailers: flags & TRAILERS != 0, bytes, rest })
}

/// What stands in base64, as far as it is base64.
pub fn base64(text: &[u8]) -> Vec<u8> {
    let mut quads = Quads::default();
    let mut bytes = Vec::new();
    for &letter in text {
        match quads.push(letter) {
            Some((three, count)) => bytes.extend(three.into_iter().take(count)),
            None if quads.broken => break,
            None => {}
        }
    }
    bytes
}

/// Base64 by four letters, each group perhaps padded (RFC 4648 §4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Quads {
    letters: [u8; 4],
    have: u8,
    /// Something else came: nothing behind it is read.
    broken: bool,
}

impl Quads {
    /// Three bytes, and how many of them count, once a group is whole.
    fn push(&mut self, letter: u8) -> Option<([u8; 3], usize)> {
        if self.broken || matches!(letter, b'\r' | b'\n') {
            return None;
        }
        *self.letters.get_mut(usize::from(self.have))? = letter;
        self.have += 1;
        if self.have < 4 {
            return None;
        }
        let mut three = [0; 3];
        let decoded = LENIENT.decode_slice(self.letters, &mut three);
        *self = Self { broken: decoded.is_err(), ..Self::default() };
        Some((three, decoded.ok()?))
    }
}

/// Some leave bits behind the last byte.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Inside a frame of which so many bytes are left.
    Inside { left: u32, trailers: bool },
    /// Where it is not known how frames go on.
    Lost,
    /// Before a message: so many bytes of its prefix are there.
    Prefix { have: u8, prefix: [u8; PREFIX_BYTES] },
}

const BOUNDARY: State = State::Prefix { have: 0, prefix: [0; PREFIX_BYTES] };

/// What is wrong with the frames of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// Flags nobody defined, or no base64: no frame begins here.
    BadPrefix,
    /// The body ended inside a frame.
    Cut,
    /// The body has a coding of its own that is not undone to its end.
    Coded,
    /// Bytes were lost and how frames go on behind them is not known.
    Lost,
}

/// Counts the messages of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    framing: Framing,
    state: State,
    quads: Quads,
    odd: Option<Odd>,
    length: u32,
    messages: u64,
    bytes: u64,
    trailers: Vec<u8>,
    /// Bytes of the body so far, and where the first was lost.
    at: u64,
    lost_at: Option<u64>,
}

/// The messages of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// How they stand in the body.
    pub framing: Framing,
    /// How many were there to their end; not known behind some losses.
    pub messages: Option<u64>,
    /// Bytes of these as sent, prefixes not counted.
    pub bytes: Option<u64>,
    /// What is wrong with them.
    pub odd: Option<Odd>,
    /// Fields of a trailers frame.
    pub trailers: Fields,
    /// Bytes of the body before the first that was lost.
    pub bytes_before_loss: Option<u64>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Counter {
    /// For a body of that framing.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            state: BOUNDARY,
            quads: Quads::default(),
            odd: None,
            length: 0,
            messages: 0,
            bytes: 0,
            trailers: Vec::new(),
            at: 0,
            lost_at: None,
        }
    }

    /// Takes the next bytes of the body.
    pub fn write(&mut self, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        if self.framing != Framing::WebText {
            return self.frames(bytes);
        }
        for &letter in bytes {
            if let Some((three, count)) = self.quads.push(letter) {
                self.frames(three.get(..count).unwrap_or_default());
            } else if self.quads.broken && self.state != State::Lost {
                self.stop(Odd::BadPrefix);
            }
        }
    }

    /// Takes note of lost bytes: inside a message their number tells how it goes on.
    pub fn lose(&mut self, bytes: u64) {
        self.lost_at.get_or_insert(self.at);
        self.at += bytes;
        match &mut self.state {
            State::Inside { left, trailers: false }
                if u64::from(*left) >= bytes && self.framing != Framing::WebText =>
            {
                *left -= bytes as u32;
                self.frames(&[]);
            }
            State::Lost => {}
            _ => self.stop(Odd::Lost),
        }
    }

    /// Takes note that bytes may be missing here, nobody knows how many.
    pub fn doubt(&mut self) {
        self.lost_at.get_or_insert(self.at);
        self.stop(Odd::Lost);
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.trailers.len()
    }

    /// What was counted; `whole` says whether the body came to its end.
    pub fn end(mut self, whole: bool) -> Counted {
        let between = self.state == BOUNDARY && self.quads == Quads::default();
        if whole && !between && self.state != State::Lost {
            self.odd = Some(Odd::Cut);
        }
        let known = self.state != State::Lost;
        Counted {
            framing: self.framing,
            messages: known.then_some(self.messages),
            bytes: known.then_some(self.bytes),
            odd: self.odd,
            trailers: fields(&self.trailers),
            bytes_before_loss: self.lost_at,
            whole,
        }
    }

    /// For a body of which nothing can be counted.
    pub fn stop(&mut self, odd: Odd) {
        self.odd.get_or_insert(odd);
        self.state = State::Lost;
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        loop {
            match self.state {
                State::Lost => return,
                State::Inside { left: 0, trailers } => {
                    if !trailers {
                        self.messages += 1;
                        self.bytes += u64::from(self.length);
                    }
                    self.state = BOUNDARY;
                }
                _ if bytes.is_empty() => return,
                State::Inside { left, trailers } => {
                    let (inside, rest) = bytes.split_at(bytes.len().min(left as usize));
                    if trailers {
                        let room = TRAILERS_BYTES_MAX - self.trailers.len();
                        self.trailers.extend_from_slice(inside.get(..room).unwrap_or(inside));
                    }
                    self.state = State::Inside { left: left - inside.len() as u32, trailers };
                    bytes = rest;
                }
                State::Prefix { have, prefix } => bytes = self.prefix(have, prefix, bytes),
            }
        }
    }

    /// Takes bytes of a prefix; returns what follows.
    fn prefix<'a>(&mut self, have: u8, mut prefix: [u8; PREFIX_BYTES], bytes: &'a [u8]) -> &'a [u8] {
        let missing = prefix.get_mut(usize::from(have)..).unwrap_or_default();
        let (front, rest) = bytes.split_at(bytes.len().min(missing.len()));
        missing.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
        let have = have + front.len() as u8;
        let [flags, length @ ..] = prefix;
        let known = COMPRESSED | if self.framing == Framing::Plain { 0 } else { TRAILERS };
        if flags & !known != 0 {
            self.stop(Odd::BadPrefix);
        } else if usize::from(have) < PREFIX_BYTES {
            self.state = State::Prefix { have, prefix };
        } else {
            self.length = u32::from_be_bytes(length);
            self.state = State::Inside { left: self.length, trailers: flags & TRAILERS != 0 };
        }
        rest
    }
}

/// Lines of "name:value", as a trailers frame has them.
fn fields(block: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for line in block.split(|&byte| byte == b'\n') {
        if let Some((name, value)) = memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at)) {
            fields.push(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        }
    }
    fields
}
