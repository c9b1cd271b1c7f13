//! The way of each frame through the headers.

use super::fragments::{Fragments, Joined, Taken};
use super::packet::Packet;
use super::pieces::{Came, Piece, Sent};
use super::transport::{Unit, transport};
use super::walk::{Fragment, Layer, Turn, Walk};
use super::{ip, link};
use crate::limits;
use crate::read::Stretch;
use crate::tally::{Stage, Tally};
use std::collections::VecDeque;

/// Something odd below the transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Time of its packet [ns].
    pub ts_ns: i64,
    /// What it is.
    pub kind: &'static str,
    /// What exactly was seen.
    pub detail: String,
    /// Bytes it concerns.
    pub bytes: u64,
}

/// Decodes the frames of one capture after another.
#[derive(Debug, Default)]
pub struct Decoder {
    fragments: Fragments,
    /// Begins of datagrams that were given up.
    given_up: VecDeque<Joined>,
    /// How far the stretch may grow by datagrams put together.
    stretch_bytes_max: usize,
    /// Index of the capture.
    capture: u32,
    /// Numbers of the frames that wait for others, in order.
    waiting: Vec<u64>,
    /// Frames that waited, and what came of them, until the packets of the present one are made.
    told: Vec<(Piece, Option<Sent>)>,
    /// Frames that waited for a datagram of which nothing came.
    lost: Vec<Piece>,
    tally: Tally,
    found: Vec<Found>,
}

/// How the walk through a frame or datagram ended.
enum Ended {
    Done,
    Refused(&'static str),
    Joined(Box<Joined>),
    Held,
}

impl Decoder {
    /// A further input begins.
    pub fn begin_capture(&mut self, index: u32) {
        self.capture = index;
    }

    /// Decodes all frames of a stretch, in order. Datagrams put together from fragments are appended to its bytes.
    pub fn decode(&mut self, stretch: &mut Stretch, packets: &mut Vec<Packet>) {
        self.stretch_bytes_max = stretch.bytes.len() + limits::JOINED_BYTES_MAX;
        let frames = std::mem::take(&mut stretch.frames);
        for frame in &frames {
            let unit = Unit::of(frame, frame.at as usize, true);
            let cut_bytes = frame.wire_bytes.saturating_sub(frame.captured_bytes);
            let walk = Walk::new(stretch.points.netns(frame.interface), stretch.data(frame), cut_bytes);
            let ended = self.walk(walk, Layer::Link(frame.link), &unit, None, packets);
            if let Ended::Joined(datagram) = ended {
                self.joined(stretch, *datagram, packets);
            }
            self.given_up(stretch, packets);
        }
        stretch.frames = frames;
    }

    /// Nothing more comes: of datagrams that wait for fragments the begin is decoded, into a stretch without frames.
    pub fn end(&mut self, stretch: &mut Stretch, packets: &mut Vec<Packet>) {
        self.stretch_bytes_max = stretch.bytes.len() + limits::JOINED_BYTES_MAX;
        for _ in 0..limits::FRAGMENTS_NESTED_MAX {
            let taken = self.fragments.end();
            self.take(taken);
            // The begin of what a tunnel carried may be a fragment again.
            self.given_up(stretch, packets);
        }
        let taken = self.fragments.end();
        self.take(taken);
        for datagram in std::mem::take(&mut self.given_up) {
            self.count("fragment, incomplete", 0, datagram.bytes.len() as u64);
            self.pieces(datagram.came, None);
        }
        self.tell(packets);
    }

    /// What stayed outside of any flow.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The same since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The anomalies found since the last call.
    pub fn take_found(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
    }

    /// Numbers of the frames of the stretch that wait for others: a packet stands for each later on, or they are lost.
    pub fn take_waiting(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.waiting)
    }

    /// Frames that waited in vain since the last call.
    pub fn take_lost(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.lost)
    }

    /// The begins of datagrams that were given up, oldest first.
    fn given_up(&mut self, stretch: &mut Stretch, packets: &mut Vec<Packet>) {
        while let Some(datagram) = self.given_up.pop_front() {
            self.joined(stretch, datagram, packets);
        }
        self.tell(packets);
    }

    /// A datagram may carry a tunnel whose packets are fragments again.
    fn joined(&mut self, stretch: &mut Stretch, datagram: Joined, packets: &mut Vec<Packet>) {
        let mut next = datagram;
        for _ in 0..limits::HEADERS_NESTED_MAX {
            let (key, waited, first) = (next.key, next.came.waited, packets.len());
            let (ended, came) = self.rewalk(stretch, next, packets);
            let sent = sent_last(packets, first);
            if !waited {
                self.fragments.lately.was_of(&key, sent);
            }
            match (ended, came) {
                (Ended::Joined(datagram), _) => next = *datagram,
                (_, Some(came)) => return self.pieces(came, sent),
                _ => return,
            }
        }
        self.count("too many headers", 0, next.bytes.len() as u64);
        self.pieces(next.came, None);
    }

    /// Walks through a datagram. Its frames come back, unless they wait with others now.
    fn rewalk(&mut self, stretch: &mut Stretch, datagram: Joined, packets: &mut Vec<Packet>) -> (Ended, Option<Came>) {
        let base = stretch.bytes.len();
        if base + datagram.bytes.len() > self.stretch_bytes_max {
            self.count("too many fragments", 0, datagram.bytes.len() as u64);
            return (Ended::Refused("too many fragments"), Some(datagram.came));
        }
        stretch.bytes.extend_from_slice(&datagram.bytes);
        let data = stretch.bytes.get(base..).unwrap_or_default();
        let walk = Walk::within(datagram.around, data, datagram.missing_bytes);
        let frame = datagram.came.piece.frame;
        let others = datagram.came.others.iter().filter(|piece| !piece.seen_before);
        let unit = others.fold(Unit::of(&frame, base, false), |unit, piece| Unit {
            began_ns: unit.began_ns.min(piece.frame.ts_ns),
            frames: unit.frames + 1,
            frames_wire_bytes: unit.frames_wire_bytes + u64::from(piece.frame.wire_bytes),
            ..unit
        });
        let mut came = Some(datagram.came);
        let first = match datagram.around.ip_version {
            6 => Layer::Extension(datagram.protocol),
            _ => Layer::Transport(datagram.protocol),
        };
        let ended = self.walk(walk, first, &unit, Some(&mut came), packets);
        (ended, came)
    }

    /// Notes what came of the frames that waited for a datagram.
    fn pieces(&mut self, came: Came, sent: Option<Sent>) {
        self.told.extend(came.all().map(|piece| (piece, sent.or(piece.carrier))));
    }

    /// Hands on frames that waited, behind the packet of their datagram: each belongs to the same conversation.
    fn tell(&mut self, packets: &mut Vec<Packet>) {
        for (piece, sent) in self.told.drain(..) {
            match sent {
                Some(sent) => packets.push(piece.packet(sent)),
                None => self.lost.push(piece),
            }
        }
    }

    /// Walks through a frame, or a datagram with the frames it came in.
    fn walk(
        &mut self,
        mut walk: Walk<'_>,
        first: Layer,
        unit: &Unit<'_>,
        came: Option<&mut Option<Came>>,
        packets: &mut Vec<Packet>,
    ) -> Ended {
        let (mut layer, before) = (first, packets.len());
        let mut ended = Ended::Refused("too many headers");
        for _ in 0..limits::HEADERS_NESTED_MAX {
            let turn = match layer {
                Layer::EtherType(kind) => link::ether_type(&mut walk, kind),
                Layer::Ethernet => link::ethernet(&mut walk),
                Layer::Extension(next) => ip::extensions(&mut walk, next),
                Layer::Ip => ip::ip(&mut walk),
                Layer::Link(kind) => link::link(&mut walk, kind),
                Layer::Llc => link::llc(&mut walk),
                Layer::Mpls => link::mpls(&mut walk),
                Layer::Nsh => link::nsh(&mut walk),
                Layer::Ppp => link::ppp(&mut walk),
                Layer::Transport(protocol) => transport(&mut walk, protocol, unit, packets),
            };
            ended = match turn {
                Turn::Next(next) => {
                    layer = next;
                    continue;
                }
                Turn::Done => Ended::Done,
                Turn::Fragment(fragment) => {
                    let alone = || Came::alone(Piece::new(unit.frame, self.capture));
                    let came = came.and_then(Option::take).unwrap_or_else(alone);
                    self.fragment(&walk, &fragment, unit, came.carried(sent_last(packets, before)))
                }
                Turn::Refused(reason) => Ended::Refused(reason),
            };
            break;
        }
        if let Ended::Refused(reason) = ended {
            self.count(reason, unit.counted.into(), walk.data.len() as u64);
        }
        ended
    }

    fn fragment(&mut self, walk: &Walk<'_>, fragment: &Fragment, unit: &Unit<'_>, came: Came) -> Ended {
        let payload_bytes = walk.rest().len();
        self.count("fragment header", unit.counted.into(), (walk.data.len() - payload_bytes) as u64);
        let waited = came.waited;
        let taken = self.fragments.take(walk, fragment, came);
        if taken.waits && !waited {
            self.waiting.push(unit.frame.number);
        }
        if taken.overlap_bytes > 0 && self.found.len() < limits::DECODE_ANOMALIES_MAX {
            let kind = if taken.differs { "fragment_overlap_differs" } else { "fragment_overlap" };
            let detail = format!("id {:#x}, offset {}", fragment.id, fragment.offset);
            self.found.push(Found { ts_ns: unit.frame.ts_ns, kind, detail, bytes: taken.overlap_bytes });
        }
        self.take(taken).map_or(Ended::Held, |datagram| Ended::Joined(Box::new(datagram)))
    }

    /// Counts what is not handed on.
    fn take(&mut self, taken: Taken) -> Option<Joined> {
        self.count("seen at another capture point", 0, taken.seen_bytes);
        self.count("fragment, repeated", 0, taken.overlap_bytes);
        self.count("fragment, incomplete", 0, taken.incomplete_bytes);
        self.given_up.extend(taken.given_up);
        self.told.extend(taken.lost.into_iter().map(|piece| (piece, piece.carrier)));
        if let Some((came, sent)) = taken.late {
            self.pieces(came, sent);
        }
        taken.joined
    }

    fn count(&mut self, reason: &'static str, packets: u64, bytes: u64) {
        if packets + bytes > 0 {
            self.tally.add(Stage::Decode, reason, packets, bytes);
        }
    }
}

/// What the innermost packet is of, of those from `first` on.
fn sent_last(packets: &[Packet], first: usize) -> Option<Sent> {
    packets.get(first..)?.last().map(|packet| (packet.key, packet.from_low))
}
