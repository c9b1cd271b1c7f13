//! Packets to flows: found in the table, and counted.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissect::flow::{Flow, FlowTable, Queue, flow_id};
use std::hint::black_box;

fn flow(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow");
    for case in benches::CASES {
        let (stretches, bytes) = benches::packets(case);
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(*case, |b| {
            b.iter(|| {
                let mut table = FlowTable::default();
                for packet in stretches.iter().flat_map(|(_, packets)| packets) {
                    let at = table.find(&packet.key).unwrap_or_else(|| {
                        let flow = Flow::begin(flow_id(&packet.key, packet.ts_ns, 0), packet, 0);
                        table.insert(packet.key, Queue::Connections, packet.ts_ns, Box::new(flow))
                    });
                    if let Some(flow) = table.touch(at, packet.ts_ns) {
                        flow.packet(packet);
                    }
                }
                black_box(table.len())
            });
        });
    }
}

criterion_group!(benches, flow);
criterion_main!(benches);
