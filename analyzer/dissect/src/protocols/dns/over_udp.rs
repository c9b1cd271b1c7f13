//! DNS in datagrams: each is a message (RFC 1035 §4.2.1).

use super::rows::Rows;
use crate::protocols::{Dissector, End, Progress, Side, Sink};

/// One conversation.
pub struct OverUdp {
    rows: Rows,
}

impl OverUdp {
    /// Hands on through `rows`.
    pub fn new(rows: Rows) -> Self {
        Self { rows }
    }
}

impl Dissector for OverUdp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        self.rows.message(from, 0..unread.len(), unread, 0, out);
        Progress::Continue { consumed: unread.len(), wanted: 1 }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        self.rows.message(from, 0..unread.len(), unread, lost_bytes, out);
    }

    fn end(&mut self, _: Side, _: &[u8], _: End, out: &mut dyn Sink) {
        self.rows.end(out);
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }
}
