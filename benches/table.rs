//! Rows to Parquet: the flows of a case.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissect::flow::{Flow, flow_id};
use dissect::table::{Rows, Writer};
use dissect::{Origin, Plan};

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    let mut plan = Plan::new("");
    plan.tables = ["flows"].into();
    for case in benches::CASES {
        let (stretches, bytes) = benches::packets(case);
        let begin = |packet: &dissect::decode::Packet| {
            Flow::begin(flow_id(&packet.key, packet.ts_ns, packet.number), packet, 0)
        };
        let flows: Vec<Flow> = stretches.iter().flat_map(|(_, packets)| packets).map(begin).collect();
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(*case, |b| {
            b.iter(|| {
                let out = tempfile::tempdir().expect("a folder for temporary files");
                let mut rows = Rows::new(&plan, &Origin::default());
                rows.begin_capture(case);
                flows.iter().for_each(|flow| rows.flow(flow));
                let mut writer = Writer::new(out.path(), None);
                writer.write(rows.take()).expect("rows are written");
                writer.finish(case).expect("files are closed").files.len()
            });
        });
    }
}

criterion_group!(benches, table);
criterion_main!(benches);
