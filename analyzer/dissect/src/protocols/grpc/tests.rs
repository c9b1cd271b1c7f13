mod losses;
mod messages;

use super::*;
use crate::protocols::http::Fields;
use crate::protocols::http1;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Options, Row, Side, Start};
use base64::Engine as _;
use proptest::prelude::*;
use std::fmt::Write as _;

fn frame(flags: u8, bytes: &[u8]) -> Vec<u8> {
    [&[flags], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn text64(bytes: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

/// "service/method status message request response" and what else there is to say.
fn render(call: &crate::protocols::Call, row: Row<'_>) -> String {
    let Row::Grpc(carried) = row else { return "http".to_owned() };
    let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let (service, method) = carried.service_and_method();
    let mut line = format!("{}/{}", text(service), text(method));
    let _ = carried.status().map(|status| write!(line, " ={status}"));
    let _ = carried.status_message().map(|message| write!(line, " '{message}'"));
    for ((messages, bytes), json) in carried.counts().into_iter().zip(carried.json(None, &mut |_, _| true)) {
        match (messages, bytes) {
            (Some(messages), Some(bytes)) => write!(line, " {messages}:{bytes}"),
            other => write!(line, "{}", if other == (None, None) { " ?" } else { " odd" }),
        }
        .unwrap();
        line.push_str(json.as_deref().unwrap_or_default());
    }
    let _ = carried.encoding().map(|encoding| write!(line, " {encoding}"));
    let _ = carried.deadline_ms().map(|deadline| write!(line, " <{deadline}ms"));
    let _ = write!(line, " {}", call.pair.name());
    line
}

fn play_with(body_bytes_max: usize, steps: &[Step]) -> Vec<String> {
    let start = Start {
        options: Options { body_bytes_max },
        from_start: true,
        datagram: false,
        server_port: 80,
        multicast: false,
    };
    let mut dissector = (http1::PROTOCOL.start)(&start);
    let mut lines = drive(dissector.as_mut(), http1::PROTOCOL.unread_bytes_max, steps, render).lines;
    lines.retain(|line| line != "http");
    lines
}

fn post(fields: &str, body: &[u8]) -> Step {
    let head = format!("POST /a.B/C HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    client([head.as_bytes(), body].concat())
}

fn answer(fields: &str, body: &[u8]) -> Step {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    server([head.as_bytes(), body].concat())
}

const WEB: &str = "Content-Type: application/grpc-web+proto\r\n";
/// Field 1 is "hi".
const HI: &[u8] = b"\x0a\x02hi";

#[test]
fn calls() {
    let grpc = "Content-Type: application/grpc\r\n";
    let ok = frame(0x80, b"grpc-status: 0\r\ngrpc-message:a%20b%zz\r\n");
    let two = [frame(0, HI), frame(0, b"\x08\x05"), ok.clone()].concat();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut zipped, HI).unwrap();
    let zipped = zipped.finish().unwrap();
    let zstd = zstd::encode_all(HI, 1).unwrap();
    let encoded = |name: &str| format!("{WEB}grpc-encoding: {name}\r\n");
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\0\0\0\r\n6\r\n\0\x04\x0a\x02hi\r\n0\r\nGrpc-Status: 13\r\nGrpc-Message: caf%C3%A9\r\n\r\n";
    for (name, steps, want) in [
        (
            "unary",
            vec![post(WEB, &frame(0, HI)), answer(WEB, &[frame(0, HI), ok.clone()].concat())],
            r#"a.B/C =0 'a b%zz' 1:4{"1":"hi"} 1:4{"1":"hi"} complete"#,
        ),
        (
            "a stream",
            vec![post(WEB, &frame(0, b"")), answer(WEB, &two)],
            r#"a.B/C =0 'a b%zz' 1:0{} 2:6[{"1":"hi"},{"1":5}] complete"#,
        ),
        (
            "status in a trailer section",
            vec![post(grpc, &frame(0, HI)), server(chunked)],
            r#"a.B/C =13 'café' 1:4{"1":"hi"} 1:4{"1":"hi"} complete"#,
        ),
        (
            "status in the headers",
            vec![post(grpc, b""), answer(&format!("{grpc}grpc-status: 5\r\n"), b"")],
            "a.B/C =5 0:0 0:0 complete",
        ),
        (
            "base64, padded twice",
            vec![
                post("Content-Type: application/grpc-web-text\r\n", &text64(&frame(0, HI))),
                answer(
                    "Content-Type: application/grpc-web-text+proto\r\n",
                    &[text64(&frame(0, HI)), text64(&ok)].concat(),
                ),
            ],
            r#"a.B/C =0 'a b%zz' 1:4{"1":"hi"} 1:4{"1":"hi"} complete"#,
        ),
        (
            "compressed",
            vec![post(&encoded("gzip"), &frame(1, &zipped)), answer(&encoded("zstd"), &frame(1, &zstd))],
            &format!(r#"a.B/C 1:{}{{"1":"hi"}} 1:{}{{"1":"hi"}} gzip, zstd complete"#, zipped.len(), zstd.len()),
        ),
        (
            "compressed, nobody knows how",
            vec![post(&encoded("lzo"), &frame(1, b"\xff\0")), answer(&encoded("identity"), &frame(0, HI))],
            r#"!grpc_unknown_encoding, a.B/C 1:2{"$binary":"/wA="} 1:4{"1":"hi"} lzo, identity complete"#,
        ),
        (
            "messages of JSON",
            vec![
                post("Content-Type: application/grpc-web+json\r\n", &frame(0, br#"{"b": 1, "a": 2}"#)),
                answer(WEB, b""),
            ],
            r#"a.B/C 1:16{"b":1,"a":2} 0:0 complete"#,
        ),
        (
            "a deadline",
            vec![post(&format!("{WEB}grpc-timeout: 100u\r\n"), b""), answer(WEB, b"")],
            "a.B/C 0:0 0:0 <0.1ms complete",
        ),
        (
            "no deadline, no status",
            vec![post(&format!("{WEB}grpc-timeout: 1s\r\n"), b""), answer(&format!("{WEB}grpc-status: ok\r\n"), b"")],
            "!grpc_bad_status, !grpc_bad_timeout, a.B/C 0:0 0:0 complete",
        ),
        (
            "a proxy answers",
            vec![post(WEB, &frame(0, HI)), answer("Content-Type: text/html\r\n", b"<p>no</p>")],
            r#"a.B/C 1:4{"1":"hi"} ? complete"#,
        ),
        (
            "no frames",
            vec![post(WEB, b"hello"), answer(WEB, &frame(0, HI)[..8])],
            "!grpc_bad_prefix, !grpc_message_unfinished, a.B/C ? 0:0 complete",
        ),
        ("no answer", vec![post(WEB, &frame(0, HI))], r#"a.B/C 1:4{"1":"hi"} ? cut"#),
    ] {
        assert_eq!(play_with(4096, &steps).join(", "), want, "{name}");
        for size in [1, 7] {
            assert_eq!(play_with(4096, &cut(&steps, size)).join(", "), want, "{name}, in pieces of {size}");
        }
    }
}

#[test]
fn counts_do_not_need_bodies() {
    let answers = [frame(0, HI), frame(0, &[7; 300]), frame(0x80, b"grpc-status: 0\r\n")].concat();
    let steps = [post(WEB, &frame(0, HI)), answer(WEB, &answers)];
    assert_eq!(play_with(0, &steps), ["a.B/C =0 1:4 2:304 complete"]);
    assert_eq!(play_with(12, &steps), [r#"a.B/C =0 1:4{"1":"hi"} 2:304[{"1":"hi"}] complete"#]);
}

#[test]
fn an_encoding_that_may_be_among_unknown_fields_is_not_said() {
    use crate::protocols::http::{Exchange, Fields, Message};
    let of = |fields: &[(Option<&str>, &str)]| {
        let mut headers = Fields::default();
        for (name, value) in fields {
            match name {
                Some(name) => headers.push(name.as_bytes(), value.as_bytes()),
                None => headers.push_unknown(Some(value.as_bytes())),
            }
        }
        Some(Message { headers, ..Message::default() })
    };
    let (grpc, gzip) = ((Some("content-type"), "application/grpc"), (Some("grpc-encoding"), "gzip"));
    let plain = [grpc, (Some("grpc-encoding"), "identity")];
    for (asked, want) in [
        (&[grpc, gzip][..], Some("gzip, identity")),
        (&[grpc], Some("identity")),
        (&[(None, "x"), gzip], Some("gzip, identity")),
        (&[grpc, (None, "x")], None),
        (&[], None),
    ] {
        let exchange = Exchange { request: of(asked), response: of(&plain), ..Exchange::default() };
        assert_eq!(Call::of(&exchange).unwrap().encoding().as_deref(), want, "{asked:?}");
    }
    let asked = Exchange { request: of(&[grpc, gzip]), ..Exchange::default() };
    let answered = Exchange { response: of(&plain), ..Exchange::default() };
    let begun = Exchange { end_reason: Some(EndReason::InputEnd), ..asked.clone() };
    let said = [asked, answered, begun].map(|exchange| Call::of(&exchange).unwrap().encoding());
    assert_eq!(said, [Some("gzip".to_owned()), None, None]);
}

proptest! {
    #[test]
    fn hostile_bytes_are_read(data: Vec<u8>) {
        fuzz::fuzz_grpc(&data);
    }

    #[test]
    fn cutting_a_body_elsewhere_changes_nothing(frames in prop::collection::vec((0u8..2, prop::collection::vec(any::<u8>(), 0..9)), 0..5), tail: Vec<u8>, size in 1usize..9) {
        let body = [frames.iter().flat_map(|(flags, bytes)| frame(*flags, bytes)).collect(), tail].concat();
        for (framing, body) in [(Framing::Web, body.clone()), (Framing::WebText, text64(&body))] {
            let mut pieces = Counter::new(framing);
            body.chunks(size).for_each(|piece| pieces.write(piece));
            let mut whole = Counter::new(framing);
            whole.write(&body);
            prop_assert_eq!(pieces.end(true), whole.end(true));
        }
    }
}

#[test]
fn what_is_no_base64_is_left_alone() {
    let mut counter = Counter::new(Framing::WebText);
    counter.write(&[b'+'; 6]);
    counter.write(&[b'"'; 600]);
    counter.write(&text64(&[0; 5]));
    let counted = counter.end(true);
    assert_eq!((counted.messages, counted.odd), (None, Some(Odd::BadPrefix)));
}
