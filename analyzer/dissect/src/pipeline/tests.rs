mod connections;
mod points;

use super::*;
use crate::plan::{NotKept, Origin};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use etherparse::PacketBuilder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// A capture of these frames, a millisecond apart.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    capture_at(frames, |at| at as u32)
}

/// A capture of these frames, each at so many milliseconds.
fn capture_at(frames: &[Vec<u8>], ms: impl Fn(usize) -> u32) -> Vec<u8> {
    let mut bytes = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    for (at, frame) in frames.iter().enumerate() {
        let (seconds, ns) = (1_700_000_000 + ms(at) / 1000, ms(at) % 1000 * 1_000_000);
        bytes.extend([seconds, ns, frame.len() as u32, frame.len() as u32].map(u32::to_le_bytes).concat());
        bytes.extend_from_slice(frame);
    }
    bytes
}

fn dissect_bytes(bytes: Vec<u8>, out: &Path, threads: usize) -> Report {
    let open = Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _));
    let input = Input { name: "test".into(), origin: Origin::default(), open };
    dissect(Unit { inputs: vec![input] }, &Plan { threads, ..Plan::new(out) }, &()).unwrap()
}

fn query(n: u16) -> Vec<u8> {
    let message = [&n.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1]].concat();
    let mut frame = Vec::new();
    let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(CLIENT, SERVER, 9);
    ends.udp(10_000 + n % 500, 53).write(&mut frame, &message).unwrap();
    frame
}

/// The numbers a column holds, file by file and row by row.
fn numbers(report: &Report, table: &str, column: &str) -> Vec<i64> {
    let files = report.files.iter().filter(|file| file.to_string_lossy().contains(&format!("/{table}/")));
    let mut numbers = Vec::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        for batch in reader.map(Result::unwrap) {
            let column = batch.column_by_name(column).unwrap();
            match column.as_primitive_opt::<Int64Type>() {
                Some(column) => numbers.extend(column.values()),
                None => numbers.extend(column.as_primitive::<TimestampMicrosecondType>().values()),
            }
            assert_eq!(column.null_count(), 0);
        }
    }
    numbers
}

/// The same of a column of booleans.
fn booleans(report: &Report, table: &str, column: &str) -> Vec<bool> {
    let files = report.files.iter().filter(|file| file.to_string_lossy().contains(&format!("/{table}/")));
    let batches = files
        .flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap());
    let columns = batches.map(|batch| batch.unwrap().column_by_name(column).unwrap().as_boolean().clone());
    columns.flat_map(|column| column.iter().flatten().collect::<Vec<_>>()).collect()
}

#[test]
fn of_datagrams_that_lack_fragments_the_begin_has_its_row() {
    let first_fragment = |n: u16| {
        let mut frame = query(n);
        frame[18..20].copy_from_slice(&n.to_be_bytes());
        frame[20] = 0x20; // More fragments follow (RFC 791 §3.1).
        frame[38..40].copy_from_slice(&2000u16.to_be_bytes()); // Length of all of the datagram.
        frame
    };
    // More than are held, so that some are given up in a later stretch than the one they came with.
    let frames: Vec<_> = (0..10_000).map(first_fragment).collect();
    let bytes = capture(&frames);
    let out = tempfile::tempdir().unwrap();
    let open = Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _));
    let input = Input { name: "test".into(), origin: Origin::default(), open };
    let mut plan = Plan::new(out.path());
    plan.tables.extend(["packets", "dns"]);
    let report = dissect(Unit { inputs: vec![input] }, &plan, &()).unwrap();
    assert_eq!(numbers(&report, "packets", "packet"), (1..=10_000).collect::<Vec<_>>());
    assert_eq!(numbers(&report, "dns", "request_bytes"), [1992; 10_000]);
    assert_eq!(booleans(&report, "dns", "damaged"), [true; 10_000]);
}

#[test]
fn what_gave_no_packet_is_covered() {
    let mut bytes = capture(&(0..10).map(query).collect::<Vec<_>>());
    let framing_bytes = 24 + 10 * 16;
    bytes.extend([0xff; 50]);
    let captured_bytes = (bytes.len() - framing_bytes) as i64;
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(bytes, out.path(), 1);
    assert_eq!(numbers(&report, "captures", "bytes"), [captured_bytes]);
    assert_eq!(numbers(&report, "captures", "packets"), [10]);
    assert_eq!(numbers(&report, "coverage", "bytes").iter().sum::<i64>(), captured_bytes);
    assert_eq!(numbers(&report, "coverage", "packets").iter().sum::<i64>(), 10);
}

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

/// An answer of 24 records whose owners are one long name: ten times as long in a row as on the wire.
fn unfolding(n: u16) -> Vec<u8> {
    let name = [&[63][..], &[b'x'; 63], &[63], &[b'x'; 63], &[63], &[b'x'; 63], &[61], &[b'x'; 61], &[0]].concat();
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1];
    let head = [&n.to_be_bytes()[..], &[0x81, 0x80, 0, 1, 0, 24, 0, 0, 0, 0]].concat();
    let message = [&head, &name, &[0, 1, 0, 1][..], &record.repeat(24)].concat();
    let mut frame = Vec::new();
    let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(SERVER, CLIENT, 9);
    ends.udp(53, 10_000 + n % 500).write(&mut frame, &message).unwrap();
    frame
}

#[test]
fn a_stretch_that_unfolds_is_dissected_in_pieces() {
    let bytes = capture(&(0..5000).map(unfolding).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::new(out.path());
    let open: crate::plan::Open = Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _));
    let mut reader = super::open(Input { name: "test".into(), origin: Origin::default(), open }, false).unwrap();
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
    assert!(pieces > 1 && rows == 5000, "{rows} rows in {pieces} pieces");
}

#[test]
fn flows_that_are_open_at_the_end_become_rows_in_pieces() {
    let frames = conversations(60_000, 8);
    let bytes = capture(&frames);
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::new(out.path());
    let open: crate::plan::Open = Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _));
    let mut reader = super::open(Input { name: "test".into(), origin: Origin::default(), open }, false).unwrap();
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

/// A request and its answer; the server's frames are tagged or not.
fn exchange(client_vlan: Option<u16>, server_vlan: Option<u16>) -> Vec<Vec<u8>> {
    let frame = |client: bool, seq: u32, ack: u32, syn: bool, payload: &[u8]| {
        let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let (from, to, ports) = if client { (CLIENT, SERVER, (4000, 80)) } else { (SERVER, CLIENT, (80, 4000)) };
        let ip = match if client { client_vlan } else { server_vlan } {
            Some(vlan) => link.single_vlan(vlan.try_into().unwrap()).ipv4(from, to, 9),
            None => link.ipv4(from, to, 9),
        };
        let tcp = ip.tcp(ports.0, ports.1, seq, 999);
        let tcp = if syn { tcp.syn() } else { tcp };
        let tcp = if ack > 0 { tcp.ack(ack) } else { tcp };
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        bytes
    };
    let (request, answer) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    vec![
        frame(true, 10, 0, true, b""),
        frame(false, 50, 11, true, b""),
        frame(true, 11, 51, false, request),
        frame(false, 51, 11 + request.len() as u32, false, answer),
        frame(true, 11 + request.len() as u32, 51 + answer.len() as u32, false, b""),
    ]
}

#[test]
fn a_connection_is_one_where_its_directions_are_tagged_differently() {
    let rows = |frames: &[Vec<u8>]| {
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(frames), out.path(), 1);
        let rows: BTreeMap<_, _> = report.rows.into_iter().collect();
        (rows["flows"], rows["http"])
    };
    assert_eq!(rows(&exchange(None, None)), (1, 1));
    assert_eq!(rows(&exchange(Some(7), None)), (1, 1));
    assert_eq!(rows(&exchange(Some(7), Some(8))), (1, 1));
    // Two networks that carry both directions are two.
    let seen_twice: Vec<_> =
        exchange(Some(7), Some(7)).into_iter().zip(exchange(Some(8), Some(8))).flat_map(|(a, b)| [a, b]).collect();
    assert_eq!(rows(&seen_twice), (2, 2));
}

/// A segment of a connection to port 80: who sends it, where it stands, what it acknowledges, and whether it ends there.
fn segment((from, to): ([u8; 4], [u8; 4]), asks: bool, (seq, ack): (u32, u32), flag: char, payload: &[u8]) -> Vec<u8> {
    let ports = if asks { (4000, 80) } else { (80, 4000) };
    let tcp = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from, to, 9).tcp(ports.0, ports.1, seq, 999);
    let tcp = match flag {
        'S' => tcp.syn(),
        'F' => tcp.fin(),
        _ => tcp,
    };
    let tcp = if ack > 0 { tcp.ack(ack) } else { tcp };
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

#[test]
fn a_side_that_ends_before_anything_tells_what_it_speaks_has_ended() {
    // Joined in the middle and over at once: what waits for segments sent before it is handed on at the end.
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let behind = 11 + request.len() as u32;
    for (client, server) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let frames = [
            segment((client, server), true, (11, 51), ' ', request),
            segment((server, client), false, (51, behind), 'F', b""),
            segment((client, server), true, (behind, 52), 'F', b""),
        ];
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        let rows: BTreeMap<_, _> = report.rows.into_iter().collect();
        assert_eq!((rows["flows"], rows["http"]), (1, 1));
    }
}

#[test]
fn what_a_proxy_puts_in_front_takes_no_request_along() {
    let request =
        b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let answers = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (asks, behind) = ((CLIENT, SERVER), 11 + request.len() as u32);
    let frames = [
        segment(asks, true, (10, 0), 'S', b""),
        segment((SERVER, CLIENT), false, (50, 11), 'S', b""),
        segment(asks, true, (11, 51), ' ', request),
        segment((SERVER, CLIENT), false, (51, behind), ' ', answers),
    ];
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(capture(&frames), out.path(), 1);
    assert_eq!(texts(&report, "http", "path"), [Some("/a".to_owned()), Some("/b".to_owned())]);
    assert_eq!(texts(&report, "http", "pair"), vec![Some("complete".to_owned()); 2]);
}

/// How often and where frames were seen: interface, and `epb_flags`.
const SENT_BY_CLIENT: [(u32, u32); 4] = [(0, 2), (2, 5), (2, 2), (1, 5)];
const SENT_BY_SERVER: [(u32, u32); 4] = [(1, 2), (2, 5), (2, 2), (0, 5)];

/// A frame, and where it was seen: interface and `epb_flags`, in the order of time.
type Sighting = (Vec<u8>, [(u32, u32); 4]);

/// A recording of frames seen in two pods, and by the host between them.
fn recording(frames: &[Sighting]) -> Vec<u8> {
    let seen = frames.iter().flat_map(|(frame, seen)| seen.iter().map(move |&at| (frame.as_slice(), at)));
    recording_at(seen.zip(1..).map(|((frame, seen), n)| (frame, seen, n * 10)))
}

/// The same of frames with interface and `epb_flags`, at so many microseconds.
fn recording_at<'a>(frames: impl Iterator<Item = (&'a [u8], (u32, u32), u64)>) -> Vec<u8> {
    use formats::pcapng::{Point, Target};
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
    use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    let pod = |netns, name: &str| Target {
        netns,
        pod: Some(name.into()),
        namespace: Some("shop".into()),
        ..Target::default()
    };
    for target in [pod(1, "web"), pod(2, "db"), Target { netns: 3, host: true, ..Target::default() }] {
        let description = Point { target, interface: "eth0".into(), alias: None }.description();
        let block = InterfaceDescriptionBlock {
            linktype: pcap_file::DataLink::ETHERNET,
            snaplen: 0,
            options: vec![InterfaceDescriptionOption::IfDescription(description.into())],
        };
        writer.write_pcapng_block(block).unwrap();
    }
    for (frame, (interface_id, flags), us) in frames {
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: std::time::Duration::from_micros(1_700_000_000_000_000 + us),
            original_len: frame.len() as u32,
            data: frame.into(),
            options: vec![EnhancedPacketOption::Flags(flags)],
        };
        writer.write_pcapng_block(block).unwrap();
    }
    writer.into_inner()
}

/// The texts a column holds, file by file and row by row.
fn texts(report: &Report, table: &str, column: &str) -> Vec<Option<String>> {
    let files = report.files.iter().filter(|file| file.to_string_lossy().contains(&format!("/{table}/")));
    let batches = files.flat_map(|file| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        reader.map(Result::unwrap)
    });
    batches
        .flat_map(|batch| {
            let column = arrow::compute::cast(batch.column_by_name(column).unwrap(), &arrow::datatypes::DataType::Utf8);
            let column = column.unwrap();
            column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_call_between_pods_is_one_and_has_their_names() {
    let frames = exchange(None, None).into_iter().enumerate().map(|(at, frame)| {
        let by_client = at != 1 && at != 3;
        (frame, if by_client { SENT_BY_CLIENT } else { SENT_BY_SERVER })
    });
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&frames.collect::<Vec<_>>()), out.path(), 1);
    for table in ["http", "flows"] {
        let named = ["client_namespace", "client_pod", "server_namespace", "server_pod", "server_workload"]
            .map(|column| texts(&report, table, column));
        let [shop, web, db] = ["shop", "web", "db"].map(|name| vec![Some(name.to_owned())]);
        assert_eq!(named, [shop.clone(), web, shop, db, vec![None]], "{table}");
    }
}

#[test]
fn questions_of_the_same_length_are_not_one_seen_twice() {
    // From one port, as musl asks for both kinds of addresses; such packets have no identification.
    let frames = [query(7), query(507), query(1007)].map(|frame| (frame, SENT_BY_CLIENT));
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&frames), out.path(), 1);
    let rows: BTreeMap<_, _> = report.rows.iter().cloned().collect();
    assert_eq!((rows["dns"], rows["flows"]), (3, 1));
}

/// A query, and its answer in fragments of so many bytes.
fn fragmented(size: usize) -> Vec<Vec<u8>> {
    let mut message = query(7)[42..].to_vec();
    message[2] = 0x81; // An answer.
    message.resize(100, 0);
    let mut whole = Vec::new();
    let ends = PacketBuilder::ethernet2([2; 6], [1; 6]).ipv4(SERVER, CLIENT, 9);
    ends.udp(53, 10_007).write(&mut whole, &message).unwrap();
    let (headers, body) = whole.split_at(34);
    let pieces = body.chunks(size).enumerate().map(|(at, piece)| {
        let mut frame = headers.to_vec();
        frame[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        let more = (at + 1) * size < body.len();
        frame[20..22].copy_from_slice(&(u16::from(more) << 13 | (at * size / 8) as u16).to_be_bytes());
        [frame, piece.to_vec()].concat()
    });
    [query(7)].into_iter().chain(pieces).collect()
}

#[test]
fn each_fragment_is_of_the_flow_of_its_datagram() {
    let frames = fragmented(40);
    let inputs = |parts: &[&[Vec<u8>]]| {
        let captures = parts.iter().map(|part| capture(part)).enumerate();
        let input = |(at, bytes): (usize, Vec<u8>)| Input {
            name: format!("part{at}"),
            origin: Origin::default(),
            open: Box::new(move || Ok(Box::new(Cursor::new(bytes)) as _)),
        };
        captures.map(input).collect::<Vec<_>>()
    };
    for (inputs, parts) in [(inputs(&[&frames]), vec![0; 4]), (inputs(&[&frames[..2], &frames[2..]]), vec![0, 0, 1, 1])]
    {
        let out = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(out.path());
        plan.tables.extend(["packets", "spans", "dns", "flows", "coverage"]);
        let report = dissect(Unit { inputs }, &plan, &()).unwrap();
        let flows = numbers(&report, "packets", "flow_id");
        assert_eq!((flows.len(), flows.iter().all(|id| *id == flows[0])), (4, true));
        let mut captures: Vec<_> = texts(&report, "packets", "capture").into_iter().flatten().collect();
        captures.sort();
        assert_eq!(captures, parts.iter().map(|part| format!("part{part}")).collect::<Vec<_>>());
        assert_eq!(numbers(&report, "coverage", "packets").iter().sum::<i64>(), 4);
        let wire_bytes = frames[1..].iter().map(|frame| frame.len() as i64).sum::<i64>();
        let [packets, bytes] = ["server_packets", "server_wire_bytes"].map(|column| numbers(&report, "flows", column));
        assert_eq!((packets, bytes), (vec![3], vec![wire_bytes]));
        // The whole answer is within its call.
        let times = numbers(&report, "packets", "ts_ns");
        let (first, last) = (numbers(&report, "spans", "first_ts_ns"), numbers(&report, "spans", "last_ts_ns"));
        assert_eq!((first.len(), last.len()), (1, 1));
        assert!(times.iter().all(|time| (first[0]..=last[0]).contains(time)), "{times:?} {first:?} {last:?}");
    }
    // Without the query, and the last fragment to come first.
    let out = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(out.path());
    plan.tables.extend(["packets", "spans", "dns"]);
    let backwards: Vec<_> = frames[1..].iter().rev().cloned().collect();
    let report = dissect(Unit { inputs: inputs(&[&backwards]) }, &plan, &()).unwrap();
    let (first, times) = (numbers(&report, "spans", "first_ts_ns"), numbers(&report, "packets", "ts_ns"));
    assert_eq!((Some(&first[0]), numbers(&report, "packets", "flow_id").len()), (times.iter().min(), 3));
}

#[test]
fn echoes_and_chunks_are_told_apart_by_what_they_hold() {
    let frame = |protocol: u8, payload: &[u8]| {
        let ends = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(CLIENT, SERVER, 9);
        let mut frame = Vec::new();
        ends.write(&mut frame, etherparse::IpNumber(protocol), payload).unwrap();
        (frame, SENT_BY_CLIENT)
    };
    let echoes = (0..5).map(|n| frame(1, &[8, 0, 0, 0, 0, 1, 0, n]));
    // Of SCTP: ports, tag, checksum, a chunk of data with its TSN.
    let chunks =
        (0..5).map(|n| frame(132, &[&[0, 7, 0, 9][..], &[0; 8], &[0, 3, 0, 16], &[0, 0, 0, n], &[0; 8]].concat()));
    let out = tempfile::tempdir().unwrap();
    let report = dissect_bytes(recording(&echoes.chain(chunks).collect::<Vec<_>>()), out.path(), 1);
    assert_eq!(numbers(&report, "flows", "client_packets"), [5, 5]);
}

#[test]
fn bytes_of_a_side_that_was_not_seen_are_told() {
    let (request, answer) = (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    let (asked, answered) = (11 + request.len() as u32, 51 + answer.len() as u32);
    let (asks, answers) = ((CLIENT, SERVER), (SERVER, CLIENT));
    let all = [
        segment(asks, true, (10, 0), 'S', b""),
        segment(answers, false, (50, 11), 'S', b""),
        segment(asks, true, (11, 51), ' ', b""),
        segment(asks, true, (11, 51), ' ', request),
        segment(answers, false, (51, asked), ' ', answer),
        segment(asks, true, (asked, answered), 'F', b""),
        segment(answers, false, (answered, asked + 1), 'F', b""),
        segment(asks, true, (asked + 1, answered + 1), ' ', b""),
    ];
    for (kept, want) in [([0, 2, 3, 5, 7].as_slice(), [0, answer.len()]), (&[1, 4, 6], [request.len(), 0])] {
        let frames: Vec<_> = kept.iter().map(|&at| all[at].clone()).collect();
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        let gaps = ["client_gap_bytes", "server_gap_bytes"].map(|column| numbers(&report, "flows", column));
        assert_eq!(gaps, want.map(|bytes| vec![bytes as i64]));
    }
}

#[test]
fn a_reset_far_out_of_the_window_ends_nothing() {
    let reset = |seq: u32| {
        let tcp = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(CLIENT, SERVER, 9).tcp(4000, 80, seq, 0).rst();
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, &[]).unwrap();
        bytes
    };
    for (seq, resets, state) in [(777_777_777, 0, "established"), (29, 1, "reset"), (51, 1, "reset")] {
        let frames = [exchange(None, None), vec![reset(seq)]].concat();
        let out = tempfile::tempdir().unwrap();
        let report = dissect_bytes(capture(&frames), out.path(), 1);
        assert_eq!(numbers(&report, "flows", "resets"), [resets], "{seq}");
        assert_eq!(texts(&report, "flows", "tcp_state"), [Some(state.to_owned())]);
        let is_told = texts(&report, "anomalies", "kind").contains(&Some("reset_out_of_window".to_owned()));
        assert_eq!(is_told, resets == 0);
    }
    // Of a connection of which nothing else was seen, any counts.
    let out = tempfile::tempdir().unwrap();
    assert_eq!(numbers(&dissect_bytes(capture(&[reset(7)]), out.path(), 1), "flows", "resets"), [1]);
}

#[test]
fn what_cannot_be_read_stands_with_what_its_seal_says() {
    let out = tempfile::tempdir().unwrap();
    let lost = NotKept { stage: "ring", reason: "writing too slow", target: None, packets: Some(3), bytes: Some(9) };
    let paused = NotKept { reason: "no ring was open", packets: None, bytes: None, ..lost.clone() };
    let input = |name: &str, not_kept: &[&NotKept], content: Option<Vec<u8>>| Input {
        name: name.into(),
        origin: Origin { not_kept: not_kept.iter().map(|&lost| lost.clone()).collect(), ..Origin::default() },
        open: Box::new(move || match content {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes)) as _),
            None => Err(std::io::Error::other("locked")),
        }),
    };
    let inputs = vec![
        input("1", &[&lost], Some(capture(&[query(1), query(2)]))),
        input("2", &[&lost], None),
        input("3", &[], None),
        input("4", &[&lost, &paused], Some(capture(&[query(3)]))),
    ];
    let report = dissect(Unit { inputs }, &Plan { threads: 2, ..Plan::new(out.path()) }, &()).unwrap();
    assert_eq!((report.captures.len(), report.refused.len()), (2, 2));
    assert_eq!(numbers(&report, "captures", "packets"), [0, 2, 1]);
    let mut counted = texts(&report, "coverage", "packets");
    counted.retain(|packets| packets.as_deref() != Some("0"));
    counted.sort_unstable();
    assert_eq!(
        counted,
        [None, Some("1"), Some("2"), Some("3"), Some("3"), Some("3")].map(|text| text.map(str::to_owned))
    );
}

#[test]
fn what_cannot_be_finished_leaves_nothing_behind() {
    let out = tempfile::tempdir().unwrap();
    let dissected = || {
        let open = Box::new(|| Ok(Box::new(Cursor::new(capture(&[query(1)]))) as _));
        let input = Input { name: "test".into(), origin: Origin::default(), open };
        dissect(Unit { inputs: vec![input] }, &Plan { threads: 1, ..Plan::new(out.path()) }, &())
    };
    let files = dissected().unwrap().files;
    let [.., taken] = &*files else { panic!("{files:?}") };
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    // A file cannot take the name of a folder.
    std::fs::create_dir(taken).unwrap();
    assert!(dissected().is_err());
    for file in &files {
        let left = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(left.collect::<Vec<_>>(), if file == taken { vec![taken.clone()] } else { vec![] });
    }
}
