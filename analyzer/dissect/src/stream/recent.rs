//! What was handed on lately, to tell a repeat from a segment with other bytes.
//!
//! Bytes that were handed on are gone. Digests of the last segments tell of repeats that hold a whole one of them, as
//! those of retransmissions do; the last bytes of the stream are kept themselves, for segments that overlap its end. What
//! repeats other parts of a segment is not compared.

/// Segments remembered.
const SEGMENTS: usize = 8;

/// Bytes of the end that are kept: with the digests about as much for each side. Ends that overlap on purpose do so by
/// what a reassembler is to choose wrongly: a word, a header line, a path.
const TAIL_BYTES: usize = 128;

/// A segment by place and a digest of its bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    place: u64,
    length: usize,
    digest: u64,
}

/// What one side sent lately.
#[derive(Debug)]
pub struct Recent {
    segments: [Sent; SEGMENTS],
    /// The oldest of them, which the next one replaces.
    oldest: u8,
    /// The last bytes, and the place behind them.
    tail: [u8; TAIL_BYTES],
    tail_length: usize,
    tail_end: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { segments: Default::default(), oldest: 0, tail: [0; TAIL_BYTES], tail_length: 0, tail_end: 0 }
    }
}

impl Recent {
    /// Takes note of bytes that are handed on.
    pub fn remember(&mut self, place: u64, bytes: &[u8]) {
        self.segments[usize::from(self.oldest)] = Sent { place, length: bytes.len(), digest: digest(bytes) };
        self.oldest = (self.oldest + 1) % SEGMENTS as u8;
        if place != self.tail_end {
            self.tail_length = 0;
        }
        // The tail stands at the end of its array.
        let new = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        self.tail.copy_within(new.len().., 0);
        self.tail[TAIL_BYTES - new.len()..].copy_from_slice(new);
        self.tail_length = (self.tail_length + new.len()).min(TAIL_BYTES);
        self.tail_end = place + bytes.len() as u64;
    }

    /// Whether `bytes` at `place` are others than those handed on, as far as that is known.
    pub fn differs(&self, place: u64, bytes: &[u8]) -> bool {
        let end = place + bytes.len() as u64;
        self.tail_differs(place, bytes, end)
            || self.segments.iter().any(|sent| {
                let inside = sent.length > 0 && sent.place >= place && sent.place + sent.length as u64 <= end;
                let from = sent.place.wrapping_sub(place) as usize;
                inside && bytes.get(from..from + sent.length).is_some_and(|bytes| digest(bytes) != sent.digest)
            })
    }

    fn tail_differs(&self, place: u64, bytes: &[u8], end: u64) -> bool {
        let known = &self.tail[TAIL_BYTES - self.tail_length..];
        let begin = self.tail_end - self.tail_length as u64;
        let (from, to) = (place.max(begin), end.min(self.tail_end));
        from < to
            && known.get((from - begin) as usize..(to - begin) as usize)
                != bytes.get((from - place) as usize..(to - place) as usize)
    }
}

/// A digest of all bytes, in four lanes so that it costs less than reading them from memory.
fn digest(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x517c_c1b7_2722_0a95;
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let add = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(ODD);
    let mut lanes = [bytes.len() as u64, 1, 2, 3];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, bytes) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            *lane = add(*lane, word(bytes));
        }
    }
    let mut words = blocks.remainder().chunks_exact(8);
    let rest = words.by_ref().fold(0, |sum, bytes| add(sum, word(bytes)));
    let last = words.remainder().iter().fold(0, |last, &byte| last << 8 | u64::from(byte));
    lanes.into_iter().fold(add(rest, last), add)
}
