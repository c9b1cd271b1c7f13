//! TLS in a connection that spoke something else before, as the connection sees it.

use super::*;
use crate::decode::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel};
use crate::flow::{Flow, Way};
use crate::protocols::{Anomaly, Connection, Context, Output, REGISTRY, Stamp};
use crate::stream::Chunk;
use crate::tally::Tally;

#[derive(Default)]
struct Rows(Vec<String>);

impl Output for Rows {
    fn row(&mut self, _: &Flow, _: Way, call: &Call, row: Row<'_>) {
        if let Row::Tls(_) = row {
            self.0.push(render(call, row));
        }
    }

    fn anomaly(&mut self, _: &Flow, _: &Stamp, anomaly: Anomaly) {
        self.0.push(anomaly.kind.to_owned());
    }
}

/// A flow between two ports no protocol is at home on; the lesser end is the client.
fn flow() -> Flow {
    let end = |port| Endpoint { ip: [0; 16], port };
    let (key, from_low) = FlowKey::new(end(20_001), end(20_002), IpProtocol::TCP, 4, 0, Tunnel::None);
    let header = TcpHeader { seq: 0, ack: 0, flags: 0x02, window: 0, window_scale: None, timestamps: None };
    let packet = Packet {
        number: 1,
        ts_ns: 0,
        file_offset: 0,
        interface: 0,
        heard: Default::default(),
        captured_bytes: 0,
        wire_bytes: 0,
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

/// Plays segments, each with the side that sends it.
fn talk(segments: &[(Side, Vec<u8>)]) -> (Flow, Vec<String>) {
    let (mut flow, mut rows, mut tally) = (flow(), Rows::default(), Tally::default());
    let protocols: Vec<_> = REGISTRY.iter().collect();
    let mut connection = Connection::new(true);
    let options = Options { body_bytes_max: 0 };
    let mut seqs = [0u32; 2];
    for (at, (side, bytes)) in segments.iter().enumerate() {
        let way = if *side == Side::Client { Way::FromLow } else { Way::FromHigh };
        let seq = &mut seqs[usize::from(*side == Side::Client)];
        let chunk = Chunk::Bytes { bytes, seq: *seq, ts_ns: at as i64, packet: at as u64 + 1 };
        *seq += bytes.len() as u32;
        let out = &mut rows;
        connection.chunk(
            way,
            chunk,
            &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out },
        );
    }
    let out = &mut rows;
    connection
        .end(End::Closed, &mut Context { flow: &mut flow, protocols: &protocols, options, tally: &mut tally, out });
    (flow, rows.0)
}

/// What a client says before its hello, without an answer in between: flags, sizes, a character set, zeros.
fn mysql_ssl_request() -> Vec<u8> {
    [&[32, 0, 0, 1, 0x85, 0xae, 0xff, 0x19, 0, 0, 0, 1, 0xff][..], &[0; 23]].concat()
}

#[test]
fn tls_is_found_behind_what_was_said_before() {
    use Side::{Client, Server};
    let text = |side, text: &str| (side, text.as_bytes().to_vec());
    for (name, before) in [
        ("nothing", vec![]),
        ("who asked a proxy", vec![text(Client, "PROXY TCP4 1.2.3.4 5.6.7.8 9 443\r\n")]),
        ("SMTP", vec![text(Server, "220 mx ESMTP\r\n"), text(Client, "STARTTLS\r\n"), text(Server, "220 go\r\n")]),
        (
            "XMPP, which has no line ends",
            vec![
                text(Client, "<?xml version='1.0'?><stream>"),
                text(Client, "<starttls/>"),
                text(Server, "<proceed/>"),
            ],
        ),
        ("MySQL", vec![text(Server, "\x4a\0\0\0\x0a8.0.33\0\x08\0\0\0abcdefgh\0"), (Client, mysql_ssl_request())]),
        ("PostgreSQL", vec![(Client, vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), text(Server, "S")]),
        (
            "a tunnel of HTTP",
            vec![
                text(Client, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
                text(Server, "HTTP/1.1 200 OK\r\n\r\n"),
            ],
        ),
    ] {
        let hellos =
            [(Client, record(22, client_hello())), (Server, record(22, server_hello_13(&[]))), (Client, data())];
        let segments = [before, hellos.to_vec()].concat();
        for size in [1, 5, usize::MAX] {
            let piece = |(side, bytes): &(Side, Vec<u8>)| {
                bytes.chunks(size).map(|piece| (*side, piece.to_vec())).collect::<Vec<_>>()
            };
            let (flow, rows) = talk(&segments.iter().flat_map(piece).collect::<Vec<_>>());
            assert_eq!(rows, ["complete 1.3 1301 a.test offers=[304,303] full ja3 ja3s"], "{name} in {size}");
            assert_eq!(flow.tls.and_then(|tls| tls.sni).as_deref(), Some(&b"a.test"[..]), "{name} in {size}");
        }
    }
}

#[test]
fn a_connection_joined_behind_its_handshake_is_tls_without_a_row() {
    let (flow, rows) = talk(&[(Side::Server, data()[20..].to_vec()), (Side::Client, data()), (Side::Server, data())]);
    assert_eq!((flow.protocol, flow.tls.is_some(), rows.len()), (Some("tls"), true, 0));
}
