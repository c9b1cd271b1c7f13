//! TLS in a connection that spoke something else before, as the connection sees it.

use super::*;
use crate::flow::Flow;
use crate::protocols::testing::connected;

/// Plays segments, each with the side that sends it.
fn talk(segments: &[(Side, Vec<u8>)]) -> (Flow, Vec<String>) {
    connected(true, segments, |call, row| matches!(row, Row::Tls(_)).then(|| render(call, row)))
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

#[test]
fn who_says_hello_to_a_port_in_clear_is_answered_in_what_is_spoken_there() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let segments = [(Side::Client, record(22, client_hello())), (Side::Server, answer)];
    let (flow, rows) = connected(true, &segments, |call, row| match row {
        Row::Http(exchange) => Some(format!("{:?} {}", exchange.status, call.pair.name())),
        _ => Some(render(call, row)),
    });
    let hello = "request_only a.test offers=[304,303] ja3";
    assert_eq!(rows, ["tls_not_a_record", hello, "Some(400) response_only"]);
    assert_eq!(flow.protocol, Some("tls"));
}
