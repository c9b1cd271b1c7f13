//! `tcp_hostile OUT.pcapng.zst`: the case `tcp-hostile`, HTTP exchanges over TCP as no two ends would send it, or as a
//! capture that lost some of it. The same bytes at every run.

use etherparse::{IpHeaders, IpNumber, Ipv4Header, PacketBuilder, TcpHeader};
use formats::pcapng::write;
use std::process::ExitCode;

const CLIENT: usize = 0;
const SERVER: usize = 1;
const ADDRESSES: [[u8; 4]; 2] = [[192, 0, 2, 10], [192, 0, 2, 80]];
const HTTP: u16 = 80;
/// 2026-01-01T00:00:00Z.
const START_NS: u64 = 1_767_225_600_000_000_000;
/// Time between frames.
const STEP_NS: u64 = 1_000_000;

/// The frames so far.
#[derive(Default)]
struct Wire(Vec<Vec<u8>>);

#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    fin: bool,
    rst: bool,
}

/// A connection of one client port.
struct Connection<'a> {
    wire: &'a mut Wire,
    port: u16,
    /// The next sequence number of each side.
    next: [u32; 2],
}

impl<'a> Connection<'a> {
    /// One whose beginning was not captured.
    fn joined(wire: &'a mut Wire, port: u16, next: [u32; 2]) -> Self {
        Self { wire, port, next }
    }

    /// One that is opened by the book.
    fn opened(wire: &'a mut Wire, port: u16, initial: [u32; 2]) -> Self {
        let mut connection = Self::joined(wire, port, initial);
        for side in [CLIENT, SERVER] {
            connection.segment(side, initial[side], Flags { syn: true, ..Flags::default() }, b"");
            connection.next[side] = initial[side].wrapping_add(1);
        }
        connection.acknowledge(CLIENT);
        connection
    }

    /// A segment at any place. It acknowledges all that the other side sent, but for the SYN that opens.
    fn segment(&mut self, side: usize, seq: u32, flags: Flags, payload: &[u8]) {
        let ports = [self.port, HTTP];
        let mut tcp = TcpHeader::new(ports[side], ports[1 - side], seq, 0xffff);
        (tcp.syn, tcp.fin, tcp.rst) = (flags.syn, flags.fin, flags.rst);
        tcp.ack = !(flags.syn && side == CLIENT);
        tcp.psh = !payload.is_empty();
        tcp.acknowledgment_number = if tcp.ack { self.next[1 - side] } else { 0 };
        let mut ip = Ipv4Header::new(0, 64, IpNumber::TCP, ADDRESSES[side], ADDRESSES[1 - side]).expect("it is short");
        // No two frames are one frame seen twice.
        ip.identification = self.wire.0.len() as u16 + 1;
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, side as u8], [2, 0, 0, 0, 0, 1 - side as u8]);
        let builder = builder.ip(IpHeaders::Ipv4(ip, Default::default())).tcp_header(tcp);
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).expect("memory takes what is written");
        self.wire.0.push(frame);
    }

    fn acknowledge(&mut self, side: usize) {
        self.segment(side, self.next[side], Flags::default(), b"");
    }

    /// Bytes in their order.
    fn send(&mut self, side: usize, payload: &[u8]) {
        self.segment(side, self.next[side], Flags::default(), payload);
        self.lose(side, payload);
    }

    /// Bytes that were sent, and not captured.
    fn lose(&mut self, side: usize, payload: &[u8]) {
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32);
    }

    fn ask(&mut self, path: &str) {
        self.send(CLIENT, format!("GET {path} HTTP/1.1\r\nHost: hostile.test\r\n\r\n").as_bytes());
    }

    fn answer(&mut self, body: &str) {
        self.send(SERVER, &[&head(body.len()), body.as_bytes()].concat());
        self.acknowledge(CLIENT);
    }

    fn close(mut self) {
        for side in [CLIENT, SERVER] {
            self.segment(side, self.next[side], Flags { fin: true, ..Flags::default() }, b"");
            self.next[side] = self.next[side].wrapping_add(1);
        }
        self.acknowledge(CLIENT);
    }
}

fn head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

/// All there is to say, one connection after the other.
fn play(wire: &mut Wire) {
    let mut loss = Connection::opened(wire, 40_001, [1000, 2000]);
    loss.ask("/loss");
    loss.send(SERVER, &[&head(15), &b"first"[..]].concat());
    loss.lose(SERVER, b"never");
    loss.send(SERVER, b"third");
    loss.acknowledge(CLIENT);
    loss.ask("/loss/after");
    loss.answer("found again");
    loss.close();

    let mut reorder = Connection::opened(wire, 40_002, [1000, 2000]);
    reorder.ask("/reorder");
    let (at, begin) = (reorder.next[SERVER], head(9));
    let parts = [(at, &begin[..]), (at + begin.len() as u32 + 6, b"789"), (at + begin.len() as u32 + 3, b"456")];
    for (seq, part) in parts.into_iter().chain([(at + begin.len() as u32, &b"123"[..])]) {
        reorder.segment(SERVER, seq, Flags::default(), part);
    }
    reorder.next[SERVER] += begin.len() as u32 + 9;
    reorder.acknowledge(CLIENT);
    reorder.close();

    let mut overlap = Connection::opened(wire, 40_003, [1000, 2000]);
    overlap.ask("/overlap");
    let at = overlap.next[SERVER];
    let first = [&head(22)[..], b"what came "].concat();
    let ahead = at + first.len() as u32;
    overlap.segment(SERVER, at, Flags::default(), &first);
    // The end before the middle, which then overlaps it; at last the beginning again. Each time with other bytes.
    overlap.segment(SERVER, ahead + 6, Flags::default(), b"stands");
    overlap.segment(SERVER, ahead, Flags::default(), b"first falls!");
    overlap.segment(SERVER, at, Flags::default(), &vec![b'x'; first.len()]);
    overlap.next[SERVER] = ahead + 12;
    overlap.acknowledge(CLIENT);
    overlap.close();

    let mut wrap = Connection::opened(wire, 40_004, [u32::MAX - 20, u32::MAX - 40]);
    wrap.ask("/wrap");
    wrap.answer("around zero");
    wrap.close();

    let mut alive = Connection::opened(wire, 40_005, [1000, 2000]);
    alive.ask("/alive/1");
    alive.answer("one");
    // A probe repeats the last byte, or makes one up (RFC 9293 §3.8.4).
    alive.segment(CLIENT, alive.next[CLIENT] - 1, Flags::default(), b"\0");
    alive.acknowledge(SERVER);
    alive.ask("/alive/2");
    alive.answer("two");
    alive.close();

    let mut joined = Connection::joined(wire, 40_006, [700_000, 800_000]);
    joined.ask("/joined");
    joined.answer("no SYN was seen");
    joined.close();

    let mut twice = Connection::opened(wire, 40_007, [1000, 2000]);
    let at = twice.next[CLIENT];
    twice.ask("/twice");
    // Sent again, since its acknowledgement was late.
    twice.segment(CLIENT, at, Flags::default(), b"GET /twice HTTP/1.1\r\nHost: hostile.test\r\n\r\n");
    twice.answer("answered once");
    twice.close();

    let mut reset = Connection::opened(wire, 40_008, [1000, 2000]);
    reset.ask("/reset");
    reset.send(SERVER, &[&head(8)[..], b"half"].concat());
    reset.segment(
        SERVER,
        reset.next[SERVER],
        Flags { rst: true, ..Flags::default() },
        b"HTTP/1.1 500 not of the stream\r\n\r\n",
    );
}

fn capture(wire: &Wire) -> Vec<u8> {
    const ETHERNET: u16 = 1;
    let mut capture = Vec::new();
    write::section_header(&mut capture, &[]);
    write::interface(&mut capture, ETHERNET, 0, &[]);
    for (time_ns, frame) in (START_NS..).step_by(STEP_NS as usize).zip(&wire.0) {
        let head = write::PacketHead { interface: 0, time_ns, wire_bytes: frame.len() as u32 };
        write::enhanced_packet(&mut capture, head, [frame, &[]], |_| ());
    }
    capture
}

fn main() -> ExitCode {
    let Some(out) = std::env::args().nth(1) else {
        eprintln!("usage: tcp_hostile OUT.pcapng.zst");
        return ExitCode::from(2);
    };
    let mut wire = Wire::default();
    play(&mut wire);
    let written = zstd::encode_all(capture(&wire).as_slice(), 19).and_then(|bytes| std::fs::write(out, bytes));
    if let Err(error) = written {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
