//! What enters the stream room, and what leaves it.

use crate::flow::Way;

/// A TCP segment of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Who sent it.
    pub way: Way,
    /// Its sequence number.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: Option<u32>,
    /// Whether it opens the stream.
    pub syn: bool,
    /// Whether it ends the stream.
    pub fin: bool,
    /// Payload that was captured.
    pub bytes: &'a [u8],
    /// Payload cut off by the snap length.
    pub cut_bytes: u32,
    /// Time of its packet [ns].
    pub ts_ns: i64,
    /// The same of the first frame of it, where it came in fragments.
    pub began_ns: i64,
    /// Number of its packet in the capture.
    pub packet: u64,
}

/// What is handed on for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// The next bytes.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// Sequence number of the first of them.
        seq: u32,
        /// Time of their packet [ns].
        ts_ns: i64,
        /// The same of the first frame of it, where it came in fragments.
        began_ns: i64,
        /// Number of their packet in the capture.
        packet: u64,
    },
    /// Bytes handed on or waiting that came again with other values.
    Doubt {
        /// Sequence number of the first of them.
        seq: u32,
        /// How many.
        bytes: u32,
        /// Time of the packet that says otherwise [ns].
        ts_ns: i64,
    },
    /// Bytes that are not in the capture.
    Gap {
        /// How many.
        lost_bytes: u64,
    },
    /// The stream was closed by its sender.
    End,
}

/// What a segment brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Payload not seen before; handed on now or later.
    pub new_bytes: u64,
    /// Payload that is not handed on, and why.
    pub refused: [Option<(&'static str, u64)>; 2],
    /// Whether it filled a hole left before.
    pub filled_hole: bool,
    /// Whether it repeats bytes with other values.
    pub differs: bool,
}

impl Outcome {
    /// Notes payload that is not handed on.
    pub fn refuse(&mut self, why: &'static str, bytes: u64) {
        if bytes > 0
            && let Some(free) = self.refused.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some((why, bytes));
        }
    }
}
