//! Segments to chunks. Made here: how far segments are mixed up is what the room's work depends on.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissect::flow::Way;
use dissect::stream::{Segment, StreamPair};
use std::hint::black_box;

const SEGMENT_BYTES: usize = 1448;
const SEGMENTS: usize = 2000;

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Bytes((SEGMENT_BYTES * SEGMENTS) as u64));
    let payload = vec![7; SEGMENT_BYTES];
    let in_order: Vec<usize> = (0..SEGMENTS).collect();
    // One in ten comes eight places late, as a retransmission does.
    let mut retransmitted = in_order.clone();
    (0..SEGMENTS - 8).step_by(10).for_each(|at| retransmitted[at..=at + 8].rotate_left(1));
    let mut mixed_up = in_order.clone();
    mixed_up.chunks_mut(2).for_each(|pair| pair.reverse());
    for (case, order) in [("in-order", in_order), ("retransmitted", retransmitted), ("mixed-up", mixed_up)] {
        group.bench_function(case, |b| {
            b.iter(|| {
                let mut pair = StreamPair::default();
                pair.begin(Way::FromLow, 0);
                let mut handed_on = 0;
                for (packet, at) in order.iter().enumerate() {
                    let segment = Segment {
                        way: Way::FromLow,
                        seq: (at * SEGMENT_BYTES) as u32,
                        ack: None,
                        syn: false,
                        fin: false,
                        bytes: &payload,
                        cut_bytes: 0,
                        ts_ns: packet as i64 * 1000,
                        began_ns: packet as i64 * 1000,
                        packet: packet as u64,
                    };
                    pair.segment(&segment, &mut |_, chunk| {
                        black_box(&chunk);
                        handed_on += 1;
                    });
                }
                handed_on
            });
        });
    }
}

criterion_group!(benches, stream);
criterion_main!(benches);
