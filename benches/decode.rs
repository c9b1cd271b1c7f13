//! Frames to packets.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dissect::decode::Decoder;
use std::hint::black_box;

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for case in benches::CASES {
        let (_, bytes) = benches::stretches(case);
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(*case, |b| {
            b.iter_batched_ref(
                || benches::stretches(case).0,
                |stretches| {
                    let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
                    for stretch in stretches {
                        packets.clear();
                        decoder.decode(stretch, &mut packets);
                        black_box(&packets);
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
