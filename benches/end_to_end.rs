//! A capture to tables: all of them, all without bodies, and one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissect::{Input, Origin, Plan, Unit, pipeline};
use std::io::Cursor;

fn dissect(case: &str, capture: &[u8], plan: &Plan) -> usize {
    let capture = capture.to_vec();
    let open = Box::new(move || Ok(Box::new(Cursor::new(capture)) as _));
    let input = Input { name: case.to_owned(), origin: Origin::default(), open };
    let report = pipeline::dissect(Unit { inputs: vec![input] }, plan, &()).expect("the tables are written");
    report.files.len()
}

fn end_to_end(c: &mut Criterion) {
    let mut group = c.benchmark_group("end-to-end");
    group.sample_size(20);
    for case in benches::CASES {
        let capture = benches::capture(case);
        let out = tempfile::tempdir().expect("a folder for temporary files");
        let (_, bytes) = benches::stretches(case);
        group.throughput(Throughput::Bytes(bytes));
        let all = Plan { threads: 1, ..Plan::new(out.path()) };
        let one = Plan { tables: ["dns"].into(), ..all.clone() };
        for (name, plan) in [
            ("all", all.clone()),
            ("two-threads", Plan { threads: 2, ..all.clone() }),
            ("no-bodies", Plan { body_bytes_max: 0, ..all }),
            ("dns-alone", one),
        ] {
            group.bench_function(format!("{case}/{name}"), |b| b.iter(|| dissect(case, &capture, &plan)));
        }
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
