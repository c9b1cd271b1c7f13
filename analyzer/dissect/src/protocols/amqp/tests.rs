mod content;
mod losses;
mod properties;
mod settlements;

use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, End, Options, Row, Start};

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &size, payload, &[0xce]].concat()
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

fn tag(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

const NO_TABLE: [u8; 4] = [0; 4];

/// A method frame: class, id, arguments.
fn call(channel: u16, class: u8, id: u8, arguments: &[&[u8]]) -> Vec<u8> {
    frame(1, channel, &[&[0, class, 0, id][..], &arguments.concat()].concat())
}

fn header(channel: u16, bytes: u64) -> Vec<u8> {
    frame(2, channel, &[&[0, 60, 0, 0][..], &bytes.to_be_bytes(), &[0x80, 0], &short("t/x")].concat())
}

fn content(channel: u16, pieces: &[&str]) -> Vec<u8> {
    let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>() as u64;
    let bodies = pieces.iter().map(|piece| frame(3, channel, piece.as_bytes()));
    [header(channel, bytes), bodies.collect::<Vec<_>>().concat()].concat()
}

fn publish_method(channel: u16, key: &str) -> Vec<u8> {
    call(channel, 60, 40, &[&[0, 0], &short("ex"), &short(key), &[1]])
}

fn publish(channel: u16, key: &str, body: &str) -> Vec<u8> {
    [publish_method(channel, key), content(channel, &[body])].concat()
}

fn deliver(channel: u16, consumer: &str, number: u64, body: &str) -> Vec<u8> {
    let arguments = [short(consumer), tag(number), vec![0], short("ex"), short("k")].concat();
    [call(channel, 60, 60, &[&arguments]), content(channel, &[body])].concat()
}

fn ack(channel: u16, number: u64, multiple: u8) -> Vec<u8> {
    call(channel, 60, 80, &[&tag(number), &[multiple]])
}

fn nack(channel: u16, number: u64, multiple: u8) -> Vec<u8> {
    call(channel, 60, 120, &[&tag(number), &[multiple]])
}

fn consume(channel: u16, queue: &str, consumer: &str, bits: u8) -> Vec<u8> {
    call(channel, 60, 20, &[&[0, 0], &short(queue), &short(consumer), &[bits], &NO_TABLE])
}

fn declare(channel: u16, queue: &str) -> Vec<u8> {
    call(channel, 50, 10, &[&[0, 0], &short(queue), &[0], &NO_TABLE])
}

fn declare_ok(channel: u16, queue: &str) -> Vec<u8> {
    call(channel, 50, 11, &[&short(queue), &[0; 8]])
}

fn close(channel: u16, class: u8, code: u16, failed: [u8; 2]) -> Vec<u8> {
    let id = if class == 10 { 50 } else { 40 };
    call(channel, class, id, &[&code.to_be_bytes(), &short("WHY"), &[0, failed[0], 0, failed[1]]])
}

fn open(channel: u16) -> [Step; 2] {
    [client(call(channel, 20, 10, &[&[0]])), server(call(channel, 20, 11, &[&NO_TABLE]))]
}

const OPENED: &str = "channel.open complete, channel.open-ok complete, ";

fn confirms(channel: u16) -> [Step; 2] {
    [client(call(channel, 85, 10, &[&[0]])), server(call(channel, 85, 11, &[]))]
}

const CONFIRMING: &str = "confirm.select complete, confirm.select-ok complete, ";

fn heartbeat() -> Vec<u8> {
    frame(8, 0, &[])
}

fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Amqp(message) = row else { panic!("{row:?}") };
    let mut line = message.class.to_string();
    if let Some(method) = &message.method {
        line += &format!(".{method}");
    }
    for (sign, text) in [(':', &message.queue), ('@', &message.consumer_tag), ('/', &message.routing_key)] {
        if let Some(text) = text {
            line += &format!(" {sign}{text}");
        }
    }
    if let Some(tag) = message.delivery_tag {
        line += &format!(" #{tag}");
    }
    if let Some(code) = message.reply_code {
        line += &format!(" {code} {}", message.reply_text.as_deref().unwrap());
    }
    if let Some(bytes) = message.body_bytes {
        let body = message.body.as_deref().map(String::from_utf8_lossy);
        line += &format!(" {}/{bytes}", body.unwrap_or_default());
    }
    if let Some((how, ns)) = message.settled {
        assert!(ns.is_none_or(|ns| ns > 0) && call.latency_ns() == ns);
        line += &format!(" <{how}>");
    }
    let damaged = if call.request.or(call.response).unwrap().damaged { " damaged" } else { "" };
    format!("{line} {}{damaged}", call.pair.name())
}

fn play(from_start: bool, steps: &[Step]) -> String {
    let start = Start {
        options: Options { body_bytes_max: 12 },
        from_start,
        datagram: false,
        server_port: PORT,
        multicast: false,
    };
    let mut dissector = (PROTOCOL.start)(&start);
    drive(dissector.as_mut(), PROTOCOL.unread_bytes_max, steps, render).lines.join(", ")
}

/// Cases on connections seen from their start.
fn check(cases: Vec<(&str, Vec<Step>, String)>) {
    for (name, steps, want) in cases {
        assert_eq!(play(true, &steps), want, "{name}");
        for size in [1, 2, 7, 64] {
            assert_eq!(play(true, &cut(&steps, size)), want, "{name}, cut to {size}");
        }
    }
}

fn all(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

fn closed() -> [Step; 2] {
    [Step::End(Side::Client, End::Closed), Step::End(Side::Server, End::Closed)]
}

#[test]
fn requests_and_their_replies() {
    let start = call(0, 10, 10, &[&[0, 9], &NO_TABLE, &[0, 0, 0, 5], b"PLAIN", &[0, 0, 0, 2], b"en"]);
    check(vec![
        (
            "the begin",
            vec![client(b"AMQP\0\0\x09\x01"), server(&start)],
            "protocol-header complete, connection.start cut".into(),
        ),
        (
            "a version refused",
            all(&[&[client(b"AMQP\0\x01\0\0"), server(b"AMQP\0\0\x09\x01")], &closed()]),
            "!amqp_version_refused, protocol-header complete, protocol-header complete".into(),
        ),
        ("a version of others", vec![client(b"AMQP\0\x01\0\0rest")], "protocol-header request_only".into()),
        ("heartbeats", vec![client(heartbeat()), server(heartbeat())], "heartbeat complete, heartbeat complete".into()),
        (
            "the server names the queue, and an empty name means it",
            all(&[
                &[client(declare(1, "")), server(declare_ok(1, "amq.gen-1"))],
                &[client(consume(1, "", "", 0)), server(call(1, 60, 21, &[&short("ct")]))],
                &[server(deliver(1, "ct", 1, "hi")), client(ack(1, 1, 0))],
            ]),
            "queue.declare :amq.gen-1 complete, queue.declare-ok :amq.gen-1 complete, \
             basic.consume :amq.gen-1 @ct complete, basic.consume-ok :amq.gen-1 @ct complete, \
             basic.deliver :amq.gen-1 @ct /k #1 hi/2 <ack> complete, basic.ack #1 complete"
                .into(),
        ),
        (
            "pipelined",
            vec![
                client([declare(1, "a"), declare(1, "b")].concat()),
                server(declare_ok(1, "a")),
                server(declare_ok(1, "b")),
            ],
            "queue.declare :a complete, queue.declare-ok :a complete, queue.declare :b complete, \
             queue.declare-ok :b complete"
                .into(),
        ),
        (
            "an empty name means the queue declared last, not the one answered last",
            vec![
                client([declare(1, "b"), declare(1, "")].concat()),
                server(declare_ok(1, "b")),
                client(consume(1, "", "x", 8)),
                server(declare_ok(1, "amq.gen-2")),
                client(consume(1, "", "y", 8)),
            ],
            "queue.declare :b complete, queue.declare-ok :b complete, basic.consume @x complete, \
             queue.declare :amq.gen-2 complete, queue.declare-ok :amq.gen-2 complete, \
             basic.consume :amq.gen-2 @y complete"
                .into(),
        ),
        (
            "get",
            vec![
                client(call(1, 60, 70, &[&[0, 0], &short("q"), &[0]])),
                server(
                    [call(1, 60, 71, &[&tag(4), &[0], &short("ex"), &short("k"), &[0; 4]]), content(1, &["x"])]
                        .concat(),
                ),
                client(call(1, 60, 90, &[&tag(4), &[1]])),
                client(call(1, 60, 70, &[&[0, 0], &short("q"), &[1]])),
                server(call(1, 60, 72, &[&[0]])),
            ],
            "basic.get :q complete, basic.get-ok :q /k #4 x/1 <reject> complete, basic.reject #4 complete, \
             basic.get :q complete, basic.get-empty :q complete"
                .into(),
        ),
        (
            "a refusal answers what it names",
            all(&[
                &[client(declare(1, "q")), server(close(1, 20, 404, [50, 10])), client(call(1, 20, 41, &[]))],
                &[client(call(0, 10, 40, &[&short("/"), &[0, 0]])), server(close(0, 10, 530, [10, 40]))],
            ]),
            "queue.declare :q 404 WHY complete, channel.close 404 WHY complete, channel.close-ok complete, \
             connection.open 530 WHY complete, connection.close 530 WHY cut"
                .into(),
        ),
        ("not answered", all(&[&[client(declare(1, "q"))], &closed()]), "queue.declare :q request_only".into()),
        ("a reply to nothing", vec![server(declare_ok(1, "q"))], "queue.declare-ok :q response_only".into()),
        (
            "unknown method, malformed method",
            vec![client([call(1, 99, 7, &[]), call(1, 60, 80, &[&[0; 4]]), call(1, 60, 80, &[&[0; 12]])].concat())],
            "!amqp_unknown_method, 99.7 complete, !amqp_malformed, basic.ack complete, !amqp_malformed, \
             basic.ack #0 complete"
                .into(),
        ),
    ]);
}

#[test]
fn what_begins_like_a_frame_is_told_by_its_bytes() {
    let look = |bytes: &[u8]| detect(&Look { bytes, datagram: false, from_port: 4000, to_port: 4001 });
    assert_eq!(look(b"AMQP\0\0\x09\x01"), Detection::Yes(None));
    assert_eq!(look(&publish(1, "a", "x")), Detection::Yes(Some(Side::Client)));
    assert_eq!(look(&deliver(1, "c", 1, "x")), Detection::Yes(Some(Side::Server)));
    assert_eq!(look(&heartbeat()), Detection::Yes(None));
    assert_eq!(look(&publish(1, "a", "x")[..10]), Detection::More);
    assert_eq!(look(&frame(3, 1, b"body")), Detection::No);
    assert_eq!(look(&publish(0, "a", "x")), Detection::No);
    assert_eq!(look(&call(1, 60, 80, &[&[0; 10]])), Detection::No);
    assert_eq!(look(b"AMQPlus"), Detection::No);
    assert_eq!(look(b"\x01\0\x01\0\0\0\x04\0\x3d\0\x0a\xce"), Detection::No);
}
