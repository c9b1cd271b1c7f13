//! Hostile bytes as a connection, for any protocol of the registry: the entry for fuzzing, and a test over all.

use super::{Anomaly, Call, End, Look, Options, PerSide, Progress, Protocol, Row, Side, Sink, Stamp, Start};
use std::ops::Range;

/// Reads `data` as the steps of a connection. The first byte says what was asked for and whether the connection
/// was seen from its start; then the first byte of each step says who sends the bytes behind it, or that some are
/// lost, and the second how many.
///
/// # Panics
/// Where the dissector breaks its contract.
pub fn fuzz_protocol(protocol: &Protocol, data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let datagram = protocol.over_udp && (!protocol.over_tcp || first & 0x80 != 0);
    let look = Look { bytes: data, datagram, from_port: 1, to_port: 2 };
    let _ = (protocol.detect)(&look);
    let start = Start {
        options: Options { body_bytes_max: usize::from(first & 0x7e) },
        from_start: first & 1 == 1,
        datagram,
        server_port: protocol.ports.first().copied().unwrap_or_default(),
        multicast: false,
    };
    let mut connection = Played {
        protocol,
        dissector: (protocol.start)(&start),
        unread: PerSide::default(),
        places: PerSide::default(),
    };
    if connection.steps(data, datagram) {
        connection.end();
    }
}

struct Played<'a> {
    protocol: &'a Protocol,
    dissector: Box<dyn super::Dissector>,
    unread: PerSide<Vec<u8>>,
    places: PerSide<u64>,
}

impl Played<'_> {
    /// Says whether the dissector wanted all of it.
    fn steps(&mut self, mut data: &[u8], datagram: bool) -> bool {
        while let [step, length, rest @ ..] = data {
            let from = if step & 1 == 0 { Side::Client } else { Side::Server };
            let (piece, rest) = rest.split_at(rest.len().min(usize::from(*length)));
            data = rest;
            if step & 2 == 2 && !datagram {
                self.lose(from, piece.len() as u64);
                continue;
            }
            self.unread[from].extend_from_slice(piece);
            if !self.read(from) {
                return false;
            }
            if datagram {
                self.unread[from].clear();
            }
        }
        true
    }

    fn sink(&self, from: Side) -> Null {
        Null { side: from, place: self.places[from], unread: self.unread[from].len() }
    }

    fn read(&mut self, from: Side) -> bool {
        let mut sink = self.sink(from);
        let Progress::Continue { consumed, wanted } = self.dissector.bytes(from, &self.unread[from], &mut sink) else {
            return false;
        };
        self.unread[from].drain(..consumed);
        self.places[from] += consumed as u64;
        assert!(wanted > self.unread[from].len(), "wants {wanted} and has {}", self.unread[from].len());
        if wanted > self.protocol.unread_bytes_max {
            self.lose(from, 0);
        }
        true
    }

    fn lose(&mut self, from: Side, lost_bytes: u64) {
        let mut sink = self.sink(from);
        self.dissector.gap(from, &self.unread[from], lost_bytes, &mut sink);
        self.places[from] += self.unread[from].len() as u64 + lost_bytes;
        self.unread[from].clear();
    }

    fn end(mut self) {
        for from in [Side::Client, Side::Server] {
            let mut sink = self.sink(from);
            self.dissector.end(from, &self.unread[from], End::Closed, &mut sink);
        }
        assert_eq!(self.dissector.held_bytes(), 0, "holds bytes after its end");
    }
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
            first_ns: place as i64,
            last_ns: place as i64 + span.len() as i64,
            ..Stamp::whole(self.side, place, span.len() as u64)
        }
    }

    fn row(&mut self, _: &Call, _: Row<'_>) {}

    fn anomaly(&mut self, span: Range<usize>, _: Anomaly) {
        assert!(span.start <= span.end && span.end <= self.unread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::REGISTRY;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn every_protocol_is_registered_once_with_its_standard_its_bound_and_its_tables() {
        let mut names = HashSet::new();
        for protocol in REGISTRY {
            let name = protocol.name;
            assert!(names.insert(name), "{name} twice");
            assert!(!protocol.cites.is_empty(), "{name} cites nothing");
            assert!(protocol.over_tcp || protocol.over_udp, "{name} is spoken over nothing");
            assert!((1..=4 << 20).contains(&protocol.unread_bytes_max), "{name} has no sensible bound");
            assert!(!protocol.tables.is_empty(), "{name} has no table");
            for table in protocol.tables {
                assert!(formats::tables::table(table).is_some(), "{name}: {table} is no table");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_keeps_the_contract(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            for protocol in REGISTRY {
                fuzz_protocol(protocol, &data);
            }
        }
    }
}
