//! Handshake messages of one side, over any number of records (RFC 8446 §5.1).
//!
//!     Boundary ──a kind we read──▶ Gathering ──whole──▶ Boundary
//!        └─────any other─────────▶ Skipping ──its end──▶ Boundary
//!     any ──bytes lost past a message's end, or what is no message──▶ Lost ──a record begins with one──▶ Boundary

use super::wire::{self, MESSAGE_HEADER_BYTES, kind};

/// The longest message that is kept. Chains of certificates have some 5 KiB and clients refuse more than 100 KiB
/// (OpenSSL); hellos with keys of post-quantum groups have 2 KiB.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Boundary,
    /// The kept bytes want to become so many.
    Gathering {
        whole: usize,
    },
    Lost,
    Skipping {
        left: usize,
    },
}

/// Reads one side's messages.
pub struct Messages {
    state: State,
    kept: Vec<u8>,
    /// Whether `kept` was handed out.
    done: bool,
}

/// A message, or the part of it that was seen.
pub struct Found<'a> {
    pub kind: u8,
    /// Without the header; empty for kinds that are not read.
    pub body: &'a [u8],
    pub whole: bool,
}

/// What came of a piece.
pub enum Event<'a> {
    Found(Found<'a>),
    /// The piece is no message, or one too long to be kept.
    Odd(&'static str),
}

impl Messages {
    /// For a side whose first bytes are the first there are, or not.
    pub fn new(from_start: bool) -> Self {
        let state = if from_start { State::Boundary } else { State::Lost };
        Self { state, kept: Vec::new(), done: false }
    }

    /// A record begins whose first bytes are `front`, `record_bytes` long in all.
    pub fn begin_record(&mut self, front: &[u8], record_bytes: usize) {
        // No sealed record is as short as the pieces some clients cut a hello into.
        let is_piece = front.len() == record_bytes
            && matches!(
                front,
                [kind::CLIENT_HELLO | kind::SERVER_HELLO] | [kind::CLIENT_HELLO | kind::SERVER_HELLO, 0, ..]
            );
        if self.state == State::Lost && (is_piece || begins_message(front, record_bytes)) {
            self.state = State::Boundary;
        }
    }

    /// A hello of another handshake begins here, whatever was before.
    pub fn begin_anew(&mut self) {
        *self = Self::new(true);
    }

    /// Reads the front of `piece`, up to the end of the first message that ends or is known in it. Says how many
    /// bytes that were.
    pub fn read<'a>(&'a mut self, piece: &'a [u8]) -> (usize, Option<Event<'a>>) {
        if std::mem::take(&mut self.done) {
            self.kept = Vec::new();
        }
        match self.state {
            State::Lost => (piece.len(), None),
            State::Skipping { left } => {
                let step = left.min(piece.len());
                self.state = if step < left { State::Skipping { left: left - step } } else { State::Boundary };
                (step, None)
            }
            State::Gathering { whole } => {
                let step = (whole - self.kept.len()).min(piece.len());
                self.keep(piece, step);
                if self.kept.len() < whole {
                    return (step, None);
                }
                self.state = State::Boundary;
                self.done = true;
                (step, found(&self.kept, true).map(Event::Found))
            }
            State::Boundary => self.read_header(piece),
        }
    }

    fn read_header<'a>(&'a mut self, piece: &'a [u8]) -> (usize, Option<Event<'a>>) {
        let had = self.kept.len();
        let step = (MESSAGE_HEADER_BYTES - had).min(piece.len());
        if had == 0 && step == MESSAGE_HEADER_BYTES {
            // The usual case: the message is read where it lies.
            let Ok((kind, bytes)) = wire::message_header(piece) else { return (0, None) };
            if is_read(kind)
                && let Some(message) = piece.get(..MESSAGE_HEADER_BYTES + bytes)
            {
                return (message.len(), found(message, true).map(Event::Found));
            }
        }
        self.keep(piece, step);
        let Ok((kind, bytes)) = wire::message_header(&self.kept) else { return (step, None) };
        let odd = |why| (piece.len(), Some(Event::Odd(why)));
        if !is_known(kind) || (bytes > MESSAGE_BYTES_MAX && !is_read(kind)) {
            self.lose_order();
            return odd("tls_unknown_handshake_message");
        }
        if bytes > MESSAGE_BYTES_MAX {
            self.kept = Vec::new();
            self.state = State::Skipping { left: bytes };
            return (step, Some(Event::Odd("tls_handshake_message_too_large")));
        }
        self.state = match bytes {
            0 => State::Boundary,
            _ if is_read(kind) => State::Gathering { whole: MESSAGE_HEADER_BYTES + bytes },
            _ => State::Skipping { left: bytes },
        };
        if matches!(self.state, State::Gathering { .. }) {
            return (step, None);
        }
        self.done = true;
        (step, found(&self.kept, true).map(Event::Found))
    }

    /// `lost_bytes` follow that were not seen. Hands out the part of a message before them.
    pub fn lose(&mut self, lost_bytes: u64) -> Option<Found<'_>> {
        if std::mem::take(&mut self.done) {
            self.kept = Vec::new();
        }
        let owed = match self.state {
            State::Boundary | State::Lost => None,
            State::Gathering { whole } => Some(whole - self.kept.len()),
            State::Skipping { left } => Some(left),
        };
        let part = matches!(self.state, State::Gathering { .. });
        self.state = match owed.and_then(|owed| (owed as u64).checked_sub(lost_bytes)) {
            Some(0) => State::Boundary,
            Some(left) => State::Skipping { left: left as usize },
            None => State::Lost,
        };
        self.done = true;
        if part { found(&self.kept, false) } else { None }
    }

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        if self.done { 0 } else { self.kept.len() }
    }

    fn lose_order(&mut self) {
        self.kept = Vec::new();
        self.state = State::Lost;
    }

    fn keep(&mut self, piece: &[u8], bytes: usize) {
        self.kept.extend_from_slice(piece.get(..bytes).unwrap_or_default());
    }
}

fn found(message: &[u8], whole: bool) -> Option<Found<'_>> {
    let (kind, _) = wire::message_header(message).ok()?;
    Some(Found { kind, body: message.get(MESSAGE_HEADER_BYTES..)?, whole })
}

/// Whether the body of such messages is of use.
fn is_read(kind: u8) -> bool {
    matches!(kind, kind::CERTIFICATE | kind::CLIENT_HELLO | kind::HELLO_RETRY_REQUEST | kind::SERVER_HELLO)
}

/// Whether such messages are sent in clear. Encrypted ones look like any other kind.
fn is_known(kind: u8) -> bool {
    is_read(kind)
        || matches!(
            kind,
            kind::HELLO_REQUEST
                | kind::NEW_SESSION_TICKET
                | kind::SERVER_KEY_EXCHANGE
                | kind::CERTIFICATE_REQUEST
                | kind::SERVER_HELLO_DONE
                | kind::CERTIFICATE_VERIFY
                | kind::CLIENT_KEY_EXCHANGE
                | kind::CERTIFICATE_URL
                | kind::CERTIFICATE_STATUS
                | kind::SUPPLEMENTAL_DATA
        )
}

/// Whether a record begins with a message in clear, as far as its first bytes tell.
pub fn begins_message(front: &[u8], record_bytes: usize) -> bool {
    let Ok((kind, bytes)) = wire::message_header(front) else { return false };
    let fits = MESSAGE_HEADER_BYTES + bytes <= record_bytes;
    match kind {
        kind::HELLO_REQUEST | kind::SERVER_HELLO_DONE => bytes == 0,
        kind::CLIENT_HELLO | kind::SERVER_HELLO => {
            let version = front.get(MESSAGE_HEADER_BYTES..MESSAGE_HEADER_BYTES + 2);
            (34..=MESSAGE_BYTES_MAX).contains(&bytes) && matches!(version, Some([3, 0..=4] | [0x7f, _]))
        }
        kind::CERTIFICATE => (3..=MESSAGE_BYTES_MAX).contains(&bytes),
        // Names of many authorities, and stapled answers, may be longer than a record.
        kind::CERTIFICATE_REQUEST | kind::CERTIFICATE_STATUS => bytes >= 4 && (fits || bytes < 1 << 16),
        kind => is_known(kind) && bytes > 0 && fits,
    }
}
