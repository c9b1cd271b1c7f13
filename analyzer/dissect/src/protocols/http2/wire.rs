//! Frames (RFC 9113 §4, §6): headers, and what their payloads say.

use formats::bytes::Reader;

/// What a client begins with (§3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before each payload (§4.1).
pub const HEADER_BYTES: usize = 9;

/// Longest payload unless the receiver allows more (§4.2).
pub const FRAME_BYTES_DEFAULT: u32 = 16 << 10;

/// Types of frames (§6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames (§6).
pub mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings that matter to an observer (§6.5.2).
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of its payload.
    pub length: u32,
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
}

impl Frame {
    /// Reads a header, if it is there whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader::new(bytes.get(..HEADER_BYTES)?);
        Some(Self {
            length: input.u24_be().ok()?,
            kind: input.u8().ok()?,
            flags: input.u8().ok()?,
            // The first bit is reserved, and ignored (§4.1).
            stream: input.u32_be().ok()? & 0x7fff_ffff,
        })
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What no frame of its type can be, whatever came before.
    pub fn malformed(&self) -> Option<&'static str> {
        let (of_connection, sized) = match self.kind {
            kind::DATA => (Some(false), !self.has(flag::PADDED) || self.length >= 1),
            kind::HEADERS => (Some(false), self.length >= self.padded() + if self.has(flag::PRIORITY) { 5 } else { 0 }),
            kind::PRIORITY => (Some(false), self.length == 5),
            kind::RST_STREAM => (Some(false), self.length == 4),
            kind::SETTINGS => (Some(true), self.length.is_multiple_of(6) && (self.length == 0 || !self.has(flag::ACK))),
            kind::PUSH_PROMISE => (Some(false), self.length >= self.padded() + 4),
            kind::PING => (Some(true), self.length == 8),
            kind::GOAWAY => (Some(true), self.length >= 8),
            kind::WINDOW_UPDATE => (None, self.length == 4),
            kind::CONTINUATION => (Some(false), true),
            _ => (None, true),
        };
        if !sized {
            return Some("a length its type does not have");
        }
        (of_connection == Some(self.stream != 0)).then_some("a stream its type does not have")
    }

    /// Whether a sender that keeps to the standard could have sent it: what is looked for where order was lost.
    pub fn plausible(&self, reserved: bool) -> bool {
        let flags = match self.kind {
            kind::DATA => flag::END_STREAM | flag::PADDED,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
            kind::SETTINGS | kind::PING => flag::ACK,
            kind::PUSH_PROMISE => flag::END_HEADERS | flag::PADDED,
            kind::CONTINUATION => flag::END_HEADERS,
            _ => 0,
        };
        self.kind <= kind::CONTINUATION
            && self.length <= FRAME_BYTES_DEFAULT
            && self.flags & !flags == 0
            && !reserved
            && self.malformed().is_none()
    }

    fn padded(&self) -> u32 {
        u32::from(self.has(flag::PADDED))
    }
}

/// The payload of HEADERS, PUSH_PROMISE or DATA without its padding (§6.1).
pub fn unpadded<'a>(frame: &Frame, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !frame.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

/// The part of a header block in the whole payload of HEADERS, behind the priority (§6.2).
pub fn headers<'a>(frame: &Frame, payload: &'a [u8]) -> Option<&'a [u8]> {
    let payload = unpadded(frame, payload)?;
    payload.get(if frame.has(flag::PRIORITY) { 5 } else { 0 }..)
}

/// The promised stream and the part of its header block in the whole payload of PUSH_PROMISE (§6.6).
pub fn promise<'a>(frame: &Frame, payload: &'a [u8]) -> Option<(u32, &'a [u8])> {
    let mut input = Reader::new(unpadded(frame, payload)?);
    let stream = input.u32_be().ok()? & 0x7fff_ffff;
    Some((stream, input.rest()))
}

/// Settings in order (§6.5.1).
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let mut input = Reader::new(payload);
    std::iter::from_fn(move || Some((input.u16_be().ok()?, input.u32_be().ok()?)))
}

/// The last stream that was or may be processed, the error code, and what is said about it (§6.8).
pub fn goaway(payload: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut input = Reader::new(payload);
    Some((input.u32_be().ok()? & 0x7fff_ffff, input.u32_be().ok()?, input.rest()))
}

/// The error code of RST_STREAM (§6.4).
pub fn error_code(payload: &[u8]) -> Option<u32> {
    Reader::new(payload).u32_be().ok()
}
