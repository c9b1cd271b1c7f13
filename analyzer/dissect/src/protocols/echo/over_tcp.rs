//! Echo over TCP.
//!
//!     Boundary ──gap inside a message──▶ Skipping ──its end──▶ Boundary
//!         └──malformed, or gap past a message's end──▶ Lost (for good: nothing to find a begin by)

use super::{rows::Rows, wire};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink};

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Boundary,
    Lost,
    Skipping {
        left: u64,
    },
}

/// One connection.
#[derive(Default)]
pub struct OverTcp {
    state: PerSide<State>,
    rows: Rows,
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut at = 0;
        loop {
            let rest = unread.get(at..).unwrap_or_default();
            match self.state[from] {
                State::Lost => return Progress::Stop,
                State::Skipping { left } if left > rest.len() as u64 => {
                    self.state[from] = State::Skipping { left: left - rest.len() as u64 };
                    return Progress::Continue { consumed: unread.len(), wanted: 1 };
                }
                State::Skipping { left } => {
                    at += left as usize;
                    self.state[from] = State::Boundary;
                }
                State::Boundary => match wire::message(rest) {
                    Ok(message) => {
                        let stamp = out.stamp(at..at + message.bytes);
                        at += message.bytes;
                        self.rows.message(from, stamp, message.text, out);
                    }
                    Err(wire::NotWhole::Wanted(wanted)) => return Progress::Continue { consumed: at, wanted },
                    Err(wire::NotWhole::Malformed) => {
                        out.anomaly(at..unread.len(), Anomaly::new("echo_not_text"));
                        self.state[from] = State::Lost;
                    }
                },
            }
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        out.anomaly(0..unread.len(), Anomaly::new("echo_gap"));
        let owed = match (self.state[from], wire::message(unread)) {
            (State::Skipping { left }, _) => Some(left),
            (State::Boundary, Err(wire::NotWhole::Wanted(whole))) if unread.len() >= 2 => {
                Some((whole - unread.len()) as u64)
            }
            _ => None,
        };
        self.state[from] = match owed.and_then(|owed| owed.checked_sub(lost_bytes)) {
            Some(0) => State::Boundary,
            Some(left) => State::Skipping { left },
            None => State::Lost,
        };
    }

    fn end(&mut self, from: Side, unread: &[u8], _: End, out: &mut dyn Sink) {
        if !unread.is_empty() {
            out.anomaly(0..unread.len(), Anomaly::new("echo_unfinished"));
        }
        self.rows.end(from, out);
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }
}
