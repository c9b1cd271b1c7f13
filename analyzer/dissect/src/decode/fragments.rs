//! Datagrams put together from fragments (RFC 791 §3.2, RFC 8200 §4.5). The first copy of a byte wins.

use super::packet::Tunnel;
use super::walk::{Fragment, Walk};
use crate::limits;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Which datagram a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    source: [u8; 16],
    destination: [u8; 16],
    id: u32,
    protocol: u8,
    vlan: u16,
    tunnel: Tunnel,
}

#[derive(Debug, Default)]
struct Datagram {
    pieces: BTreeMap<u32, Vec<u8>>,
    /// Its length, once the last fragment said so.
    length: Option<u32>,
    held_bytes: usize,
    last_ns: i64,
}

/// What a fragment led to.
#[derive(Debug, Default)]
pub struct Taken {
    /// The whole datagram, where it is now.
    pub whole: Option<Vec<u8>>,
    /// Bytes that were there already.
    pub overlap_bytes: u64,
    /// Whether some of these differ from what was there.
    pub differs: bool,
    /// Bytes of datagrams given up.
    pub incomplete_bytes: u64,
}

/// Datagrams of which parts are missing.
#[derive(Debug, Default)]
pub struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    /// Oldest first; a key may be gone already.
    order: VecDeque<Key>,
    held_bytes: usize,
}

impl Fragments {
    /// Takes a fragment in.
    pub fn take(&mut self, walk: &Walk<'_>, fragment: &Fragment, ts_ns: i64) -> Taken {
        let mut taken = Taken::default();
        let payload = walk.rest();
        if fragment.cut || fragment.offset as usize + payload.len() > limits::DATAGRAM_BYTES_MAX {
            // What was cut can never be whole.
            taken.incomplete_bytes = payload.len() as u64;
            return taken;
        }
        self.make_room(payload.len(), ts_ns, &mut taken);
        let key = Key {
            source: walk.source,
            destination: walk.destination,
            id: fragment.id,
            protocol: fragment.protocol,
            vlan: walk.vlan,
            tunnel: walk.tunnel,
        };
        let order = &mut self.order;
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            order.push_back(key);
            Datagram::default()
        });
        datagram.last_ns = ts_ns;
        let new_bytes = datagram.put(fragment.offset, payload, &mut taken);
        self.held_bytes += new_bytes;
        if !fragment.more {
            datagram.length.get_or_insert(fragment.offset + payload.len() as u32);
        }
        if datagram.is_whole()
            && let Some(datagram) = self.datagrams.remove(&key)
        {
            self.held_bytes -= datagram.held_bytes;
            taken.whole = Some(datagram.pieces.into_values().flatten().collect());
        }
        taken
    }

    /// Bytes of datagrams that never became whole.
    pub fn end(&mut self) -> u64 {
        let held = std::mem::take(&mut self.held_bytes);
        self.datagrams.clear();
        self.order.clear();
        held as u64
    }

    /// Gives up what is too old, or too much.
    fn make_room(&mut self, bytes: usize, now_ns: i64, taken: &mut Taken) {
        while let Some(key) = self.order.front() {
            let full = self.held_bytes + bytes > limits::FRAGMENT_BYTES_MAX || self.order.len() > limits::DATAGRAMS_MAX;
            let old =
                self.datagrams.get(key).is_none_or(|datagram| now_ns - datagram.last_ns > limits::FRAGMENT_AGE_NS);
            if !full && !old {
                break;
            }
            if let Some(datagram) = self.datagrams.remove(key) {
                self.held_bytes -= datagram.held_bytes;
                taken.incomplete_bytes += datagram.held_bytes as u64;
            }
            self.order.pop_front();
        }
    }
}

impl Datagram {
    /// Puts in what is not there yet; returns how much that is.
    fn put(&mut self, offset: u32, payload: &[u8], taken: &mut Taken) -> usize {
        let mut new_bytes = 0;
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
            new_bytes += piece.len();
            self.pieces.insert(at, piece);
            at = until;
        }
        self.held_bytes += new_bytes;
        new_bytes
    }

    fn is_whole(&self) -> bool {
        // Pieces do not overlap, so as many bytes as the length leave no hole, unless some are behind the end.
        let end = self.pieces.last_key_value().map(|(at, piece)| at + piece.len() as u32);
        self.length.is_some() && end == self.length && self.held_bytes as u32 == self.length.unwrap_or_default()
    }
}
