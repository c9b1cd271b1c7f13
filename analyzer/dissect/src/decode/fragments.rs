//! Datagrams put together from fragments (RFC 791 §3.2, RFC 8200 §4.5). The first copy of a byte wins. Of one that is given
//! up its begin is handed on, as a datagram that was cut: the first fragment alone has ports, so that it is often the only one
//! that a filter let through.

use super::packet::IpProtocol;
use super::pieces::{Came, Key, Lately, Piece, Sent, Sighting, Sightings, seen_again};
use super::walk::{Around, Fragment, Walk, u16_at};
use crate::limits;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;

/// A datagram, as far as there is something of it without a hole.
#[derive(Debug)]
pub struct Joined {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many are missing behind them, as far as that is known.
    pub missing_bytes: u32,
    /// Which it is.
    pub key: Key,
    /// What its first header is, as the first fragment says.
    pub protocol: u8,
    /// The frames it came in: it stands for that of the fragment that made it whole; where bytes are missing, of the first.
    pub came: Came,
    /// The headers in that frame.
    pub around: Around,
}

#[derive(Debug, Default)]
struct Datagram {
    pieces: BTreeMap<u32, Vec<u8>>,
    /// Its length, once the last fragment said so.
    length: Option<u32>,
    payload_bytes: usize,
    last_ns: i64,
    /// The first fragment's frame, the headers in it, and what it says comes first in the datagram.
    front: Option<(Piece, Around, u8)>,
    /// All frames it came in.
    frames: Vec<Piece>,
    sightings: Sightings,
}

/// What a fragment led to.
#[derive(Debug, Default)]
pub struct Taken {
    /// The datagram, where it is whole now, or never will be.
    pub joined: Option<Joined>,
    /// Begins of others that were given up.
    pub given_up: Vec<Joined>,
    /// The frames of its piece, where it went on before: another capture point saw the same.
    pub late: Option<(Came, Option<Sent>)>,
    /// Frames of datagrams given up, none of which has a begin.
    pub lost: Vec<Piece>,
    /// Whether its frame is handed on as a piece.
    pub waits: bool,
    /// Bytes that another capture point saw a moment ago.
    pub seen_bytes: u64,
    /// Bytes that were there already.
    pub overlap_bytes: u64,
    /// Whether some of these differ from what was there.
    pub differs: bool,
    /// Bytes of datagrams given up, but for these begins.
    pub incomplete_bytes: u64,
}

/// Datagrams of which parts are missing.
#[derive(Debug, Default)]
pub struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    /// Oldest first; a key may be gone already.
    order: VecDeque<Key>,
    held_bytes: usize,
    /// Those that were whole a moment ago.
    pub lately: Lately,
}

/// What a frame costs while it waits.
const FRAME_BYTES: usize = size_of::<Piece>() + size_of::<(u32, Sighting)>();

impl Fragments {
    /// Takes a fragment in.
    pub fn take(&mut self, walk: &Walk<'_>, fragment: &Fragment, mut came: Came) -> Taken {
        let mut taken = Taken::default();
        let (payload, around, frame) = (walk.rest(), walk.around, came.piece.frame);
        let key = Key::new(&around, fragment.id, fragment.protocol);
        let front = (fragment.offset == 0).then_some((came.piece, around, fragment.protocol));
        if fragment.cut || fragment.offset as usize + payload.len() > limits::DATAGRAM_BYTES_MAX {
            // What was cut can never be whole.
            let waited = came.waited;
            let alone = Datagram {
                pieces: [(fragment.offset, payload.to_vec())].into(),
                payload_bytes: payload.len(),
                front,
                frames: came.all().collect(),
                ..Datagram::default()
            };
            let begin = alone.begin(key, &mut taken);
            taken.joined = begin.map(|begin| Joined { came: Came { waited, ..begin.came }, ..begin });
            return taken;
        }
        let sighting = Sighting {
            bytes: payload.len() as u32,
            digest: self.datagrams.hasher().hash_one(payload),
            point: (frame.interface, around.device),
            ts_ns: frame.ts_ns,
        };
        if let Some(sent) = self.lately.seen_again(&key, fragment.offset, sighting) {
            (taken.waits, taken.seen_bytes) = (true, payload.len() as u64);
            taken.late = Some((Came { waited: true, ..came }, sent));
            return taken;
        }
        let cost_bytes = limits::FRAGMENT_PIECE_BYTES + FRAME_BYTES * (1 + came.others.len());
        self.make_room(payload.len() + cost_bytes, frame.ts_ns, &mut taken);
        let order = &mut self.order;
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            order.push_back(key);
            Datagram::default()
        });
        datagram.last_ns = frame.ts_ns;
        let before_bytes = datagram.held_bytes();
        if seen_again(&mut datagram.sightings, fragment.offset, sighting) {
            taken.seen_bytes = payload.len() as u64;
            came = came.seen_before();
        } else {
            datagram.front = datagram.front.or(front);
            datagram.sightings.insert(fragment.offset, sighting);
            datagram.put(fragment.offset, payload, &mut taken);
            if !fragment.more {
                datagram.length.get_or_insert(fragment.offset + payload.len() as u32);
            }
        }
        datagram.frames.extend(came.others);
        if !datagram.is_whole() {
            taken.waits = true;
            datagram.frames.push(came.piece);
            self.held_bytes += datagram.held_bytes() - before_bytes;
        } else if let Some(datagram) = self.datagrams.remove(&key) {
            self.held_bytes -= before_bytes;
            self.lately.remember(key, datagram.sightings, sighting.ts_ns);
            let came = Came { piece: came.piece, others: datagram.frames, waited: came.waited };
            let protocol = datagram.front.map_or(fragment.protocol, |(.., protocol)| protocol);
            let bytes = datagram.pieces.into_values().flatten().collect();
            taken.joined = Some(Joined { bytes, missing_bytes: 0, key, protocol, came, around });
        }
        taken
    }

    /// Gives up all that are not whole.
    pub fn end(&mut self) -> Taken {
        let mut taken = Taken::default();
        while let Some(key) = self.order.pop_front() {
            self.give_up(&key, &mut taken);
        }
        taken
    }

    fn give_up(&mut self, key: &Key, taken: &mut Taken) {
        if let Some(datagram) = self.datagrams.remove(key) {
            self.held_bytes -= datagram.held_bytes();
            let begin = datagram.begin(*key, taken);
            taken.given_up.extend(begin);
        }
    }

    /// Gives up what is too old, or too much.
    fn make_room(&mut self, bytes: usize, now_ns: i64, taken: &mut Taken) {
        while let Some(key) = self.order.front().copied() {
            let full = self.held_bytes + bytes > limits::FRAGMENT_BYTES_MAX || self.order.len() > limits::DATAGRAMS_MAX;
            let old =
                self.datagrams.get(&key).is_none_or(|datagram| now_ns - datagram.last_ns > limits::FRAGMENT_AGE_NS);
            if !full && !old {
                break;
            }
            self.give_up(&key, taken);
            self.order.pop_front();
        }
    }
}

impl Datagram {
    /// What it costs to hold it.
    fn held_bytes(&self) -> usize {
        self.payload_bytes + self.pieces.len() * limits::FRAGMENT_PIECE_BYTES + self.frames.len() * FRAME_BYTES
    }

    /// Puts in what is not there yet.
    fn put(&mut self, offset: u32, payload: &[u8], taken: &mut Taken) {
        let mut at = offset;
        let end = offset + payload.len() as u32;
        while at < end {
            let ahead = payload.get((at - offset) as usize..).unwrap_or_default();
            let before = self.pieces.range(..=at).next_back().map(|(&from, piece)| (from, piece.as_slice()));
            let covered = before.filter(|(from, piece)| from + piece.len() as u32 > at);
            if let Some((from, piece)) = covered {
                let there = piece.get((at - from) as usize..).unwrap_or_default();
                let shared = there.len().min(ahead.len());
                taken.overlap_bytes += shared as u64;
                taken.differs |= there.get(..shared) != ahead.get(..shared);
                at += shared as u32;
                continue;
            }
            let until = self.pieces.range(at..).next().map_or(end, |(&next, _)| next.min(end));
            let piece = ahead.get(..(until - at) as usize).unwrap_or_default().to_vec();
            self.payload_bytes += piece.len();
            self.pieces.insert(at, piece);
            at = until;
        }
    }

    /// What of it is at its begin, without a hole; what is not is counted.
    fn begin(self, key: Key, taken: &mut Taken) -> Option<Joined> {
        let mut bytes = Vec::new();
        if self.front.is_some() {
            for (at, piece) in self.pieces {
                if at as usize != bytes.len() {
                    break;
                }
                bytes.extend_from_slice(&piece);
            }
        }
        taken.incomplete_bytes += (self.payload_bytes - bytes.len()) as u64;
        let Some((front, around, protocol)) = self.front.filter(|_| !bytes.is_empty()) else {
            taken.lost.extend(self.frames);
            return None;
        };
        // A datagram of UDP says its length itself; what is missing of a stream the next segment tells.
        let length = match (self.length, IpProtocol(protocol)) {
            (Some(length), _) => length,
            (None, IpProtocol::UDP) => u16_at(&bytes, 4).map_or(0, u32::from),
            (None, _) => 0,
        };
        let missing_bytes = length.saturating_sub(bytes.len() as u32);
        Some(Joined { bytes, missing_bytes, key, protocol, came: Came::waited(front, self.frames), around })
    }

    fn is_whole(&self) -> bool {
        // Pieces do not overlap, so as many bytes as the length leave no hole, unless some are behind the end.
        let end = self.pieces.last_key_value().map(|(at, piece)| at + piece.len() as u32);
        self.length.is_some() && end == self.length && self.payload_bytes as u32 == self.length.unwrap_or_default()
    }
}
