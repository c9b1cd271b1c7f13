//! Hostile bytes as a connection, for fuzzing.

use super::over_tcp::{OverTcp, UNREAD_BYTES_MAX};
use crate::protocols::{Anomaly, Call, Dissector, End, Options, PerSide, Progress, Row, Side, Sink, Stamp, Start};
use std::ops::Range;

/// Bytes of the input that one step takes: a kind, and so many bytes.
const STEP_BYTES_MAX: usize = 64;

/// Reads `data` as the steps of a connection: the first byte of each says who sends the next ones, or that some
/// are lost.
///
/// # Panics
/// Where the dissector breaks its contract.
pub fn fuzz_http1(data: &[u8]) {
    let Some((&first, mut data)) = data.split_first() else { return };
    let options = Options { body_bytes_max: usize::from(first & 0x7e) };
    let from_start = first & 1 == 1;
    let start = Start { options, from_start, datagram: false, server_port: 80, multicast: false };
    let mut dissector = OverTcp::new(&start);
    let mut unread: PerSide<Vec<u8>> = PerSide::default();
    let mut places = PerSide { client: 0, server: 0 };
    while let Some((&step, rest)) = data.split_first() {
        let from = if step & 1 == 0 { Side::Client } else { Side::Server };
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(step >> 2) % STEP_BYTES_MAX));
        data = rest;
        let unread = &mut unread[from];
        let mut sink = Null { side: from, place: places[from], unread: unread.len() };
        if step & 2 == 2 {
            dissector.gap(from, unread, piece.len() as u64, &mut sink);
            places[from] += unread.len() as u64;
            unread.clear();
            continue;
        }
        unread.extend_from_slice(piece);
        sink.unread = unread.len();
        match dissector.bytes(from, unread, &mut sink) {
            Progress::Continue { consumed, wanted } => {
                unread.drain(..consumed);
                places[from] += consumed as u64;
                assert!(wanted > unread.len() && unread.len() < UNREAD_BYTES_MAX);
            }
            Progress::Stop | Progress::Switch { .. } => return,
        }
    }
    for from in [Side::Client, Side::Server] {
        let mut sink = Null { side: from, place: places[from], unread: unread[from].len() };
        dissector.end(from, &unread[from], End::Closed, &mut sink);
    }
    assert_eq!(dissector.held_bytes(), 0);
}

struct Null {
    side: Side,
    place: u64,
    unread: usize,
}

impl Sink for Null {
    fn stamp(&mut self, span: Range<usize>) -> Stamp {
        assert!(span.start <= span.end && span.end <= self.unread);
        let place = self.place + span.start as u64;
        Stamp {
            side: self.side,
            place,
            first_ns: place as i64,
            last_ns: place as i64 + span.len() as i64,
            first_packet: 1,
            last_packet: 1,
            bytes: span.len() as u64,
            damaged: false,
        }
    }
    fn row(&mut self, _: &Call, _: Row<'_>) {}
    fn anomaly(&mut self, span: Range<usize>, _: Anomaly) {
        assert!(span.start <= span.end && span.end <= self.unread);
    }
}
