//! Bytes in stream order to rows: recognised, then read.

use benches::Talk;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissect::limits;
use dissect::protocols::{
    Anomaly, Call, Detection, Look, Options, Progress, Protocol, REGISTRY, Row, Side, Sink, Stamp, Start,
};
use std::hint::black_box;
use std::ops::Range;

/// Takes rows and forgets them.
struct Nowhere(Side);

impl Sink for Nowhere {
    fn stamp(&mut self, span: Range<usize>) -> Stamp {
        Stamp::whole(self.0, span.start as u64, span.len() as u64)
    }
    fn row(&mut self, call: &Call, row: Row<'_>) {
        black_box((call, row));
    }
    fn anomaly(&mut self, span: Range<usize>, anomaly: Anomaly) {
        black_box((span, anomaly));
    }
}

fn recognise(talk: &Talk) -> Option<&'static Protocol> {
    let (from_client, bytes) = talk.pieces.first()?;
    let ports = (talk.client_port, talk.server_port);
    let (from_port, to_port) = if *from_client { ports } else { (ports.1, ports.0) };
    let look = Look { bytes, datagram: false, from_port, to_port };
    let spoken = |protocol: &&Protocol| protocol.over_tcp && matches!((protocol.detect)(&look), Detection::Yes(_));
    REGISTRY.iter().find(spoken)
}

fn dissect(talk: &Talk) {
    let Some(protocol) = recognise(talk) else { return };
    let mut dissector = (protocol.start)(&Start {
        options: Options { body_bytes_max: limits::BODY_BYTES_DEFAULT },
        from_start: true,
        datagram: false,
        server_port: talk.server_port,
        multicast: false,
    });
    let mut unread = [Vec::new(), Vec::new()];
    for (from_client, piece) in &talk.pieces {
        let side = if *from_client { Side::Client } else { Side::Server };
        let unread = &mut unread[usize::from(*from_client)];
        unread.extend_from_slice(piece);
        match dissector.bytes(side, unread, &mut Nowhere(side)) {
            Progress::Continue { consumed, .. } => drop(unread.drain(..consumed)),
            Progress::Stop | Progress::Switch { .. } => return,
        }
    }
}

fn protocols(c: &mut Criterion) {
    let mut group = c.benchmark_group("protocols");
    for case in benches::CASES {
        let talks = benches::talks(case);
        let bytes: usize = talks.iter().flat_map(|talk| &talk.pieces).map(|(_, piece)| piece.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(*case, |b| b.iter(|| talks.iter().for_each(dissect)));
    }
}

criterion_group!(benches, protocols);
criterion_main!(benches);
