mod model;
mod wire;

use super::*;
use crate::flow::Way;

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

    fn segment(&mut self, way: Way, seq: u32, ack: Option<u32>, bytes: &[u8]) -> Outcome {
        self.cut_segment(way, seq, ack, bytes, 0)
    }

    fn cut_segment(&mut self, way: Way, seq: u32, ack: Option<u32>, bytes: &[u8], cut_bytes: u32) -> Outcome {
        self.packet += 1;
        let segment = Segment {
            way,
            seq,
            ack,
            syn: false,
            fin: false,
            bytes,
            cut_bytes,
            ts_ns: self.packet as i64 * 1000,
            began_ns: 0,
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
        Chunk::Doubt { seq, bytes, .. } => format!("{name}?{seq}+{bytes}"),
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
            "a?11+4 a:a a:b a:cd a:e",
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
            "joined in the middle, the second segment captured first",
            &[(A, 12, None, "cd"), (A, 10, None, "ab")],
            "a:ab a:cd",
        ),
        ("joined in the middle, far earlier is not awaited", &[(A, 70_000, None, "cd"), (A, 10, None, "ab")], "a:cd"),
        (
            "far out of any window",
            &[(A, 10, None, "ab"), (A, 0x8000_0000, None, "zz"), (A, 12, None, "cd")],
            "a:ab a:cd",
        ),
        (
            "goes on out of any window, as the other side acknowledges",
            &[
                (A, 10, Some(50), "ab"),
                (B, 50, Some(12), "r"),
                (B, 51, Some(0x8000_0000), "s"),
                (A, 0x8000_0000, Some(52), "c"),
                (A, 0x8000_0001, Some(52), "d"),
            ],
            "a:ab b:r b:s a~2147483636~ a:c a:d",
        ),
        (
            "the same with something that waits, and nearly all numbers further",
            &[
                (A, 0xf000_0000, Some(50), "ab"),
                (B, 50, Some(0xf000_0002), "r"),
                (A, 0xf000_0004, Some(51), "ef"),
                (B, 51, Some(0xd000_0000), "s"),
                (A, 0xd000_0000, Some(52), "c"),
            ],
            "a:ab b:r b:s a~2~ a:ef a~3758096378~ a:c",
        ),
        (
            "out of any window in a row, the other side not seen",
            &[
                (A, 10, None, "ab"),
                (A, 0x8000_0000, None, "c"),
                (A, 0x8000_0001, None, "d"),
                (A, 0x8000_0002, None, "e"),
                (A, 0x8000_0003, None, "f"),
                (A, 0x8000_0004, None, "g"),
            ],
            "a:ab a~2147483639~ a:f a:g",
        ),
        (
            "the same, and no such acknowledgement",
            &[
                (A, 10, Some(50), "ab"),
                (B, 50, Some(12), "r"),
                (A, 0x8000_0000, Some(51), "c"),
                (A, 0x8000_0001, Some(51), "d"),
                (A, 0x8000_0002, Some(51), "e"),
                (A, 0x8000_0003, Some(51), "f"),
                (A, 12, Some(51), "cd"),
            ],
            "a:ab b:r a:cd",
        ),
        (
            "a stray segment, and one that acknowledges as it likes",
            &[
                (A, 10, Some(50), "ab"),
                (B, 50, Some(12), "r"),
                (A, 0x8000_0000, Some(0x9000_0000), "zz"),
                (B, 51, Some(12), "s"),
                (A, 12, Some(52), "cd"),
            ],
            "a:ab b:r b:s a:cd",
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
fn a_segment_that_overlaps_the_end_with_other_bytes_is_named() {
    let mut play = Play::new();
    play.segment(A, 10, None, b"abcd");
    play.segment(A, 14, None, b"efgh");
    assert!(!play.segment(A, 16, None, b"ghij").differs);
    assert!(play.segment(A, 19, None, b"Xk").differs);
    assert!(play.segment(A, 12, None, b"cX").differs, "inside of a segment");
    assert!(!play.segment(A, 12, None, b"cd").differs);
    let (long, end) = (vec![b'x'; 5000], 21 + 5000);
    play.segment(A, 21, None, &long);
    assert!(!play.segment(A, end - 200, None, &[b'x'; 210]).differs);
    assert!(play.segment(A, end - 200, None, &[b'y'; 300]).differs);
    // What follows a gap has no end before it.
    play.cut_segment(A, end + 100, None, b"", 50);
    play.segment(A, end + 150, None, b"lm");
    assert!(!play.segment(A, end + 140, None, b"??????????l").differs);
    assert!(play.segment(A, end + 140, None, b"??????????X").differs);
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

#[test]
fn a_stream_joined_in_the_middle_begins_after_a_few_packets() {
    let mut play = Play::new();
    for n in 0..crate::limits::SETTLE_PACKETS as u32 {
        play.segment(A, 10 + n, None, b"z");
        assert!(play.lines.is_empty());
    }
    play.segment(A, 100, None, b"y");
    assert_eq!(play.lines.len(), crate::limits::SETTLE_PACKETS as usize);
    assert_eq!(play.segment(A, 5, None, b"x").refused, [Some((reason::BEFORE_START, 1)), None]);
}

#[test]
fn a_segment_that_was_cut_and_came_again_whole_loses_nothing() {
    let mut play = Play::new();
    play.segment(A, 10, None, b"ab");
    play.cut_segment(A, 14, None, b"e", 3);
    let outcome = play.segment(A, 14, None, b"efgh");
    assert_eq!(outcome.new_bytes, 3);
    play.segment(A, 12, None, b"cd");
    assert_eq!(play.finish(), "a:ab a:cd a:e a:fgh");
}
