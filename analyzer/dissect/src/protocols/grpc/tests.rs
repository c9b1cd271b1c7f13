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
fn losses_are_stepped_over_or_said() {
    let answers = [frame(0, HI), frame(0, &[7; 20]), frame(0, HI), frame(0x80, b"grpc-status: 0\r\n")].concat();
    let Step::Bytes(_, whole) = answer(WEB, &answers) else { unreachable!() };
    let body = whole.len() - answers.len();
    for (lost, want) in [
        // Inside the second message: all messages are counted, those before the loss shown.
        (body + 9 + 5..body + 9 + 25, r#"a.B/C =0 1:4{"1":"hi"} 3:28[{"1":"hi"}] complete"#),
        (body + 9 + 8..body + 9 + 12, r#"a.B/C =0 1:4{"1":"hi"} 3:28[{"1":"hi"}] complete"#),
        // Over the edge of a message.
        (body + 9 + 8..body + 9 + 26, r#"!grpc_messages_lost, a.B/C 1:4{"1":"hi"} ?[{"1":"hi"}] complete"#),
        (body + 9 + 3..body + 9 + 4, r#"!grpc_messages_lost, a.B/C 1:4{"1":"hi"} ?[{"1":"hi"}] complete"#),
    ] {
        let steps = [
            post(WEB, &frame(0, HI)),
            server(&whole[..lost.start]),
            Step::Gap(Side::Server, lost.len() as u64),
            server(&whole[lost.end..]),
        ];
        let lines = play_with(4096, &steps);
        let lines: Vec<_> = lines.iter().filter(|line| *line != "!http1_gap").map(String::as_str).collect();
        assert_eq!(lines.join(", "), want, "{lost:?}");
    }
}

#[test]
fn what_may_be_missing_is_not_counted() {
    let two = [frame(0, HI), frame(0, HI)].concat();
    let mut counter = Counter::new(Framing::Plain);
    counter.write(&two);
    counter.doubt();
    counter.write(&two);
    let counted = counter.end(true);
    assert_eq!((counted.messages, counted.bytes, counted.odd), (None, None, Some(Odd::Lost)));
    assert_eq!(counted.bytes_before_loss, Some(two.len() as u64));
}

/// No value that a whole capture would not show, wherever bytes are missing.
#[test]
fn losses_invent_nothing() {
    let answers = [frame(0, HI), frame(0, b"\x08\x05"), frame(0x80, b"grpc-status: 0\r\n")].concat();
    let Step::Bytes(_, whole) = answer(WEB, &answers) else { unreachable!() };
    for begin in 0..whole.len() {
        for length in 1..=whole.len() - begin {
            let steps = [
                post(WEB, &frame(0, HI)),
                server(&whole[..begin]),
                Step::Gap(Side::Server, length as u64),
                server(&whole[begin + length..]),
            ];
            for line in play_with(4096, &steps).iter().filter(|line| !line.starts_with('!')) {
                let words: Vec<_> = line.split(' ').collect();
                assert!(!line.contains("=") || line.contains(" =0 "), "{line}");
                assert!(words.contains(&r#"1:4{"1":"hi"}"#), "{line}");
                let answered = words[words.len() - 2];
                let sound = ["?", r#"?[{"1":"hi"}]"#, r#"?[{"1":"hi"},{"1":5}]"#, "2:6", r#"2:6[{"1":"hi"}]"#];
                let whole = r#"2:6[{"1":"hi"},{"1":5}]"#;
                assert!(sound.contains(&answered) || answered == whole, "{begin} {length}: {line}");
            }
        }
    }
}

#[test]
fn what_is_not_unfolded_to_its_end_takes_room_too() {
    let zstd = |text: &[u8]| frame(1, &zstd::encode_all(text, 1).unwrap());
    let noise: Vec<u8> = (0..6_u32 << 10).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let half = noise.repeat(22);
    let shown = |frames: &[Vec<u8>]| {
        let mut headers = Fields::default();
        headers.push(b"grpc-encoding", b"zstd");
        let message = Message { headers, body: frames.concat(), ..Message::default() };
        let counted = Counter::new(Framing::Plain).end(true);
        let json = message::json(&message, &counted, "proto", &message::Known::default(), &mut |_| true);
        json.is_some_and(|json| json.ends_with(r#"{"1":"hi"}]"#))
    };
    assert!(shown(&[zstd(&half), zstd(HI)]));
    assert!(!shown(&[zstd(&half), zstd(&half), zstd(HI)]));
}

#[test]
fn messages_without_types() {
    let nested = |depth: usize| {
        (0..depth).fold(vec![], |inner: Vec<u8>, _| {
            let mut outer = vec![0x0a];
            let mut length = inner.len();
            while length > 0x7f {
                outer.push(length as u8 | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(inner);
            outer
        })
    };
    for (bytes, want) in [
        (&b""[..], "{}"),
        (b"\x08\x96\x01", r#"{"1":150}"#),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"1":-1}"#),
        (b"\x10\x01\x08\x02\x10\x03", r#"{"1":2,"2":[1,3]}"#),
        (b"\x0d\0\0\x80\x3f", r#"{"1":1.0}"#),
        (b"\x0d\xcd\xcc\xcc\x3d", r#"{"1":0.1}"#),
        (b"\x0d\x05\0\0\0", r#"{"1":5}"#),
        (b"\x09\x1f\x85\xeb\x51\xb8\x1e\x09\x40", r#"{"1":3.14}"#),
        (b"\x09\x05\0\0\0\0\0\0\0", r#"{"1":5}"#),
        (b"\x0a\x00", r#"{"1":""}"#),
        (b"\x0a\x04\x0a\x02hi", r#"{"1":{"1":"hi"}}"#),
        (b"\x0a\x02h\n", r#"{"1":"h\n"}"#),
        (b"\x0a\x03\n x", r#"{"1":"\n x"}"#),
        (b"\x0a\x02\xff\0", r#"{"1":{"$binary":"/wA="}}"#),
        (b"\x0b\x08\x05\x0c", r#"{"1":{"1":5}}"#),
        (b"\x0b\x0b\x08\x05\x0c\x0c", r#"{"1":{"1":{"1":5}}}"#),
    ] {
        assert_eq!(protobuf::message(bytes, None).map(|value| value.json()).as_deref(), Some(want), "{bytes:x?}");
    }
    for bytes in [
        &b"\x00\x01"[..],
        b"\x08",
        b"\x0a\x05hi",
        b"\x0f",
        b"\x0b\x08\x05",
        b"\x0b\x14",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
    ] {
        assert_eq!(protobuf::message(bytes, None), None, "{bytes:x?}");
    }
    assert!(protobuf::message(&nested(20_000), None).is_some(), "deeper ones are bytes");
    assert_eq!(protobuf::message(&vec![0x0b; 100_000], None), None);
}

const PROTO: &str = r#"
syntax = "proto3";
package a;
enum Color { RED = 0; BLUE = 3; }
message Item { string sku = 1; sint32 delta = 2; repeated int32 sizes = 3; map<string, Item> parts = 4; Color color = 5;
  bool gone = 6; double price = 7; float rate = 8; bytes raw = 9; int32 low = 10; fixed32 code = 11; uint64 big = 12;
  map<int32, Color> counts = 13; Item inner = 14; oneof one { string text = 15; int32 number = 16; Item item = 17; } }
service B { rpc C (Item) returns (stream Item); }
"#;

#[test]
fn messages_of_a_known_type() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proto");
    std::fs::write(&file, PROTO).unwrap();
    let protos = Protos::load(std::slice::from_ref(&file)).unwrap();
    let set = folder.path().join("a.bin");
    std::fs::write(&set, prost_set(&file)).unwrap();
    for protos in [protos, Protos::load(&[set]).unwrap()] {
        let method = protos.method("prefix/a.B", "C").unwrap();
        assert!(method.is_server_streaming() && protos.method("a.B", "D").is_none());
        for (bytes, want) in [
            (&b"\x0a\x02hi\x10\x03"[..], r#"{"sku":"hi","delta":-2}"#),
            (b"\x1a\x03\x01\x02\x03\x18\x04", r#"{"sizes":[1,2,3,4]}"#),
            (b"\x22\x09\x0a\x01k\x12\x04\x0a\x02hi", r#"{"parts":{"k":{"sku":"hi"}}}"#),
            (b"\x28\x03\x30\x01", r#"{"color":"BLUE","gone":true}"#),
            (b"\x28\x09", r#"{"color":9}"#),
            (b"\x0a\x01a\x0a\x01b", r#"{"sku":"b"}"#),
            (b"\x45\xcd\xcc\xcc\x3d\x4a\x01\xff", r#"{"rate":0.1,"raw":{"$binary":"/w=="}}"#),
            (b"\x50\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"low":-2}"#),
            (
                b"\x5d\0\0\x80\x3f\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                r#"{"code":1065353216,"big":18446744073709551615}"#,
            ),
            // The last of a map's key counts, and an entry may lack either.
            (b"\x22\x00", r#"{"parts":{"":{}}}"#),
            (
                b"\x22\x03\x0a\x01k\x22\x09\x0a\x01l\x12\x04\x0a\x02hi\x22\x09\x0a\x01k\x12\x04\x0a\x02yo",
                r#"{"parts":{"l":{"sku":"hi"},"k":{"sku":"yo"}}}"#,
            ),
            (b"\x6a\x00\x6a\x02\x08\x05\x6a\x02\x10\x02", r#"{"counts":{"5":"RED","0":2}}"#),
            // A message in parts is one.
            (
                b"\x72\x04\x0a\x02hi\x72\x04\x1a\x02\x01\x02\x72\x05\x10\x03\x1a\x01\x03",
                r#"{"inner":{"sku":"hi","delta":-2,"sizes":[1,2,3]}}"#,
            ),
            (b"\x72\x04\x0a\x02hi\x72\x01\xff", r#"{"14":[{"1":"hi"},{"$binary":"/w=="}]}"#),
            // The last member of a oneof counts.
            (b"\x7a\x01a\x80\x01\x05", r#"{"number":5}"#),
            (b"\x80\x01\x05\x7a\x01a\x7a\x01b", r#"{"text":"b"}"#),
            (
                b"\x8a\x01\x04\x0a\x02hi\x7a\x01a\x8a\x01\x02\x10\x03\x8a\x01\x02\x50\x01",
                r#"{"item":{"delta":-2,"low":1}}"#,
            ),
            // Of 32 bits, whatever was sent.
            (b"\x10\x83\x80\x80\x80\x10", r#"{"delta":-2}"#),
            (b"\x1a\x00", "{}"),
            // Of the wrong wire type, and not declared.
            (b"\x08\x05\xa2\x06\x01x", r#"{"1":5,"100":"x"}"#),
        ] {
            let value = protobuf::message(bytes, Some(&method.input())).map(|value| value.json());
            assert_eq!(value.as_deref(), Some(want), "{bytes:x?}");
        }
    }
    // As other tools write it that know editions.
    let set = folder.path().join("edition.bin");
    std::fs::write(&set, b"\x0a\x1b\x0a\x07a.proto\x12\x01a\x62\x08editions\x70\xe8\x07\x22\x00").unwrap();
    let said = Protos::load(std::slice::from_ref(&set)).unwrap_err().to_string();
    assert!(
        said.ends_with("a.proto in it is of syntax 'editions'; proto2 and proto3 are read, editions are not"),
        "{said}"
    );
    fn is_shareable(_: &(impl std::error::Error + Send + Sync + 'static)) {}
    std::fs::write(&file, "message {").unwrap();
    is_shareable(&Protos::load(std::slice::from_ref(&file)).unwrap_err());
    assert!(matches!(Protos::load(std::slice::from_ref(&file)), Err(ProtosError::Compile { .. })));
    assert!(matches!(Protos::load(&[folder.path().join("none")]), Err(ProtosError::Io { .. })));
    let text = folder.path().join("text");
    std::fs::write(&text, "text").unwrap();
    assert!(matches!(Protos::load(&[text]), Err(ProtosError::Descriptors { .. })));
}

#[test]
fn what_an_any_holds_is_shown_where_its_type_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proto");
    let source = r#"syntax = "proto3"; package a; import "google/protobuf/any.proto";
        message M { google.protobuf.Any any = 1; string s = 2; } service B { rpc C (M) returns (M); }"#;
    std::fs::write(&file, source).unwrap();
    let kind = Protos::load(&[file]).unwrap().method("a.B", "C").unwrap().input();
    let any = |name: &str, held: &[u8]| {
        let fields = [b"\x0a", &[name.len() as u8][..], name.as_bytes(), b"\x12", &[held.len() as u8], held].concat();
        [b"\x0a", &[fields.len() as u8][..], &fields].concat()
    };
    let inner = any("x/a.M", b"\x12\x01s");
    for (bytes, want) in [
        (inner.clone(), r#"{"any":{"@type":"x/a.M","s":"s"}}"#),
        (any("x/a.M", &inner), r#"{"any":{"@type":"x/a.M","any":{"@type":"x/a.M","s":"s"}}}"#),
        (any("x/a.N", b"\x12\x01s"), r#"{"any":{"type_url":"x/a.N","value":"\u0012\u0001s"}}"#),
        (any("x/a.M", b"\xff"), r#"{"any":{"type_url":"x/a.M","value":{"$binary":"/w=="}}}"#),
        (b"\x0a\x07\x0a\x05x/a.M".to_vec(), r#"{"any":{"@type":"x/a.M"}}"#),
        (b"\x0a\x00".to_vec(), r#"{"any":{}}"#),
    ] {
        assert_eq!(protobuf::message(&bytes, Some(&kind)).map(|value| value.json()).as_deref(), Some(want));
    }
}

fn prost_set(file: &std::path::Path) -> Vec<u8> {
    let mut compiler = protox::Compiler::new([file.parent().unwrap()]).unwrap();
    compiler.open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
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
