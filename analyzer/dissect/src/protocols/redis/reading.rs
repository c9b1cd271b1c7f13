//! One side of a connection, and the message of it that is being read.
//!
//! Enters: where its bytes were seen, and what of them is missing. Leaves: a [`Message`] with all of them, if one was seen.

use super::message::Message;
use super::snapshot::Snapshot;
use super::wire::{Grammar, Parser};
use crate::protocols::{Anomaly, Sink, Stamp};

/// What a side's next bytes are.
#[derive(Debug)]
pub enum State {
    /// Of a message, or its begin.
    Reading,
    /// Whether a message may begin at the next byte; and since when nothing was read.
    Seeking { edge: bool, since_ns: i64 },
    /// Of a snapshot, once the line before it was read.
    Snapshot(Snapshot),
}

/// One side, and the message of it that is being read.
pub struct Reading {
    pub state: State,
    pub parser: Parser,
    pub stamp: Option<Stamp>,
    /// Bytes missing inside it.
    pub lost_bytes: u64,
    /// Whether bytes of it are missing, or right before it.
    pub damaged: bool,
    /// Whether bytes are missing where the next message is looked for.
    pub lost: bool,
    /// Bytes stepped over in search of a message.
    pub skipped_bytes: u64,
    /// When its last byte was read.
    pub last_ns: i64,
}

impl Reading {
    /// A side that sends messages of this grammar, of which at most so many bytes are kept.
    pub fn new(state: State, grammar: Grammar, kept_bytes_max: usize) -> Self {
        Self {
            state,
            parser: Parser::new(grammar, kept_bytes_max),
            stamp: None,
            lost_bytes: 0,
            damaged: false,
            lost: false,
            skipped_bytes: 0,
            last_ns: i64::MIN,
        }
    }

    /// Adds where bytes of the message were seen.
    pub fn cover(&mut self, stamp: Stamp) {
        match &mut self.stamp {
            Some(before) => before.extend(stamp),
            None => self.stamp = Some(stamp),
        }
    }

    /// Says how much was stepped over before `at`.
    pub fn say_skipped(&mut self, at: usize, out: &mut dyn Sink) {
        let skipped_bytes = std::mem::take(&mut self.skipped_bytes);
        if skipped_bytes > 0 {
            out.anomaly(at..at, Anomaly::with("redis_skipped", format!("{skipped_bytes} bytes")));
        }
    }

    /// The message that ended, if a byte of it was seen.
    pub fn taken<T>(&mut self, content: T, cut: bool) -> Option<Message<T>> {
        let damaged = std::mem::take(&mut self.damaged);
        let lost_bytes = std::mem::take(&mut self.lost_bytes);
        let mut stamp = self.stamp.take()?;
        stamp.damaged |= damaged;
        stamp.end_unseen |= cut;
        Some(Message { content, stamp, bytes: stamp.bytes + lost_bytes, cut })
    }
}
