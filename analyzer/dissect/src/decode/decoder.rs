//! The way of each frame through the headers.

use super::fragments::Fragments;
use super::packet::Packet;
use super::transport::{Unit, transport};
use super::walk::{Fragment, Layer, Turn, Walk};
use super::{ip, link};
use crate::limits;
use crate::read::{Frame, Stretch};
use crate::tally::{Stage, Tally};

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
    tally: Tally,
    found: Vec<Found>,
}

/// How the walk through a frame or datagram ended.
enum Ended {
    Done,
    Refused(&'static str),
    Whole { datagram: Vec<u8>, walked: Rewalk },
    Held,
}

/// What a datagram put together keeps of its last fragment.
struct Rewalk {
    protocol: u8,
    source: [u8; 16],
    destination: [u8; 16],
    ip_version: u8,
    ip_id: u16,
    vlan: u16,
    tunnel: super::Tunnel,
}

impl Decoder {
    /// Decodes all frames of a stretch, in order. Datagrams put together from fragments are appended to its bytes.
    pub fn decode(&mut self, stretch: &mut Stretch, packets: &mut Vec<Packet>) {
        let frames = std::mem::take(&mut stretch.frames);
        for frame in &frames {
            let unit = Unit { frame, base: frame.at as usize, counted: true };
            let walk = Walk::new(stretch.data(frame), frame.wire_bytes.saturating_sub(frame.captured_bytes));
            let mut ended = self.walk(walk, Layer::Link(frame.link), &unit, packets);
            // A datagram may carry a tunnel whose packets are fragments again.
            for _ in 0..limits::HEADERS_NESTED_MAX {
                let Ended::Whole { datagram, walked } = ended else { break };
                ended = self.rewalk(stretch, frame, &datagram, &walked, packets);
            }
        }
        stretch.frames = frames;
    }

    /// Nothing more comes: fragments that wait are incomplete.
    pub fn end(&mut self) {
        let bytes = self.fragments.end();
        self.count("fragment, incomplete", 0, bytes);
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

    fn rewalk(
        &mut self,
        stretch: &mut Stretch,
        frame: &Frame,
        datagram: &[u8],
        walked: &Rewalk,
        packets: &mut Vec<Packet>,
    ) -> Ended {
        let base = stretch.bytes.len();
        stretch.bytes.extend_from_slice(datagram);
        let mut walk = Walk::new(stretch.bytes.get(base..).unwrap_or_default(), 0);
        (walk.source, walk.destination, walk.ip_version) = (walked.source, walked.destination, walked.ip_version);
        (walk.ip_id, walk.vlan, walk.tunnel) = (walked.ip_id, walked.vlan, walked.tunnel);
        let unit = Unit { frame, base, counted: false };
        self.walk(walk, Layer::Transport(walked.protocol), &unit, packets)
    }

    fn walk(&mut self, mut walk: Walk<'_>, first: Layer, unit: &Unit<'_>, packets: &mut Vec<Packet>) -> Ended {
        let mut layer = first;
        let mut ended = Ended::Refused("too many headers");
        for _ in 0..limits::HEADERS_NESTED_MAX {
            let turn = match layer {
                Layer::EtherType(kind) => link::ether_type(&mut walk, kind),
                Layer::Ethernet => link::ethernet(&mut walk),
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
                Turn::Fragment(fragment) => self.fragment(&walk, &fragment, unit),
                Turn::Refused(reason) => Ended::Refused(reason),
            };
            break;
        }
        if let Ended::Refused(reason) = ended {
            self.count(reason, unit.counted.into(), walk.data.len() as u64);
        }
        ended
    }

    fn fragment(&mut self, walk: &Walk<'_>, fragment: &Fragment, unit: &Unit<'_>) -> Ended {
        let payload_bytes = walk.rest().len();
        self.count("fragment header", unit.counted.into(), (walk.data.len() - payload_bytes) as u64);
        let taken = self.fragments.take(walk, fragment, unit.frame.ts_ns);
        self.count("fragment, repeated", 0, taken.overlap_bytes);
        self.count("fragment, incomplete", 0, taken.incomplete_bytes);
        if taken.overlap_bytes > 0 && self.found.len() < limits::DECODE_ANOMALIES_MAX {
            let kind = if taken.differs { "fragment_overlap_differs" } else { "fragment_overlap" };
            let detail = format!("id {:#x}, offset {}", fragment.id, fragment.offset);
            self.found.push(Found { ts_ns: unit.frame.ts_ns, kind, detail, bytes: taken.overlap_bytes });
        }
        match taken.whole {
            None => Ended::Held,
            Some(datagram) => Ended::Whole {
                datagram,
                walked: Rewalk {
                    protocol: fragment.protocol,
                    source: walk.source,
                    destination: walk.destination,
                    ip_version: walk.ip_version,
                    ip_id: walk.ip_id,
                    vlan: walk.vlan,
                    tunnel: walk.tunnel,
                },
            },
        }
    }

    fn count(&mut self, reason: &'static str, packets: u64, bytes: u64) {
        if packets + bytes > 0 {
            self.tally.add(Stage::Decode, reason, packets, bytes);
        }
    }
}
