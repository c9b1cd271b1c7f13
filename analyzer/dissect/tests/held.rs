//! What is counted as held is what is held: each room against the allocator, on what costs most for the bytes it takes.
#![allow(unsafe_code, reason = "an allocator that counts has no safe interface")]

use dissect::decode::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel};
use dissect::flow::{Flow, Way};
use dissect::protocols::{Anomaly, Call, Connection, Context, End, Options, Output, REGISTRY, Row, Stamp};
use dissect::stream::{Chunk, Segment, StreamPair};
use dissect::table::Rows;
use dissect::tally::Tally;
use dissect::{Origin, Plan};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes this thread took and did not give back.
    static LIVE_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted in the steps of 16 bytes that allocators take at least.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(change: impl Fn(usize) -> usize) {
    // A thread that ends frees what it had behind its last variable.
    let _ = LIVE_BYTES.try_with(|bytes| bytes.set(change(bytes.get())));
}

fn size(layout: Layout) -> usize {
    layout.size().next_multiple_of(16)
}

// SAFETY: each call is handed to the system's allocator as it is, and what it gives is handed back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(|bytes| bytes.wrapping_add(size(layout)));
        // SAFETY: the caller keeps what is asked of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(|bytes| bytes.wrapping_sub(size(layout)));
        // SAFETY: the caller keeps what is asked of it.
        unsafe { System.dealloc(at, layout) }
    }
}

fn live_bytes() -> usize {
    LIVE_BYTES.with(Cell::get)
}

/// Holds no rows.
struct Nowhere;

impl Output for Nowhere {
    fn row(&mut self, _: &Flow, _: Way, _: &Call, _: Row<'_>) {}
    fn anomaly(&mut self, _: &Flow, _: &Stamp, _: Anomaly) {}
}

/// Who says what: the client where it is true.
type Said = Vec<(bool, Vec<u8>)>;

const CLIENT: Way = Way::FromLow;

/// A flow to a server's port that was opened.
fn flow(port: u16) -> Flow {
    let end = |port| Endpoint { ip: [0; 16], port };
    let (key, from_low) = FlowKey::new(end(20), end(port), IpProtocol::TCP, 4, 0, Tunnel::None);
    let header = TcpHeader { seq: 0, ack: 0, flags: 2, window: 0, window_scale: None, timestamps: None };
    let packet = Packet {
        number: 1,
        ts_ns: 0,
        began_ns: 0,
        piece_of: None,
        file_offset: 0,
        interface: 0,
        device: 0,
        heard: Default::default(),
        captured_bytes: 0,
        wire_bytes: 0,
        frames: 1,
        frames_wire_bytes: 0,
        key,
        from_low,
        ip_id: 0,
        transport: Transport::Tcp(header),
        payload_at: 0,
        payload_bytes: 0,
        payload_wire_bytes: 0,
        carrier: false,
        counted: true,
        overhead_bytes: 0,
    };
    let mut flow = Flow::begin(1, &packet, 0);
    flow.packet(&packet);
    flow
}

/// Plays a connection in segments of `size` bytes; `then` looks at it before it ends.
fn play(port: u16, said: &Said, size: usize, out: &mut dyn Output, then: &mut dyn FnMut(&Connection, &str)) {
    let (mut flow, mut tally) = (flow(port), Tally::default());
    let protocols: Vec<_> = REGISTRY.iter().collect();
    let options = Options { body_bytes_max: 256 << 10 };
    let mut connection = Connection::new(true);
    let (mut seqs, mut packet) = ([0u32; 2], 0);
    for (from_client, bytes) in said {
        let way = if *from_client { CLIENT } else { CLIENT.back() };
        let seq = &mut seqs[usize::from(*from_client)];
        for bytes in bytes.chunks(size) {
            packet += 1;
            let chunk = Chunk::Bytes { bytes, seq: *seq, ts_ns: packet as i64, began_ns: packet as i64, packet };
            *seq += bytes.len() as u32;
            let cx =
                &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out: &mut *out };
            connection.chunk(way, chunk, cx);
        }
    }
    then(&connection, flow.protocol.unwrap_or_default());
    connection.end(End::Cut, &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out });
}

/// Memory that no room is asked about: of the flow, the tally, and what a thread remembers.
const APART_BYTES: usize = 8 << 10;

/// A connection of `protocol` that holds at least `least_bytes`, and no more than twice what it says.
fn check((protocol, port): (&str, u16), name: &str, said: &Said, size: usize, least_bytes: usize) {
    let before = live_bytes();
    play(port, said, size, &mut Nowhere, &mut |connection, spoken| {
        let held = live_bytes() - before;
        let counted = connection.held_bytes() + connection.dissector_bytes();
        println!("{protocol}, {name}: {held} bytes held, {counted} counted");
        assert_eq!(spoken, protocol, "{name}");
        assert!(held >= least_bytes, "{protocol}, {name}: {held} bytes held");
        assert!(held <= 2 * counted + APART_BYTES, "{protocol}, {name}: {held} bytes held, {counted} counted");
    });
}

fn asked(bytes: Vec<u8>) -> Said {
    vec![(true, bytes)]
}

fn answered(asked: Vec<u8>, answer: Vec<u8>) -> Said {
    vec![(true, asked), (false, answer)]
}

/// Bytes with their length in front, of so many bytes.
fn framed(length_bytes: usize, bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[4 - length_bytes..], bytes].concat()
}

#[test]
fn http1() {
    let of = ("http", 80);
    let get = b"GET / HTTP/1.1\r\n\r\n";
    check(of, "waiting", &asked(get.repeat(120)), 1400, 50_000);
    check(of, "answered", &answered(get.repeat(120), b"HTTP/1.1 204 N\r\n\r\n".repeat(120)), 1400, 0);
    let fields = [b"GET / HTTP/1.1\r\n", &b"a:\r\n".repeat(15_000)[..], b"\r\n"].concat();
    check(of, "small fields", &asked(fields.clone()), 1400, 100_000);
    check(of, "a head that is answered", &answered(fields, b"HTTP/1.1 204 N\r\n\r\n".to_vec()), 1400, 0);
    let unfinished = |bytes: usize| [&b"GET / HTTP/1.1\r\na: "[..], &vec![b'a'; bytes]].concat();
    check(of, "an unfinished head", &asked(unfinished(50_000)), 1400, 50_000);
    check(of, "an unfinished head in small segments", &asked(unfinished(9000)), 1, 300_000);
    let posted =
        [&b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Type: application/json\r\n\r\n1"[..]; 100].concat();
    check(of, "small bodies", &asked(posted), 1400, 50_000);
}

#[test]
fn http2() {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let front = (payload.len() as u32).to_be_bytes();
        [&front[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let get = |stream: u32| frame(1, 5, stream, b"\x82\x84\x86\x41\x01h");
    let begin = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat();
    let streams: Vec<u8> = (0..800).flat_map(|stream| get(2 * stream + 1)).collect();
    check(("http2", 80), "streams", &asked([begin.clone(), streams].concat()), 1400, 500_000);
    let named = [&b"\x82\x84\x86\x41\x01h"[..], &b"\x40\x01a\x01b".repeat(120)].concat();
    check(("http2", 80), "its table", &asked([begin, frame(1, 5, 1, &named)].concat()), 1400, 3_000);
}

/// A DNS query or answer whose records unfold to the name it asks for.
fn dns(id: u16, flags: u8, name: &[u8], records: u16) -> Vec<u8> {
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1].repeat(records.into());
    let head = [&id.to_be_bytes()[..], &[flags, 0, 0, 1, 0, 0, 0, 0], &records.to_be_bytes()].concat();
    [&head, name, &[0, 1, 0, 1], &record].concat()
}

const SHORT_NAME: &[u8] = b"\x01a\x00";

fn long_name() -> Vec<u8> {
    let label = [&[63][..], &[b'x'; 63]].concat();
    [&label.repeat(3), &[61][..], &[b'x'; 61], &[0]].concat()
}

#[test]
fn dns_over_tcp() {
    let of = ("dns", 53);
    let many = |flags| (0..900).flat_map(move |id| framed(2, &dns(id, flags, SHORT_NAME, 0))).collect::<Vec<u8>>();
    check(of, "waiting", &asked(many(0)), 1400, 200_000);
    check(of, "answered", &answered(many(0), many(0x80)), 1400, 0);
    let unfolding: Vec<u8> = (0..20).flat_map(|id| framed(2, &dns(id, 0, &long_name(), 1000))).collect();
    check(of, "records that unfold", &asked(unfolding), 1400, 500_000);
    let small: Vec<u8> = (0..20).flat_map(|id| framed(2, &dns(id, 0, SHORT_NAME, 3000))).collect();
    check(of, "small records", &asked(small), 1400, 500_000);
}

#[test]
fn kafka() {
    let of = ("kafka", 9092);
    let request = |key: u8, version: u8, id: u32, body: &[u8]| {
        framed(4, &[&[0, key, 0, version][..], &id.to_be_bytes(), &[0, 1, b'c'], body].concat())
    };
    let versions = |ids: std::ops::Range<u32>| ids.flat_map(|id| request(18, 0, id, b"")).collect::<Vec<u8>>();
    check(of, "waiting", &asked(versions(0..1000)), 1400, 300_000);
    let answers = (0..1000u32).flat_map(|id| framed(4, &[&id.to_be_bytes()[..], &[0; 6]].concat())).collect();
    check(of, "answered", &answered(versions(0..1000), answers), 1400, 0);
    let topics = |bytes: usize| -> Vec<u8> {
        let topic = |n: u32| [&n.to_be_bytes()[..], &vec![b't'; bytes - 4]].concat();
        let named: Vec<u8> = (0..400).flat_map(|n| framed(2, &topic(n))).collect();
        [&400u32.to_be_bytes()[..], &named].concat()
    };
    for bytes in [4, 200] {
        let mut under_way = request(3, 1, 1, &topics(bytes));
        under_way.truncate(under_way.len() - 10);
        check(of, &format!("topics of {bytes} bytes under way"), &asked(under_way), 1400, 5_000);
        let whole: Vec<u8> = (0..10).flat_map(|id| request(3, 1, id, &topics(bytes))).collect();
        check(of, &format!("topics of {bytes} bytes waiting"), &asked(whole), 1400, 50_000);
    }
}

#[test]
fn redis() {
    let of = ("redis", 6379);
    let ping = b"*1\r\n$4\r\nPING\r\n";
    check(of, "waiting", &asked(ping.repeat(5000)), 1400, 500_000);
    check(of, "answered", &answered(ping.repeat(5000), b"+PONG\r\n".repeat(5000)), 1400, 0);
    let arguments = [b"*1000\r\n$4\r\nMGET\r\n", &b"$1\r\na\r\n".repeat(999)[..]].concat();
    check(of, "small arguments", &asked(arguments.repeat(20)), 1400, 50_000);
    let values = [&b"*9000\r\n"[..], &b":1\r\n".repeat(8000)].concat();
    check(of, "an unfinished reply", &answered(ping.to_vec(), values), 1400, 100_000);
    let texts = [&b"*9000\r\n"[..], &b"$1\r\na\r\n".repeat(8000)].concat();
    check(of, "an unfinished reply of texts", &answered(ping.to_vec(), texts), 1400, 100_000);
}

#[test]
fn amqp() {
    let frame = |kind: u8, payload: &[u8]| [&[kind, 0, 1][..], &framed(4, payload), &[0xce]].concat();
    let declare = frame(1, &[0, 50, 0, 10, 0, 0, 1, b'q', 0, 0, 0, 0, 0]);
    let declare_ok = frame(1, &[0, 50, 0, 11, 1, b'q', 0, 0, 0, 0, 0, 0, 0, 0]);
    let begin = |frames: &[u8], times: usize| [&b"AMQP\0\0\x09\x01"[..], &frames.repeat(times)].concat();
    check(("amqp", 5672), "waiting", &asked(begin(&declare, 1000)), 1400, 200_000);
    check(("amqp", 5672), "answered", &answered(begin(&declare, 1000), declare_ok.repeat(1000)), 1400, 0);
}

#[test]
fn tls() {
    let alpns = framed(2, &framed(2, &b"\x01a".repeat(4000)));
    let hello =
        [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &framed(2, &[&[0, 16], &alpns[..]].concat())].concat();
    let record = [&[0x16, 3, 1][..], &framed(2, &[&[1][..], &framed(3, &hello)].concat())].concat();
    check(("tls", 443), "small names", &asked(record.clone()), 1400, 100_000);
    check(("tls", 443), "an unfinished hello", &asked(record[..record.len() - 9].to_vec()), 1400, 5_000);
}

#[test]
fn websocket() {
    let upgrade = "GET /graphql HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    let switched = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    let text = |text: &str| [&[0x81, 0x80 | text.len() as u8][..], &[0; 4], text.as_bytes()].concat();
    let subscribe =
        |id: u32| text(&format!(r#"{{"id":"{id}","type":"subscribe","payload":{{"query":"{{a b c d}}"}}}}"#));
    let many: Vec<u8> = (0..120).flat_map(subscribe).collect();
    let said = vec![(true, upgrade.into()), (false, switched.into()), (true, many)];
    check(("websocket", 80), "operations", &said, 1400, 30_000);
    let long = [&[0x81, 0xfe, 0xff, 0xff][..], &[0; 4], &[b'"'; 65_535], &[0x81, 0x81, 0, 0, 0, 0]].concat();
    let said = vec![(true, upgrade.into()), (false, switched.into()), (true, long)];
    check(("websocket", 80), "a long text that is over", &said, 1400, 0);
}

#[test]
fn segments_out_of_order() {
    let mut pair = StreamPair::default();
    Way::BOTH.into_iter().for_each(|way| pair.begin(way, 1));
    let before = live_bytes();
    for n in 0..8000 {
        for way in Way::BOTH {
            let segment = Segment {
                way,
                seq: 3 + 2 * n,
                ack: None,
                syn: false,
                fin: false,
                bytes: b"a",
                cut_bytes: 0,
                ts_ns: n.into(),
                began_ns: n.into(),
                packet: n.into(),
            };
            pair.segment(&segment, &mut |_, _| {});
        }
    }
    let (held, counted) = (live_bytes() - before, pair.held_bytes());
    println!("segments: {held} bytes held, {counted} counted");
    assert!(held > 1_000_000 && held <= counted * 5 / 4, "{held} bytes held, {counted} counted");
}

/// Rows hold no more than about three times what they say: their columns grow by doubling.
fn check_rows(name: &str, port: u16, said: &Said) {
    let plan = Plan::new(std::path::Path::new(""));
    let mut rows = Rows::new(&plan, &Origin::default());
    let before = live_bytes();
    let mut plays = 0;
    while live_bytes() - before < 8 << 20 && plays < 10_000 {
        play(port, said, 1400, &mut rows, &mut |_, _| {});
        plays += 1;
    }
    let (held, counted) = (live_bytes() - before, rows.bytes());
    println!("rows, {name}: {held} bytes held, {counted} counted");
    assert!(held >= 8 << 20 && held <= counted * 3, "{name}: {held} bytes held, {counted} counted");
}

#[test]
fn rows() {
    check_rows("small requests", 80, &asked(b"GET / HTTP/1.1\r\n\r\n".repeat(100)));
    let fields = [b"GET / HTTP/1.1\r\n", &b"a:\r\n".repeat(15_000)[..], b"\r\n"].concat();
    check_rows("small fields", 80, &asked(fields));
    let long =
        [b"GET / HTTP/1.1\r\n\r\nGET /", &[b'a'; 30_000][..], b"?", &[b'b'; 30_000], b" HTTP/1.1\r\n\r\n"].concat();
    check_rows("long paths", 80, &asked(long));
    let trailers =
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", &b"a:\r\n".repeat(15_000)[..], b"\r\n"];
    check_rows("small trailers", 80, &asked(trailers.concat()));
    check_rows("records that unfold", 53, &asked(framed(2, &dns(1, 0x80, &long_name(), 1000))));
    check_rows("small records", 53, &asked(framed(2, &dns(1, 0x80, SHORT_NAME, 3000))));
    check_rows("small arguments", 6379, &asked([b"*1000\r\n$4\r\nMGET\r\n", &b"$1\r\na\r\n".repeat(999)[..]].concat()));
    let produced = {
        // A batch of format 2 with one record, that has headers without names and values.
        let record = [&[0, 0, 0, 1, 1][..], &[0xa0, 0x9c, 1], &[1; 20_000]].concat();
        let record = [&[0xd0, 0xb8, 2][..], &record].concat();
        let head = [&[0; 4][..], &[2], &[0; 6], &[0; 4], &[0; 16], &[0xff; 14], &1u32.to_be_bytes()].concat();
        let batch = [&[0; 8][..], &framed(4, &[head, record].concat())].concat();
        let topic =
            [&1u32.to_be_bytes()[..], &framed(2, b"t"), &1u32.to_be_bytes(), &[0; 4], &framed(4, &batch)].concat();
        let request = [&[0, 0, 0, 3, 0, 0, 0, 7, 0, 1, b'c', 0xff, 0xff, 0, 1, 0, 0, 0, 0][..], &topic].concat();
        framed(4, &request)
    };
    check_rows("small headers", 9092, &asked(produced));
    let query = format!("{{{}}}", "a ".repeat(5000));
    let body = format!(r#"{{"query":"{query}"}}"#);
    let posted =
        format!("POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    check_rows("small fields of GraphQL", 80, &asked((posted + &body).into_bytes()));
}
