//! A direction that goes on out of any window: the capture lacks more of it than one holds.
//!
//! A segment alone proves nothing: whoever guesses ports may send it.

/// Segments that follow each other, where the other side is not seen.
const SEGMENTS: u32 = 4;

/// How far they may be from what the other side acknowledges, where it is seen: what is under way on a fast path.
const NEAR_BYTES: u32 = 4 << 20;

/// What was seen out of the window of a direction.
#[derive(Debug, Default)]
pub struct Jump {
    /// The number behind the latest segment, and how many followed each other.
    row: Option<(u32, u32)>,
    /// What the other side acknowledged last.
    acked: Option<u32>,
}

impl Jump {
    /// The other side acknowledges a number out of the window, or one within it.
    pub fn acknowledged(&mut self, far_ack: Option<u32>) {
        self.acked = far_ack;
    }

    /// A segment within the window came: what was seen out of it is no part of the stream.
    pub fn refute(&mut self) {
        self.row = None;
    }

    /// Takes in a segment out of the window, and says whether the direction goes on with it.
    pub fn segment(&mut self, seq: u32, bytes: u32, other_is_seen: bool) -> bool {
        let before = self.row.filter(|(next, _)| *next == seq).map_or(0, |(_, before)| before);
        self.row = Some((seq.wrapping_add(bytes), before.saturating_add(1)));
        match self.acked {
            Some(ack) => (ack.wrapping_sub(seq) as i32).unsigned_abs() < NEAR_BYTES,
            None => !other_is_seen && before + 1 >= SEGMENTS,
        }
    }
}
