//! How connections begin: recognised by their bytes, or taken over from HTTP/1.1.

use super::*;
use crate::protocols::http::Exchange;
use crate::protocols::http1;

#[test]
fn detects() {
    let look = |bytes: &[u8], datagram| detect(&Look { bytes, datagram, from_port: 1, to_port: 80 });
    let (asks, answers) = (Detection::Yes(Some(Side::Client)), Detection::Yes(Some(Side::Server)));
    let either = Detection::Yes(None);
    for (name, bytes, want) in [
        ("nothing", vec![], Detection::More),
        ("a begin", b"PRI * HT".to_vec(), Detection::More),
        ("the preface", PREFACE.to_vec(), asks),
        ("HTTP/1", b"PRI * HTTP/1.1\r\n".to_vec(), Detection::No),
        ("settings", settings(&[(3, 100)]), either),
        ("the begin of settings", settings(&[(3, 100)])[..10].to_vec(), Detection::More),
        ("settings, one of them of gRPC", settings(&[(4, 1 << 22), (5, 1 << 22), (0xfe03, 1)]), either),
        ("settings of which one cannot be", settings(&[(4, 1 << 22), (5, 1), (3, 1)]), Detection::No),
        ("settings nobody has", settings(&[(0x103, 100)]), Detection::No),
        ("no settings", settings(&[]), either),
        ("a request", headers(END, 5, &[0x82, 0x87, 0xbe]), asks),
        ("a response", headers(END, 5, &[0x88, 0xbe]), answers),
        ("fields nobody knows", headers(END, 5, &[0xc8, 0xbe]), Detection::More),
        ("DATA", data(1, 5, "hi"), Detection::More),
        ("the begin of a header", vec![0, 0, 9], Detection::More),
        ("DATA and trailers", [data(0, 5, "hi"), headers(END, 5, &[0xc0])].concat(), either),
        ("PING", frame(kind::PING, 0, 0, &[1; 8]), either),
        ("PING and more", [frame(kind::PING, 0, 0, &[1; 8]), vec![0]].concat(), Detection::More),
        ("PING and others", [frame(kind::PING, 0, 0, &[1; 8]), b"other".to_vec()].concat(), Detection::No),
        ("an increment of zero", frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]), Detection::No),
        ("zeros", vec![0; 40], Detection::No),
        ("Kafka", b"\0\0\0\x1a\0\x12\0\x03\0\0\0\x01\0\x03cli\0\x05a".to_vec(), Detection::No),
        ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), Detection::No),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), Detection::No),
        ("Redis", b"*1\r\n$4\r\nPING\r\n".to_vec(), Detection::No),
    ] {
        assert_eq!(look(&bytes, false), want, "{name}");
        assert_eq!(look(&bytes, true), Detection::No, "{name}");
    }
}

#[test]
fn an_upgraded_request_is_answered_on_the_first_stream() {
    let request = Exchange {
        method: b"GET".to_vec(),
        host: Some(b"h".to_vec()),
        path: Some(b"/up".to_vec()),
        request: Some(Default::default()),
        ..Exchange::default()
    };
    let mut dissector = over_tcp::OverTcp::new(&start(true));
    dissector.take_over(Box::new(request));
    let steps =
        begun(&[answers(END_HEADERS, 1, "200"), server(data(1, 1, "hi")), asks(3, "next"), answers(END, 3, "200")]);
    let played = drive(&mut dissector, PROTOCOL.unread_bytes_max, &steps, render);
    assert_eq!(played.lines, ["1 GET ?://h/up 200 complete r=hi/2", "3 GET http://h/next 200 complete"]);
}

#[test]
fn a_request_for_http2_is_handed_over_once_it_is_granted() {
    for (protocol, granted, carried) in
        [("h2c", 101, true), ("foo, H2C", 101, true), ("websocket", 101, false), ("h2c", 200, false)]
    {
        let mut dissector = (http1::PROTOCOL.start)(&start(true));
        let asks = format!("GET /up?x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        let answers = format!("HTTP/1.1 {granted} R\r\nContent-Length: 0\r\n\r\n");
        drive(dissector.as_mut(), http1::PROTOCOL.unread_bytes_max, &[client(asks), server(answers)], |_, _| {
            String::new()
        });
        let path = dissector.carried().map(|request| (request.path.unwrap(), request.query.unwrap()));
        assert_eq!(path, carried.then(|| (b"/up".to_vec(), b"x".to_vec())), "{protocol} {granted}");
    }
}
