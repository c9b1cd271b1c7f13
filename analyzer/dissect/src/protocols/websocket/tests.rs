mod graphql;

use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Options, Start, http1};
use proptest::prelude::*;

fn play(from_start: bool, steps: &[Step]) -> (String, u64) {
    let options = Options { body_bytes_max: 0 };
    let start = Start { options, from_start, datagram: false, server_port: 80, multicast: false };
    let mut dissector = over_tcp::OverTcp::new(&start);
    let played = drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, |_, row| panic!("{row:?}"));
    (played.lines.join(" "), played.skipped_bytes)
}

/// A frame of a server, short enough for one byte of length.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

/// The same of a client.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let payload: Vec<u8> = wire::unmask(payload, Some(mask), 0).collect();
    [&[first, payload.len() as u8 | 0x80], &mask[..], &payload].concat()
}

#[test]
fn cases() {
    let long = [&[0x82, 126, 1, 0][..], &[0; 256]].concat();
    let longest = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0; 65536]].concat();
    for (name, steps, want) in [
        ("texts", vec![client(masked(0x81, b"hello")), server(plain(0x81, b"hi"))], ""),
        ("of every length", vec![server(plain(0x81, b"")), server(long), server(longest)], ""),
        (
            "in fragments, a ping between",
            vec![server([plain(1, b"a"), plain(0x89, b""), plain(0, b"b"), plain(0x80, b"c")].concat())],
            "",
        ),
        ("compressed", vec![client(masked(0xc1, b"\xff"))], ""),
        ("closed", vec![client(masked(0x88, b"\x03\xe8")), server(plain(0x88, b""))], ""),
        ("closed for a reason", vec![server(plain(0x88, b"\x03\xeano"))], "!websocket_close"),
        ("closed by half a code", vec![server(plain(0x88, b"\x03"))], "!websocket_close"),
        ("not masked", vec![client(plain(0x81, b"a")), client(plain(0x81, b"a"))], "!websocket_bad_mask"),
        ("masked by a server", vec![server(masked(0x81, b"a"))], "!websocket_bad_mask"),
        (
            "a message inside another",
            vec![server([plain(1, b"a"), plain(0x81, b"b")].concat())],
            "!websocket_bad_order",
        ),
        ("goes on with nothing", vec![server(plain(0x80, b"b"))], "!websocket_bad_order"),
        ("longer than it must be", vec![server([0x82, 126, 0, 1, 9])], "!websocket_bad_length"),
        (
            "reserved",
            vec![server([plain(0x83, b""), plain(0x8b, b""), plain(0xb1, b"")].concat())],
            "!websocket_reserved_opcode !websocket_reserved_bits",
        ),
        ("odd control", vec![server(plain(0x49, b""))], "!websocket_compressed_control !websocket_fragmented_control"),
        ("a long ping", vec![server([&[0x89, 126, 0, 126][..], &[0; 126]].concat())], "!websocket_control_too_long"),
        ("half a head", vec![server([0x81])], "!websocket_unfinished"),
        (
            "a gap inside a payload",
            vec![server(&plain(0x82, &[0; 9])[..5]), Step::Gap(Side::Server, 6), server(plain(0x81, b"a"))],
            "!websocket_gap",
        ),
    ] {
        assert_eq!(play(true, &steps), (want.to_owned(), 0), "{name}");
        assert_eq!(play(true, &cut(&steps, 1)), (want.to_owned(), 0), "{name}, byte by byte");
    }
}

#[test]
fn an_upgrade_names_it() {
    for (named, agreed) in
        [("websocket", Some("websocket")), ("WebSocket", Some("websocket")), ("h2c", Some("http2")), ("TLS/1.0", None)]
    {
        let options = Options { body_bytes_max: 0 };
        let start = Start { options, from_start: true, datagram: false, server_port: 80, multicast: false };
        let mut dissector = (http1::PROTOCOL.start)(&start);
        let upgrade = format!("Connection: Upgrade\r\nUpgrade: {named}\r\n\r\n");
        let steps = [
            client(format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}")),
            server(format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}")),
        ];
        let played = drive(dissector.as_mut(), http1::PROTOCOL.unread_bytes_max, &steps, |_, _| String::new());
        assert!(played.switched);
        assert_eq!(dissector.agreed().map(|protocol| protocol.name), agreed, "{named}");
    }
}

#[test]
fn finds_a_begin_by_a_text() {
    let text = plain(0x81, br#"{"type":"tick"}"#);
    let lost = [
        server(&text[..5]),
        Step::Gap(Side::Server, 99),
        server(b"ending"),
        server(&text),
        server(plain(0x88, b"\x03\xf3")),
    ];
    assert_eq!(play(true, &lost), ("!websocket_gap !websocket_close".to_owned(), 6));
    let joined = [client(b"\x82"), server(&text), server(plain(0x82, b"\0"))];
    assert_eq!(play(false, &joined), (String::new(), 1));
}

#[test]
fn detects() {
    let look = |bytes: &[u8]| detect(&Look { bytes, datagram: false, from_port: 1, to_port: 2 });
    assert_eq!(look(&masked(0x81, b"hello, world")), Detection::Yes(Some(Side::Client)));
    assert_eq!(look(&plain(0x81, b"hello, world")), Detection::Yes(Some(Side::Server)));
    for bytes in [
        &plain(0x81, b"hello")[..],
        &plain(0x82, b"hello, world"),
        &plain(0x81, b"hello, world")[..8],
        &plain(0x81, b"hello,\0world"),
        &[plain(0x81, b"hello, world"), vec![0]].concat(),
        b"",
        b"\x81",
    ] {
        assert_eq!(look(bytes), Detection::No, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(stream: Vec<u8>, size in 1usize..40) {
        let whole = vec![client(&stream), server(plain(0x81, b"x"))];
        prop_assert_eq!(play(true, &cut(&whole, size)), play(true, &whole));
    }
}
