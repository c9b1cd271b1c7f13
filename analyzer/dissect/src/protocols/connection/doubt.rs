//! Bytes that came again with other values: which of both was meant nobody says, and what was read of them may be wrong.

use crate::flow::Way;
use crate::protocols::Stamp;

/// Latest ones remembered, for calls that are not over.
const DOUBTS_MAX: usize = 8;

/// Some bytes of one side.
#[derive(Debug)]
struct Doubt {
    way: Way,
    seq: u32,
    bytes: u32,
    ts_ns: i64,
}

/// Those of a connection.
#[derive(Debug, Default)]
pub(super) struct Doubts(Vec<Doubt>);

impl Doubts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of some, and when they came again [ns].
    pub fn push(&mut self, way: Way, seq: u32, bytes: u32, ts_ns: i64) {
        if self.0.len() >= DOUBTS_MAX {
            self.0.remove(0);
        }
        self.0.push(Doubt { way, seq, bytes, ts_ns });
    }

    /// Whether some are among those of a stamp.
    pub fn touch(&self, way: Way, stamp: &Stamp) -> bool {
        let place = stamp.place as u32;
        self.0.iter().any(|doubt| {
            // Numbers come round: what was sent later is not meant.
            (doubt.way == way && stamp.first_ns <= doubt.ts_ns)
                && (u64::from(doubt.seq.wrapping_sub(place)) < stamp.bytes
                    || place.wrapping_sub(doubt.seq) < doubt.bytes)
        })
    }

    /// Memory they take.
    pub fn held_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Doubt>()
    }
}
