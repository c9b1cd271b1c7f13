use super::*;
use crate::flow::Way;
use proptest::prelude::*;

/// Byte `n` of a stream, so that any place can be checked.
fn byte(way: Way, n: u32) -> u8 {
    (n.wrapping_mul(31) ^ (n >> 8) ^ (way as u32) << 3) as u8
}

fn bytes(way: Way, from: u32, length: u32) -> Vec<u8> {
    (from..from + length).map(|n| byte(way, n)).collect()
}

struct Play {
    pair: StreamPair,
    lines: Vec<String>,
    packet: u64,
}

impl Play {
    fn new() -> Self {
        Self { pair: StreamPair::default(), lines: Vec::new(), packet: 0 }
    }

    fn segment(&mut self, way: Way, seq: u32, ack: Option<u32>, bytes: &[u8]) -> pair::Outcome {
        self.packet += 1;
        let segment = Segment {
            way,
            seq,
            ack,
            syn: false,
            fin: false,
            bytes,
            cut_bytes: 0,
            ts_ns: self.packet as i64 * 1000,
            packet: self.packet,
        };
        let lines = &mut self.lines;
        self.pair.segment(&segment, &mut |way, chunk| lines.push(show(way, chunk)))
    }

    fn finish(mut self) -> String {
        let lines = &mut self.lines;
        self.pair.finish(&mut |way, chunk| lines.push(show(way, chunk)));
        self.lines.join(" ")
    }
}

fn show(way: Way, chunk: Chunk<'_>) -> String {
    let name = if way == Way::FromLow { "a" } else { "b" };
    match chunk {
        Chunk::Bytes { bytes, .. } => format!("{name}:{}", String::from_utf8_lossy(bytes)),
        Chunk::Gap { lost_bytes } => format!("{name}~{lost_bytes}~"),
        Chunk::End => format!("{name}."),
    }
}

const A: Way = Way::FromLow;
const B: Way = Way::FromHigh;

#[test]
fn cases() {
    type Segments = &'static [(Way, u32, Option<u32>, &'static str)];
    let cases: &[(&str, Segments, &str)] = &[
        ("in order", &[(A, 10, None, "ab"), (A, 12, None, "cd")], "a:ab a:cd"),
        ("out of order", &[(A, 10, None, "ab"), (A, 14, None, "ef"), (A, 12, None, "cd")], "a:ab a:cd a:ef"),
        ("repeated", &[(A, 10, None, "ab"), (A, 10, None, "ab"), (A, 11, None, "bc")], "a:ab a:c"),
        (
            "overlap: the first copy wins",
            &[(A, 10, None, "a"), (A, 12, None, "cd"), (A, 11, None, "bXYe")],
            "a:a a:b a:cd a:e",
        ),
        ("a hole at the end of the input", &[(A, 10, None, "ab"), (A, 15, None, "fg")], "a:ab a~3~ a:fg"),
        ("numbers wrap", &[(A, u32::MAX, None, "ab"), (A, 1, None, "cd")], "a:ab a:cd"),
        (
            "an answer captured before its question",
            &[(A, 10, Some(50), "q"), (B, 50, Some(13), "r"), (A, 11, Some(50), "es")],
            "a:q a:es b:r",
        ),
        ("an acknowledged hole, then the answer", &[(A, 10, Some(50), "q"), (B, 50, Some(13), "r")], "a:q a~2~ b:r"),
        ("one side only", &[(B, 50, Some(13), "r"), (B, 51, Some(20), "s")], "b:r b:s a~7~"),
        (
            "far out of any window",
            &[(A, 10, None, "ab"), (A, 0x8000_0000, None, "zz"), (A, 12, None, "cd")],
            "a:ab a:cd",
        ),
    ];
    for (name, segments, want) in cases {
        let mut play = Play::new();
        for (way, seq, ack, text) in *segments {
            play.segment(*way, *seq, *ack, text.as_bytes());
        }
        assert_eq!(play.finish(), *want, "{name}");
    }
}

#[test]
fn a_repeat_with_other_bytes_is_named() {
    let mut play = Play::new();
    assert!(!play.segment(A, 10, None, b"abcd").differs);
    assert!(!play.segment(A, 10, None, b"abcd").differs);
    assert!(play.segment(A, 10, None, b"abXd").differs);
    play.segment(A, 16, None, b"gh");
    assert!(play.segment(A, 14, None, b"efGh").differs);
}

#[test]
fn an_acknowledged_hole_is_given_up_while_the_connection_goes_on() {
    let mut play = Play::new();
    play.segment(A, 0, Some(0), b"x");
    play.segment(B, 0, Some(6), b"y");
    for n in 0..crate::limits::ACKED_HOLE_PACKETS as u32 {
        play.segment(A, 6 + n, Some(1), b"z");
    }
    assert!(play.lines.join(" ").starts_with("a:x a~5~ b:y a:z"), "{:?}", play.lines);
}

/// A cut of a stream into segments that may repeat, overlap, get lost and come in any order.
fn segments() -> impl Strategy<Value = Vec<(bool, u32, u32)>> {
    prop::collection::vec((any::<bool>(), 0u32..300, 1u32..40), 1..80)
}

proptest! {
    #[test]
    fn every_byte_is_handed_on_once_at_its_place_or_is_in_a_gap(base: u32, steps in segments()) {
        let mut pair = StreamPair::default();
        let mut at = [0u32; 2];
        let mut wrong = Vec::new();
        let mut seen = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
        let mut begin = [None; 2];
        let mut handed = [0u64; 2];
        let mut new = [0u64; 2];
        let mut check = |way: Way, chunk: Chunk<'_>, begin: &[Option<u32>; 2]| {
            let side = way as usize;
            match chunk {
                Chunk::Bytes { bytes: got, seq, .. } => {
                    let from = begin[side].unwrap_or_default() + at[side];
                    if got != bytes(way, from, got.len() as u32) || seq != base.wrapping_add(from) { wrong.push(from) }
                    at[side] += got.len() as u32;
                    handed[side] += got.len() as u64;
                }
                Chunk::Gap { lost_bytes } => at[side] += lost_bytes as u32,
                Chunk::End => {}
            }
        };
        for (packet, (low, from, length)) in steps.into_iter().enumerate() {
            let way = Way::of(low);
            let side = way as usize;
            // The first segment seen decides where the stream begins.
            begin[side].get_or_insert(from);
            let payload = bytes(way, from, length);
            let segment = Segment { way, seq: base.wrapping_add(from), ack: None, syn: false, fin: false, bytes: &payload, cut_bytes: 0, ts_ns: packet as i64, packet: packet as u64 };
            let outcome = pair.segment(&segment, &mut |way, chunk| check(way, chunk, &begin));
            new[side] += outcome.new_bytes;
            let refused: u64 = outcome.refused.iter().flatten().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(outcome.new_bytes + refused, u64::from(length));
            prop_assert!(!outcome.differs);
            seen[side].extend((from..from + length).filter(|n| *n >= begin[side].unwrap_or_default()));
        }
        pair.finish(&mut |way, chunk| check(way, chunk, &begin));
        prop_assert!(wrong.is_empty(), "at {wrong:?}");
        prop_assert_eq!(pair.held_bytes(), 0);
        for side in 0..2 {
            prop_assert_eq!(handed[side], seen[side].len() as u64);
            prop_assert_eq!(handed[side], new[side]);
        }
    }
}
