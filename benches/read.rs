//! Bytes of a capture to frames: decompressed, hashed, listed.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dissect::read::Stretch;
use std::hint::black_box;

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for case in benches::CASES {
        let capture = benches::capture(case);
        let (stretches, _) = benches::stretches(case);
        let decompressed: usize = stretches.iter().map(|stretch| stretch.bytes.len()).sum();
        group.throughput(Throughput::Bytes(decompressed as u64));
        group.bench_function(*case, |b| {
            b.iter_batched(
                || benches::open(case, capture.clone()),
                |mut reader| {
                    let mut stretch = Stretch::default();
                    while reader.fill(&mut stretch) {
                        black_box(&stretch.frames);
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
