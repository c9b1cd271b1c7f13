//! The cases of `testdata/pcaps`, and what rows a capture gives, as texts.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use dissect::{Input, Origin, Plan, Unit};
use formats::pcapng::kind;
use formats::pcapng::read::{Block, Fields, Order};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tables that tell of the capture itself: those of a part are other ones.
const OF_THE_CAPTURE: [&str; 3] = ["captures", "coverage", "packets"];

/// A row: its columns that are not NULL, as text.
#[derive(Debug, Clone)]
pub struct Row {
    /// The columns.
    pub columns: BTreeMap<String, String>,
}

/// Rows by table.
pub type Tables = BTreeMap<String, Vec<Row>>;

/// The captures of all cases, or of the one that `REMORA_TEST_CASE` names; or else those that lie in the folder
/// `REMORA_TEST_CAPTURES`, whoever made them.
pub fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pcaps");
    let others = std::env::var_os("REMORA_TEST_CAPTURES");
    let entries = std::fs::read_dir(others.as_ref().map_or(folder, PathBuf::from)).unwrap();
    let inputs = entries.map(|entry| {
        let path = entry.unwrap().path();
        if others.is_some() { path } else { path.join("input.pcapng.zst") }
    });
    let only = std::env::var_os("REMORA_TEST_CASE");
    let wanted = |input: &PathBuf| only.as_ref().is_none_or(|only| name(input) == only.to_string_lossy());
    // Where packets were seen at several points, one that is left out is there all the same, some microseconds later.
    let once = |input: &PathBuf| name(input) != "pods-over-bridge";
    let mut inputs: Vec<_> = inputs.filter(|input| input.is_file() && wanted(input) && once(input)).collect();
    inputs.sort();
    inputs
}

/// What a capture is called: its folder, where that has nothing else.
pub fn name(input: &Path) -> String {
    let of = if input.ends_with("input.pcapng.zst") { input.parent().unwrap() } else { input };
    of.file_name().unwrap().to_string_lossy().into_owned()
}

/// The blocks of a pcapng file or the records of a pcap file, and which of them are packets; none of other files.
pub fn blocks(capture: &[u8]) -> Vec<(bool, &[u8])> {
    let number = |bytes: &[u8], order| Fields::new(bytes, order).u32().ok();
    for order in [Order::Little, Order::Big] {
        if [0xa1b2_c3d4, 0xa1b2_3c4d].map(Some).contains(&number(capture, order)) {
            let (header, mut rest) = capture.split_at(24.min(capture.len()));
            let mut found = vec![(false, header)];
            while let Some(bytes) = rest.get(8..).and_then(|after| number(after, order)) {
                let (record, after) = rest.split_at((16 + bytes as usize).min(rest.len()));
                found.push((true, record));
                rest = after;
            }
            return found;
        }
    }
    let (mut rest, mut found, mut order) = (capture, Vec::new(), Order::Little);
    while !rest.is_empty() {
        order = Order::of_section(rest).unwrap_or(order);
        let Ok(block) = Block::read(rest, order) else { break };
        found.push((kind::has_packet(block.kind), block.bytes));
        rest = &rest[block.bytes.len()..];
    }
    found
}

/// The rows of a capture, by table.
pub fn dissected(capture: Vec<u8>) -> Tables {
    dissected_to(capture, |_| true)
}

/// The rows of a capture in those of the usual tables.
pub fn dissected_to(capture: Vec<u8>, wanted: impl Fn(&str) -> bool) -> Tables {
    let out = tempfile::tempdir().unwrap();
    let open = Box::new(move || Ok(Box::new(Cursor::new(capture)) as _));
    let inputs = vec![Input { name: "case.pcapng".to_owned(), origin: Origin::default(), open }];
    let mut plan = Plan::new(out.path());
    plan.threads = 1;
    plan.tables.retain(|table| wanted(table));
    let report = dissect::pipeline::dissect(Unit { inputs }, &plan, &()).unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let mut tables = Tables::new();
    for file in &report.files {
        let table = file.strip_prefix(out.path()).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
        if !OF_THE_CAPTURE.contains(&table.as_str()) {
            tables.entry(table).or_default().extend(rows(file));
        }
    }
    tables
}

fn rows(file: &Path) -> Vec<Row> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
    // Within lists NULL is no text that anybody sends.
    let options = FormatOptions::new().with_null("\u{2400}");
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let columns: Vec<_> = batch.columns().iter().map(without_zone).collect();
        let texts: Vec<_> = columns.iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for at in 0..batch.num_rows() {
            let schema = batch.schema();
            let columns = schema.fields().iter().zip(&columns).zip(&texts);
            let columns = columns
                .filter(|((_, column), _)| column.is_valid(at))
                .map(|((field, _), text)| (field.name().clone(), text.value(at).to_string()))
                .collect();
            rows.push(Row { columns });
        }
    }
    rows
}

/// Times as numbers: to print them in UTC takes a table of time zones.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(times.reinterpret_cast::<Int64Type>()),
        None => column.clone(),
    }
}
