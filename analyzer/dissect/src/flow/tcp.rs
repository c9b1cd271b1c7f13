//! What the headers of a TCP connection say, seen from between its ends (RFC 9293).

use super::{PerWay, Way};
use crate::decode::{TcpHeader, flags};

/// `a` behind `b` in sequence space (RFC 9293 §3.4).
fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// How far a SYN may stand before what was seen and still open it: captures mix up queues by some segments only.
const LATE_SYN_BYTES: u32 = 64 << 10;

/// How far an acknowledgement or a reset may be from what was sent last and still belong to it: a window on a fast path.
const NEAR_BYTES: u32 = 4 << 20;

/// Whether two places are that near.
fn is_near(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32).unsigned_abs() < NEAR_BYTES
}

/// The number behind a segment: SYN and FIN take one each (RFC 9293 §3.4).
fn end(header: &TcpHeader, payload_bytes: u32) -> u32 {
    let flag = |flag| u32::from(header.flags & flag != 0);
    header.seq.wrapping_add(payload_bytes).wrapping_add(flag(flags::SYN) + flag(flags::FIN))
}

/// What one end did.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpSide {
    /// Sequence number of its SYN.
    pub initial_seq: Option<u32>,
    /// What the answer to its SYN acknowledges: its first byte, where the SYN itself was not seen.
    pub syn_acked: Option<u32>,
    /// What it acknowledged last.
    acked: Option<u32>,
    /// The sequence number behind the furthest it sent.
    furthest: Option<u32>,
    /// A segment whose acknowledgement is awaited: the number behind it and its time. One at a time, never
    /// a repeated one (Karn's rule, RFC 6298 §3).
    timed: Option<(u32, i64)>,
    /// Whether its window is closed.
    window_closed: bool,
    /// Whether it sent a FIN.
    pub fin: bool,
    /// Times it closed its window.
    pub zero_windows: u64,
    /// Segments that brought nothing new.
    pub retransmits: u64,
    /// Segments that filled a hole left before.
    pub out_of_order: u64,
    /// Bytes it sent that are not in the capture.
    pub gap_bytes: u64,
}

/// How a SYN relates to what is known of a connection on its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It belongs to it, or is no SYN.
    Same,
    /// It opens another connection on the same ports.
    Another,
}

/// One connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp {
    /// Both ends.
    pub sides: PerWay<TcpSide>,
    syn_ns: Option<i64>,
    syn_ack_ns: Option<i64>,
    /// Time from the SYN to the ACK that completes the handshake, ns.
    pub handshake_ns: Option<i64>,
    /// Least time from a segment to its acknowledgement, ns.
    pub rtt_ns: Option<i64>,
    /// RST segments.
    pub resets: u64,
    /// Who ended it first.
    pub closed_by: Option<Way>,
    segments: u64,
}

impl Tcp {
    /// Whether a segment opens another connection on the same ports, before it is counted. `late` says that it was sent
    /// before the latest that was: another capture point may show it only now.
    pub fn opening(&self, way: Way, header: &TcpHeader, late: bool) -> Opening {
        if header.flags & flags::SYN == 0 || header.flags & flags::RST != 0 || self.segments == 0 {
            return Opening::Same;
        }
        let (mine, other) = (&self.sides[way], &self.sides[way.back()]);
        let answers = header.flags & flags::ACK != 0;
        let same = match (mine.initial_seq, mine.furthest) {
            // An answer belongs to the SYN it acknowledges, even when the server chose anew.
            _ if answers && other.initial_seq.is_some_and(|initial| header.ack == initial.wrapping_add(1)) => true,
            // A SYN again is a repeat, until a side closed.
            (Some(initial), _) => initial == header.seq && (late || !(mine.fin || other.fin)),
            _ if answers => !self.is_closed(),
            // Joined in the middle: a SYN that came late stands right before what was seen.
            (None, Some(furthest)) => (late || !self.is_closed()) && furthest.wrapping_sub(header.seq) < LATE_SYN_BYTES,
            // Nothing from this side yet: a simultaneous open, if the other side opened too.
            (None, None) => other.initial_seq.is_some(),
        };
        if same { Opening::Same } else { Opening::Another }
    }

    /// Whether a segment is a SYN, or an answer to one, that its side sent before.
    pub fn opened_with(&self, way: Way, header: &TcpHeader) -> bool {
        // Where both open at once each answers with the number of its own SYN (RFC 9293 §3.5).
        let answers_first = header.flags & flags::ACK != 0 && self.sides[way.back()].syn_acked.is_none();
        header.flags & flags::SYN != 0 && self.sides[way].initial_seq == Some(header.seq) && !answers_first
    }

    /// Whether a segment, by its header, says nothing that its side did not say before.
    pub fn repeats(&self, way: Way, header: &TcpHeader, payload_bytes: u32) -> bool {
        let mine = &self.sides[way];
        let has = |flag| header.flags & flag != 0;
        let end = end(header, payload_bytes);
        mine.furthest.is_some_and(|furthest| !after(end, furthest))
            && (!has(flags::ACK) || mine.acked.is_some_and(|acked| !after(header.ack, acked)))
            && (!has(flags::SYN) || mine.initial_seq == Some(header.seq))
            && (!has(flags::RST) || self.resets > 0)
    }

    /// Whether a segment acknowledges about what the other side sent last.
    pub fn acknowledges(&self, way: Way, header: &TcpHeader) -> bool {
        let furthest = self.sides[way.back()].furthest;
        header.flags & flags::ACK != 0 && furthest.is_some_and(|furthest| is_near(header.ack, furthest))
    }

    /// Whether a segment is a RST that its receiver drops, before it is counted: one far from what its side sent and from
    /// what the other acknowledged, so that whoever made it up does not end the connection (RFC 9293 §3.10.7.4).
    pub fn ignores(&self, way: Way, header: &TcpHeader) -> bool {
        let known = [self.sides[way].furthest, self.sides[way.back()].acked];
        header.flags & flags::RST != 0
            && known.iter().any(Option::is_some)
            && !known.iter().flatten().any(|&place| is_near(header.seq, place))
    }

    /// Takes in a segment. `payload_bytes` by its headers.
    pub fn packet(&mut self, way: Way, header: &TcpHeader, payload_bytes: u32, ts_ns: i64) {
        self.segments += 1;
        if self.ignores(way, header) {
            return;
        }
        self.handshake(way, header, ts_ns);
        let (mine, other) = self.sides.both_mut(way);
        let end = end(header, payload_bytes);
        let length = end.wrapping_sub(header.seq);
        let reset = header.flags & flags::RST != 0;
        if !reset {
            let new = mine.furthest.is_none_or(|furthest| after(end, furthest));
            if new {
                mine.furthest = Some(end);
                if length > 0 && mine.timed.is_none() {
                    mine.timed = Some((end, ts_ns));
                }
            } else if length > 0 {
                mine.timed = None;
            }
            if header.flags & flags::SYN == 0 {
                mine.zero_windows += u64::from(header.window == 0 && !mine.window_closed);
                mine.window_closed = header.window == 0;
            }
            if header.flags & flags::ACK != 0 {
                mine.acked = Some(header.ack);
            }
            if header.flags & flags::ACK != 0
                && let Some((timed_end, sent_ns)) = other.timed
                && !after(timed_end, header.ack)
            {
                other.timed = None;
                let rtt_ns = ts_ns - sent_ns;
                if rtt_ns >= 0 {
                    self.rtt_ns = Some(self.rtt_ns.map_or(rtt_ns, |least| least.min(rtt_ns)));
                }
            }
        }
        if header.flags & flags::FIN != 0 {
            self.sides[way].fin = true;
        }
        self.resets += u64::from(reset);
        if reset || header.flags & flags::FIN != 0 {
            self.closed_by.get_or_insert(way);
        }
    }

    fn handshake(&mut self, way: Way, header: &TcpHeader, ts_ns: i64) {
        if header.flags & flags::RST != 0 {
            return;
        }
        let ack = header.flags & flags::ACK != 0;
        if header.flags & flags::SYN != 0 {
            self.sides[way].initial_seq.get_or_insert(header.seq);
            if ack {
                self.syn_ack_ns.get_or_insert(ts_ns);
                self.sides[way.back()].syn_acked.get_or_insert(header.ack);
            } else {
                self.syn_ns.get_or_insert(ts_ns);
            }
        } else if ack
            && self.handshake_ns.is_none()
            && let (Some(syn_ns), Some(_)) = (self.syn_ns, self.syn_ack_ns)
            && self.sides[way.back()].initial_seq.is_some_and(|initial| header.ack == initial.wrapping_add(1))
        {
            self.handshake_ns = Some(ts_ns - syn_ns).filter(|&ns| ns >= 0);
        }
    }

    /// Whether it is over: reset, or closed from both sides.
    pub fn is_closed(&self) -> bool {
        self.resets > 0 || Way::BOTH.iter().all(|&way| self.sides[way].fin)
    }

    /// How far it came, as `flows.tcp_state` says it.
    pub fn state(&self) -> &'static str {
        let opened = self.handshake_ns.is_some() || self.syn_ack_ns.is_some();
        let fins = Way::BOTH.iter().filter(|&&way| self.sides[way].fin).count();
        match (self.resets > 0, fins) {
            (true, _) => "reset",
            (false, 2) => "closed",
            (false, 1) => "half_closed",
            (false, _) if opened => "established",
            (false, _) if self.syn_ns.is_some() => {
                if Way::BOTH.iter().all(|&way| self.sides[way].furthest.is_some()) {
                    "established"
                } else {
                    "syn_sent"
                }
            }
            (false, _) => "unknown",
        }
    }
}
