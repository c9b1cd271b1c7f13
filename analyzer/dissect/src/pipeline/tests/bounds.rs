//! What is held at a time, and that it does not depend on the threads.

use super::*;
use crate::read::CaptureReader;

/// So many clients that say so many bytes each to a server.
fn conversations(count: u32, bytes: usize) -> Vec<Vec<u8>> {
    let datagram = |n: u32| {
        let [_, high, middle, low] = n.to_be_bytes();
        let mut frame = Vec::new();
        let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, high, middle, low], SERVER, 9);
        ends.udp(10_000, 9).write(&mut frame, &vec![0; bytes]).unwrap();
        frame
    };
    (0..count).map(datagram).collect()
}

#[test]
fn where_time_goes_back_what_is_over_is_let_go() {
    // Conversations of an hour later stand first, and as many behind them: together they are more than are kept.
    let kept = limits::SHARDS * limits::FLOWS_PER_SHARD_MAX;
    let frames = conversations(kept as u32 * 5 / 4, 200);
    let hour_ms = 3_600_000;
    let bytes = capture_at(&frames, |at| if at < frames.len() / 2 { hour_ms } else { 0 });
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(bytes, out.path(), 2);
    let rows: BTreeMap<_, _> = report.rows.iter().copied().collect();
    assert_eq!((rows["flows"], rows.get("anomalies")), (frames.len() as u64, None), "none had to make room");
}

fn reader(capture: Vec<u8>) -> CaptureReader {
    let open: crate::plan::Open = Box::new(move || Ok(Box::new(Cursor::new(capture)) as _));
    crate::pipeline::open(Input { name: "test".into(), origin: Origin::default(), open }, false).unwrap()
}

/// An answer of 24 records whose owners are one long name: ten times as long in a row as on the wire. Few clients ask, so that
/// few shards have them all.
fn unfolding(n: u16) -> Vec<u8> {
    let name = [&[63][..], &[b'x'; 63], &[63], &[b'x'; 63], &[63], &[b'x'; 63], &[61], &[b'x'; 61], &[0]].concat();
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1];
    let head = [&n.to_be_bytes()[..], &[0x81, 0x80, 0, 1, 0, 24, 0, 0, 0, 0]].concat();
    let message = [&head, &name, &[0, 1, 0, 1][..], &record.repeat(24)].concat();
    let mut frame = Vec::new();
    let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(SERVER, CLIENT, 9);
    ends.udp(53, 10_000 + n % 4).write(&mut frame, &message).unwrap();
    frame
}

#[test]
fn a_stretch_that_unfolds_is_dissected_in_pieces() {
    let bytes = capture(&(0..1400).map(unfolding).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::new(out.path());
    let mut reader = reader(bytes);
    let (mut run, mut batch) = (Run::new(&Unit { inputs: Vec::new() }, &plan), Batch::default());
    batch.read(&mut reader, &mut run.decoder);
    let (mut pieces, mut rows) = (0, 0);
    while !batch.is_over() {
        batch.dissect(&mut run.shards, &mut run.rows, &plan);
        let bytes: usize = run.rows.iter_mut().map(|rows| of(rows).bytes()).sum();
        let most = limits::SHARDS * (limits::ROW_BYTES_PER_TURN_MAX + (16 << 10));
        assert!(bytes <= most, "{bytes} bytes of rows are held");
        let lots = run.rows.iter_mut().flat_map(|rows| of(rows).take());
        rows += lots.filter(|lot| lot.table == "dns").map(|lot| lot.batch.num_rows()).sum::<usize>();
        pieces += 1;
    }
    assert!(pieces > 1 && rows == 1400, "{rows} rows in {pieces} pieces");
}

#[test]
fn flows_that_are_open_at_the_end_become_rows_in_pieces() {
    let frames = conversations(60_000, 8);
    let bytes = capture(&frames);
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::new(out.path());
    let mut reader = reader(bytes);
    let (mut run, mut batch) = (Run::new(&Unit { inputs: Vec::new() }, &plan), Batch::default());
    batch.read(&mut reader, &mut run.decoder);
    while batch.full {
        while !batch.is_over() {
            batch.dissect(&mut run.shards, &mut run.rows, &plan);
        }
        batch.read(&mut reader, &mut run.decoder);
    }
    let (mut rows, mut all) = (0, false);
    while !all {
        all = run.finish();
        let bytes: usize = run.rows.iter_mut().map(|rows| of(rows).bytes()).sum();
        let most = limits::SHARDS * (limits::ROW_BYTES_PER_TURN_MAX + 1024);
        assert!(bytes <= most, "{bytes} bytes of rows are held");
        rows += run.rows.iter_mut().flat_map(|rows| of(rows).take()).map(|lot| lot.batch.num_rows()).sum::<usize>();
    }
    assert_eq!(rows, frames.len());
}

#[test]
fn any_number_of_threads_gives_the_same_files() {
    the_same_files(&capture(&(0..4000).map(query).collect::<Vec<_>>()), 4);
    let unfolded = (0..12_000).map(|n| if n % 3 == 0 { query(n) } else { unfolding(n) });
    the_same_files(&capture(&unfolded.collect::<Vec<_>>()), 4);
}

fn the_same_files(bytes: &[u8], count: usize) {
    let files = |threads| {
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(bytes.to_vec(), out.path(), threads);
        let name = |file: &Path| file.strip_prefix(out.path()).unwrap().to_owned();
        report.files.iter().map(|file| (name(file), std::fs::read(file).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let one = files(1);
    assert_eq!(one.len(), count);
    assert!(one == files(2) && one == files(5));
}

#[test]
fn calls_stand_in_order_of_time() {
    // Fewer than are written at a time: they come to an end with their conversations, one after the other.
    let bytes = capture(&(0..15_000).map(query).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(bytes, out.path(), 2);
    let times = numbers(&report, "dns", "ts");
    assert_eq!(times.len(), 15_000);
    assert!(times.is_sorted());
}
