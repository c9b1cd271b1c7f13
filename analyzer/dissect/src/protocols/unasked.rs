//! A protocol that nobody asks about: it is known what the bytes are, and they are let go.

use super::{Dissector, End, Progress, Side, Sink};

/// Reads nothing.
pub struct Unasked;

impl Dissector for Unasked {
    fn bytes(&mut self, _: Side, _: &[u8], _: &mut dyn Sink) -> Progress {
        Progress::Stop
    }

    fn gap(&mut self, _: Side, _: &[u8], _: u64, _: &mut dyn Sink) {}

    fn end(&mut self, _: Side, _: &[u8], _: End, _: &mut dyn Sink) {}

    fn held_bytes(&self) -> usize {
        0
    }
}
