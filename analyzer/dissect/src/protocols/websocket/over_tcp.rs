//! WebSocket over TCP: frames of both sides, one after the other.
//!
//!     Head ──▶ Payload ──its end──▶ Head        Head ──gap, or Payload ──gap past its end──▶ Seeking
//!     Seeking ──a text at the begin of a segment──▶ Head
//!
//! A gap inside a payload is stepped over. Joined in the middle, each side is Seeking. Texts are put together where
//! they may be of GraphQL.

use super::text::{Texts, Wanted};
use super::wire::{self, Head};
use crate::protocols::graphql::{self, OverWebsocket};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Start, http};

/// The head and payload of a frame that controls: all that is ever asked to be seen at once.
pub const UNREAD_BYTES_MAX: usize = 14 + wire::CONTROL_BYTES_MAX as usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// In a payload of which so many bytes are left.
    Payload {
        left: u64,
    },
    Seeking,
}

/// Protocols that speak GraphQL, by their names in `Sec-WebSocket-Protocol`.
const GRAPHQL: [&str; 2] = ["graphql-transport-ws", "graphql-ws"];

/// Whether a frame is odd in one way, before it is counted.
type IsOdd = fn(&Reading, Side, &Head) -> bool;

/// What may be odd about frames: each is said once for a side.
const ODDITIES: [(&str, IsOdd); 8] = [
    ("websocket_bad_length", |_, _, head| head.long || head.payload_bytes > i64::MAX as u64),
    // RFC 6455 §5.1.
    ("websocket_bad_mask", |_, from, head| head.mask.is_some() != (from == Side::Client)),
    // RFC 6455 §5.4.
    ("websocket_bad_order", |reading, _, head| {
        let goes_on = head.opcode == wire::CONTINUATION;
        head.carries() && reading.inside_message.is_some_and(|inside| inside != goes_on)
    }),
    ("websocket_compressed_control", |_, _, head| head.controls() && head.reserved & 4 != 0),
    ("websocket_control_too_long", |_, _, head| head.controls() && head.payload_bytes > wire::CONTROL_BYTES_MAX),
    ("websocket_fragmented_control", |_, _, head| head.controls() && !head.last),
    // The first one is for compression, which is agreed on more often than not.
    ("websocket_reserved_bits", |_, _, head| head.reserved & 3 != 0),
    ("websocket_reserved_opcode", |_, _, head| !head.carries() && !(wire::CLOSE..=wire::PONG).contains(&head.opcode)),
];

#[derive(Debug, Clone, Copy)]
struct Reading {
    state: State,
    frames: u64,
    messages: u64,
    /// Whether a message goes on in a further frame; not known after a loss.
    inside_message: Option<bool>,
    /// Of the frame that passes: what its payload is masked with, how much of it passed, whether it is of a message,
    /// and whether of its end.
    mask: Option<[u8; 4]>,
    payload_at: u64,
    carries: bool,
    last: bool,
    said: u8,
}

/// One connection.
pub struct OverTcp {
    sides: PerSide<Reading>,
    texts: PerSide<Texts>,
    graphql: OverWebsocket,
    ended: PerSide<bool>,
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut at = 0;
        loop {
            let rest = unread.get(at..).unwrap_or_default();
            let reading = &mut self.sides[from];
            let wanted = match reading.state {
                _ if rest.is_empty() => 1,
                State::Payload { left } => {
                    let size = left.min(rest.len() as u64);
                    let stamp = out.stamp(at..at + size as usize);
                    at += size as usize;
                    let texts = &mut self.texts[from];
                    if texts.passes() && reading.carries {
                        let payload = rest.get(..size as usize).unwrap_or_default();
                        let payload: Vec<u8> = wire::unmask(payload, reading.mask, reading.payload_at).collect();
                        texts.write(&payload, Some(stamp));
                    }
                    reading.payload_at += size;
                    reading.payload(left - size);
                    self.frame_done(from, out);
                    continue;
                }
                State::Seeking if wire::evidence(rest).is_some() => {
                    reading.state = State::Head;
                    continue;
                }
                State::Seeking => return Progress::Continue { consumed: unread.len(), wanted: 1 },
                State::Head => match self.head(from, at, rest, out) {
                    Ok(taken) => {
                        at += taken;
                        continue;
                    }
                    Err(wanted) => wanted,
                },
            };
            return Progress::Continue { consumed: at, wanted };
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        out.anomaly(0..unread.len(), Anomaly::with("websocket_gap", format!("{lost_bytes} bytes")));
        self.texts[from].lose();
        self.graphql.lose(from);
        let reading = &mut self.sides[from];
        match reading.state {
            State::Payload { left } if left >= lost_bytes => {
                reading.payload_at += lost_bytes;
                reading.payload(left - lost_bytes);
            }
            _ => {
                reading.state = State::Seeking;
                reading.inside_message = None;
            }
        }
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        if !unread.is_empty() {
            out.anomaly(0..unread.len(), Anomaly::new("websocket_unfinished"));
        }
        self.sides[from].state = State::Seeking;
        self.texts[from].lose();
        self.ended[from] = true;
        if self.ended[from.other()] {
            self.graphql.end(how, out);
        }
    }

    /// What both sides agreed on says whether texts are worth reading.
    fn take_over(&mut self, upgrade: Box<http::Exchange>) {
        let Some(response) = &upgrade.response else { return };
        let wanted = match response.headers.get("sec-websocket-protocol") {
            Some(named) if GRAPHQL.iter().any(|known| known.as_bytes() == named.trim_ascii()) => Wanted::All,
            Some(_) => Wanted::None,
            None if graphql::names_graphql(upgrade.path.as_deref().unwrap_or_default()) => Wanted::All,
            None => Wanted::Plain,
        };
        self.texts = PerSide { client: Texts::new(wanted), server: Texts::new(wanted) };
        self.graphql.known = wanted == Wanted::All;
    }

    fn held_bytes(&self) -> usize {
        self.texts.client.held_bytes() + self.texts.server.held_bytes() + self.graphql.held_bytes()
    }
}

impl OverTcp {
    /// For a connection about to be read.
    pub fn new(start: &Start) -> Self {
        let inside_message = start.from_start.then_some(false);
        let state = if start.from_start { State::Head } else { State::Seeking };
        let reading = Reading {
            state,
            frames: 0,
            messages: 0,
            inside_message,
            mask: None,
            payload_at: 0,
            carries: false,
            last: false,
            said: 0,
        };
        let texts = || Texts::new(Wanted::Plain);
        Self {
            sides: PerSide { client: reading, server: reading },
            texts: PerSide { client: texts(), server: texts() },
            graphql: OverWebsocket::default(),
            ended: PerSide::default(),
        }
    }

    /// Where a frame is at its end, and the last of its message, the message is.
    fn frame_done(&mut self, from: Side, out: &mut dyn Sink) {
        let reading = &self.sides[from];
        if reading.state != State::Head || !reading.carries || !reading.last {
            return;
        }
        if let Some((text, stamp)) = self.texts[from].end() {
            self.graphql.text(from, text, stamp, out);
        }
    }

    /// Takes the head of a frame, with its payload where that is of a close; says how many bytes it took, or how many
    /// it wants.
    fn head(&mut self, from: Side, at: usize, rest: &[u8], out: &mut dyn Sink) -> Result<usize, usize> {
        let head = wire::head(rest)?;
        let closes = head.opcode == wire::CLOSE && head.payload_bytes <= wire::CONTROL_BYTES_MAX;
        let whole = head.bytes + if closes { head.payload_bytes as usize } else { 0 };
        let payload = rest.get(head.bytes..whole).ok_or(whole)?;
        let span = at..at + whole;
        let stamp = out.stamp(span.clone());
        let reading = &mut self.sides[from];
        for (bit, (kind, is_odd)) in ODDITIES.into_iter().enumerate() {
            if is_odd(reading, from, &head) && reading.said & 1 << bit == 0 {
                reading.said |= 1 << bit;
                out.anomaly(span.clone(), Anomaly::with(kind, format!("{from:?}, {}", reading.so_far())));
            }
        }
        reading.count(&head);
        if closes {
            let payload: Vec<u8> = wire::unmask(payload, head.mask, 0).collect();
            if let Some(detail) = unusual_close(&payload) {
                out.anomaly(
                    span,
                    Anomaly::with("websocket_close", format!("{from:?}, {detail}, {}", reading.so_far())),
                );
            }
        } else {
            (reading.mask, reading.payload_at) = (head.mask, 0);
            (reading.carries, reading.last) = (head.carries(), head.last);
            reading.payload(head.payload_bytes);
            match head.opcode {
                wire::CONTINUATION => self.texts[from].write(&[], Some(stamp)),
                wire::TEXT | wire::BINARY => self.texts[from].begin(&head, stamp),
                _ => {}
            }
            self.frame_done(from, out);
        }
        Ok(whole)
    }
}

impl Reading {
    fn payload(&mut self, left: u64) {
        self.state = if left == 0 { State::Head } else { State::Payload { left } };
    }

    fn count(&mut self, head: &Head) {
        self.frames += 1;
        if !head.controls() {
            self.inside_message = Some(!head.last);
            self.messages += u64::from(head.last);
        }
    }

    fn so_far(&self) -> String {
        format!("after {} messages in {} frames", self.messages, self.frames)
    }
}

/// The code and reason of a close (RFC 6455 §5.5.1), unless it is the end everybody hopes for (§7.4.1).
fn unusual_close(payload: &[u8]) -> Option<String> {
    match payload.split_first_chunk::<2>() {
        None if payload.is_empty() => None,
        None => Some("half a code".to_owned()),
        Some((code, reason)) => match u16::from_be_bytes(*code) {
            1000 | 1001 => None,
            code => Some(format!("{code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()),
        },
    }
}
