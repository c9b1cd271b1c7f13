mod bounds;
mod captures;
mod connections;
mod fragments;
mod pods;
mod points;

use super::*;
use crate::plan::Origin;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use etherparse::PacketBuilder;
use formats::pcapng::{Point, Target};
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

/// The booleans a column holds, file by file and row by row.
fn booleans(report: &Report, table: &str, column: &str) -> Vec<bool> {
    let files = report.files.iter().filter(|file| file.to_string_lossy().contains(&format!("/{table}/")));
    let batches = files
        .flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap());
    let columns = batches.map(|batch| batch.unwrap().column_by_name(column).unwrap().as_boolean().clone());
    columns.flat_map(|column| column.iter().flatten().collect::<Vec<_>>()).collect()
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

/// The namespace of a pod.
fn pod(netns: u64, name: &str) -> Target {
    let (pod, namespace) = (Some(name.into()), Some("shop".into()));
    Target { netns, pod, namespace, ..Target::default() }
}

/// A recording of two pods and their host: frames with interface and `epb_flags`, at so many microseconds.
fn recording_at<'a>(frames: impl Iterator<Item = (&'a [u8], (u32, u32), u64)>) -> Vec<u8> {
    let targets = [pod(1, "web"), pod(2, "db"), Target { netns: 3, host: true, ..Target::default() }];
    recording_in(targets.map(Some), "eth0", frames)
}

/// The same of interfaces of that name, each in a namespace or in one that is not told.
fn recording_in<'a>(
    targets: impl IntoIterator<Item = Option<Target>>,
    interface: &str,
    frames: impl Iterator<Item = (&'a [u8], (u32, u32), u64)>,
) -> Vec<u8> {
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
    use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    for target in targets {
        let point = target.map(|target| Point { target, interface: interface.into(), alias: None });
        let description = point.map_or(interface.to_owned(), |point| point.description());
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
