//! `dissect CAPTURE -o DATASET`: one capture to tables, with no SQL engine to build. For work on a protocol:
//! this links in seconds. `remora dissect` is the whole command. `--threads N`, `--body-limit BYTES` and `--tables NAME`
//! as there.

use dissect::{Input, Origin, Plan, Unit};
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

/// As `remora` has it: what is measured here is measured there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "dissect" && word != "-o").collect();
    let mut flag = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.remove(at);
        (at < words.len()).then(|| words.remove(at))
    };
    let threads = flag("--threads").and_then(|number| number.parse().ok());
    let body_bytes_max = flag("--body-limit").and_then(|number| number.parse().ok());
    let table = flag("--tables").and_then(|name| formats::tables::table(&name));
    let [capture, out] = words.as_slice() else {
        eprintln!("usage: dissect CAPTURE -o DATASET [--threads N] [--body-limit BYTES] [--tables NAME]");
        return ExitCode::from(2);
    };
    let path = PathBuf::from(capture);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let input = Input { name, origin: Origin::default(), open: Box::new(move || Ok(Box::new(File::open(path)?) as _)) };
    let mut plan = Plan::new(out);
    plan.threads = threads.unwrap_or(plan.threads);
    plan.body_bytes_max = body_bytes_max.unwrap_or(plan.body_bytes_max);
    if let Some(table) = table {
        plan.tables = [table.name].into();
    }
    let report = dissect::pipeline::dissect(Unit { inputs: vec![input] }, &plan, &());
    match report {
        Ok(report) if report.refused.is_empty() => {
            report.rows.iter().for_each(|(table, rows)| println!("{table:>12} {rows:>8}"));
            ExitCode::SUCCESS
        }
        Ok(report) => {
            report.refused.iter().for_each(|error| eprintln!("{error}"));
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
