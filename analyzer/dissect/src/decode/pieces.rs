//! What is known of the pieces of a datagram beside their bytes: the frames they came in, so that each of these belongs to
//! the flow of the datagram, and where they were seen, so that the same one from another capture point begins nothing anew.

use super::packet::{FlowKey, Packet, Transport, Tunnel};
use super::walk::Around;
use crate::limits;
use crate::read::Frame;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Which datagram a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    source: [u8; 16],
    destination: [u8; 16],
    id: u32,
    /// Of IPv4 alone (RFC 791 §2.3, RFC 8200 §4.5).
    protocol: u8,
    vlan: u16,
    tunnel: Tunnel,
    netns: u32,
}

impl Key {
    /// Of a fragment with these headers around it.
    pub fn new(around: &Around, id: u32, protocol: u8) -> Self {
        let Around { source, destination, vlan, tunnel, ip_version, .. } = *around;
        let protocol = if ip_version == 4 { protocol } else { 0 };
        Self { source, destination, id, protocol, vlan, tunnel, netns: around.own_netns() }
    }
}

/// A conversation, and whether its lesser end sent.
pub type Sent = (FlowKey, bool);

/// A frame that brought a piece.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// The frame.
    pub frame: Frame,
    /// Index of its capture.
    pub capture: u32,
    /// The tunnel around the piece, where there is one.
    pub carrier: Option<Sent>,
    /// Whether another capture point had shown the piece.
    pub seen_before: bool,
}

impl Piece {
    /// Of a frame of that capture.
    pub fn new(frame: &Frame, capture: u32) -> Self {
        Self { frame: *frame, capture, carrier: None, seen_before: false }
    }

    /// The packet that stands for its frame in a conversation.
    pub fn packet(&self, (key, from_low): Sent) -> Packet {
        let Frame { number, ts_ns, file_offset, interface, heard, captured_bytes, wire_bytes, .. } = self.frame;
        Packet {
            number,
            ts_ns,
            began_ns: ts_ns,
            file_offset,
            interface,
            device: 0,
            heard,
            captured_bytes,
            wire_bytes,
            frames: 1,
            frames_wire_bytes: wire_bytes.into(),
            key,
            from_low,
            ip_id: 0,
            transport: Transport::Other,
            payload_at: 0,
            payload_bytes: 0,
            payload_wire_bytes: 0,
            carrier: false,
            counted: false,
            overhead_bytes: 0,
            piece_of: Some(self.capture),
        }
    }

    /// Whether it is of the same frame.
    fn is(&self, other: &Self) -> bool {
        (self.capture, self.frame.number) == (other.capture, other.frame.number)
    }
}

/// The frames a unit came in.
#[derive(Debug)]
pub struct Came {
    /// The one it stands for.
    pub piece: Piece,
    /// The others, of a datagram put together.
    pub others: Vec<Piece>,
    /// Whether the first waited too: its stretch is over, or makes no row of it.
    pub waited: bool,
}

impl Came {
    /// In one frame.
    pub fn alone(piece: Piece) -> Self {
        Self { piece, others: Vec::new(), waited: false }
    }

    /// In one of the frames that waited.
    pub fn waited(piece: Piece, mut pieces: Vec<Piece>) -> Self {
        pieces.retain(|other| !other.is(&piece));
        Self { piece, others: pieces, waited: true }
    }

    /// The same within a tunnel, where it is one.
    pub fn carried(mut self, carrier: Option<Sent>) -> Self {
        self.each(|piece| piece.carrier = carrier.or(piece.carrier));
        self
    }

    /// The same where another capture point had shown what they brought.
    pub fn seen_before(mut self) -> Self {
        self.each(|piece| piece.seen_before = true);
        self
    }

    fn each(&mut self, change: impl FnMut(&mut Piece)) {
        self.others.iter_mut().chain([&mut self.piece]).for_each(change);
    }

    /// All that waited.
    pub fn all(self) -> impl Iterator<Item = Piece> {
        self.others.into_iter().chain(self.waited.then_some(self.piece))
    }
}

/// A piece as it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// Its length.
    pub bytes: u32,
    /// A digest of it.
    pub digest: u64,
    /// The interface, and where within that.
    pub point: (u32, u32),
    /// When [ns].
    pub ts_ns: i64,
}

/// The pieces of a datagram by offset, each as it was seen last.
pub type Sightings = BTreeMap<u32, Sighting>;

/// Notes a piece that was seen a moment ago at another point; says whether it was.
pub fn seen_again(sightings: &mut Sightings, offset: u32, new: Sighting) -> bool {
    let Some(known) = sightings.get_mut(&offset) else { return false };
    let again = (known.bytes, known.digest) == (new.bytes, new.digest)
        && known.point != new.point
        && known.ts_ns.abs_diff(new.ts_ns) < limits::SEEN_TWICE_NS as u64;
    if again {
        *known = new;
    }
    again
}

/// A datagram that was whole a moment ago.
#[derive(Debug)]
struct Whole {
    sightings: Sightings,
    ts_ns: i64,
    sent: Option<Sent>,
}

/// Datagrams that were whole a moment ago: the other points may show their pieces yet.
#[derive(Debug, Default)]
pub struct Lately {
    datagrams: HashMap<Key, Whole>,
    /// Oldest first; a key may be gone already.
    order: VecDeque<(Key, i64)>,
    pieces: usize,
}

impl Lately {
    /// Remembers one that is whole now.
    pub fn remember(&mut self, key: Key, sightings: Sightings, ts_ns: i64) {
        self.pieces += sightings.len();
        self.order.push_back((key, ts_ns));
        if let Some(before) = self.datagrams.insert(key, Whole { sightings, ts_ns, sent: None }) {
            self.pieces -= before.sightings.len();
        }
        while let Some(&(oldest, then_ns)) = self.order.front()
            && (self.pieces.max(self.order.len()) > limits::WHOLE_PIECES_MAX
                || ts_ns.abs_diff(then_ns) >= limits::SEEN_TWICE_NS as u64)
        {
            self.order.pop_front();
            if self.datagrams.get(&oldest).is_some_and(|whole| whole.ts_ns == then_ns)
                && let Some(gone) = self.datagrams.remove(&oldest)
            {
                self.pieces -= gone.sightings.len();
            }
        }
    }

    /// What one of them was of.
    pub fn was_of(&mut self, key: &Key, sent: Option<Sent>) {
        if let Some(whole) = self.datagrams.get_mut(key) {
            whole.sent = sent;
        }
    }

    /// Of what a piece is that another point showed before.
    pub fn seen_again(&mut self, key: &Key, offset: u32, sighting: Sighting) -> Option<Option<Sent>> {
        let whole = self.datagrams.get_mut(key)?;
        seen_again(&mut whole.sightings, offset, sighting).then_some(whole.sent)
    }
}
