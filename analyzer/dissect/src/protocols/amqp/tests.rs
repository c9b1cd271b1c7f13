use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, End, Options, Row, Start};
use proptest::prelude::*;

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
fn content_of_any_shape() {
    let returned = call(1, 60, 50, &[&[1, 0x38], &short("NO_ROUTE"), &short("ex"), &short("k")]);
    let opened = |steps: &[Step]| all(&[&open(1), &open(2), steps]);
    let two = "channel.open complete, channel.open-ok complete, channel.open complete, channel.open-ok complete, ";
    check(vec![
        (
            "in several frames, and none at all",
            opened(&[
                client([publish_method(1, "a"), content(1, &["one ", "", "two"])].concat()),
                client([publish_method(1, "b"), header(1, 0)].concat()),
            ]),
            format!("{two}basic.publish /a one two/7 complete, basic.publish /b /0 complete"),
        ),
        (
            "channels take turns",
            opened(&[client(
                [
                    publish_method(1, "a"),
                    publish_method(2, "b"),
                    header(1, 4),
                    frame(3, 1, b"aa"),
                    header(2, 2),
                    heartbeat(),
                    frame(3, 2, b"bb"),
                    frame(3, 1, b"aa"),
                ]
                .concat(),
            )]),
            format!("{two}heartbeat complete, basic.publish /b bb/2 complete, basic.publish /a aaaa/4 complete"),
        ),
        (
            "longer than the limit",
            opened(&[client(publish(1, "a", "0123456789abcdef"))]),
            format!("{two}basic.publish /a 0123456789ab/16 complete"),
        ),
        (
            "returned",
            opened(&[server([returned, content(1, &["x"])].concat())]),
            format!("{two}basic.return /k 312 NO_ROUTE x/1 complete"),
        ),
        (
            "more than was said",
            opened(&[client([publish_method(1, "a"), header(1, 2), frame(3, 1, b"abc")].concat())]),
            format!("{two}!amqp_body_too_long, basic.publish /a ab/2 complete"),
        ),
        (
            "a method before its end",
            opened(&[client(
                [publish_method(1, "a"), header(1, 4), frame(3, 1, b"ab"), publish(1, "b", "x")].concat(),
            )]),
            format!("{two}!amqp_content_unfinished, basic.publish /a ab/4 cut, basic.publish /b x/1 complete"),
        ),
        (
            "without a method",
            opened(&[client([content(1, &["x"]), frame(3, 1, b"y")].concat())]),
            format!("{two}!amqp_content_unexpected, basic x/1 cut, !amqp_content_unexpected"),
        ),
        (
            "the connection ends before",
            opened(&all(&[&[client([publish_method(1, "a"), header(1, 4)].concat())], &closed()])),
            format!("{two}!amqp_content_unfinished, basic.publish /a /4 cut"),
        ),
    ]);
}

#[test]
fn a_frame_longer_than_is_read_is_stepped_over() {
    let long = [&[1, 0, 1, 0, 16, 0, 0][..], &[7; 1 << 20], b"\xce", &publish(1, "a", "x")].concat();
    let lines = play(true, &cut(&all(&[&open(1), &[client(long)]]), 9000));
    assert_eq!(lines, format!("{OPENED}!amqp_frame_too_long, basic.publish /a x/1 cut"));
}

#[test]
fn confirms_and_settlements() {
    let confirming = |steps: &[Step]| all(&[&open(1), &confirms(1), steps]);
    let transactions =
        |steps: &[Step]| all(&[&open(1), &[client(call(1, 90, 10, &[])), server(call(1, 90, 11, &[]))], steps]);
    check(vec![
        (
            "one by one, several, refused, never",
            confirming(&[
                client([publish(1, "a", "1"), publish(1, "b", "2"), publish(1, "c", "3")].concat()),
                server(ack(1, 2, 0)),
                server(nack(1, 3, 1)),
                client([publish(1, "d", "4"), publish(1, "e", "5"), publish(1, "f", "6")].concat()),
                server(ack(1, 5, 1)),
            ]),
            format!(
                "{OPENED}{CONFIRMING}basic.publish /b #2 2/1 <ack> complete, basic.ack #2 complete, \
                 basic.publish /a #1 1/1 <nack> complete, basic.publish /c #3 3/1 <nack> complete, basic.nack #3 complete, \
                 basic.publish /d #4 4/1 <ack> complete, basic.publish /e #5 5/1 <ack> complete, basic.ack #5 complete, \
                 basic.publish /f #6 6/1 cut"
            ),
        ),
        (
            "each channel counts for itself, and anew when opened again",
            all(&[
                &open(1),
                &confirms(1),
                &[client(publish(1, "a", "1")), client(call(1, 20, 40, &[&[0; 7]])), server(call(1, 20, 41, &[]))],
                &open(1),
                &confirms(1),
                &[client(publish(1, "b", "2")), server(ack(1, 1, 0))],
            ]),
            format!(
                "{OPENED}{CONFIRMING}channel.close 0  complete, channel.close-ok complete, \
                 basic.publish /a #1 1/1 request_only, {OPENED}{CONFIRMING}basic.publish /b #1 2/1 <ack> complete, \
                 basic.ack #1 complete"
            ),
        ),
        (
            "deliveries: all of them, one, to a consumer that settles none",
            all(&[
                &open(1),
                &[client([consume(1, "q", "x", 8), consume(1, "p", "y", 8 | 2)].concat())],
                &[server([1, 2, 3].map(|number| deliver(1, "x", number, "m")).concat())],
                &[server(deliver(1, "y", 4, "m")), client(nack(1, 3, 0)), client(ack(1, 0, 1))],
            ]),
            format!(
                "{OPENED}basic.consume :q @x complete, basic.consume :p @y complete, \
                 basic.deliver :p @y /k #4 m/1 complete, basic.deliver :q @x /k #3 m/1 <nack> complete, \
                 basic.nack #3 complete, basic.deliver :q @x /k #1 m/1 <ack> complete, \
                 basic.deliver :q @x /k #2 m/1 <ack> complete, basic.ack #0 complete"
            ),
        ),
        (
            "recovered",
            all(&[
                &open(1),
                &[server(deliver(1, "x", 1, "m")), client(call(1, 60, 110, &[&[1]])), server(call(1, 60, 111, &[]))],
            ]),
            format!(
                "{OPENED}basic.recover complete, basic.recover-ok complete, \
                 basic.deliver @x /k #1 m/1 <recover> complete"
            ),
        ),
        (
            "transactions",
            transactions(&[
                client(
                    [publish(1, "a", "1"), publish(1, "b", "2"), call(1, 90, 20, &[]), publish(1, "c", "3")].concat(),
                ),
                server(call(1, 90, 21, &[])),
                client(call(1, 90, 30, &[])),
                server(call(1, 90, 31, &[])),
            ]),
            format!(
                "{OPENED}tx.select complete, tx.select-ok complete, tx.commit complete, tx.commit-ok complete, \
                 basic.publish /a 1/1 <commit> complete, basic.publish /b 2/1 <commit> complete, \
                 tx.rollback complete, tx.rollback-ok complete, basic.publish /c 3/1 <rollback> complete"
            ),
        ),
    ]);
}

#[test]
fn more_rows_than_may_wait_still_come_out() {
    let published: Vec<u8> = (0..waiting::ROWS_MAX as u64 + 3).flat_map(|_| publish(1, "k", "x")).collect();
    let lines = play(true, &all(&[&open(1), &confirms(1), &[client(published), server(ack(1, 5, 1))], &closed()]));
    assert_eq!(lines.matches("basic.publish").count(), waiting::ROWS_MAX + 3);
    assert_eq!(lines.matches("!amqp_not_all_held").count(), 1);
    assert_eq!(lines.matches("x/1 cut").count(), 3);
    assert_eq!(lines.matches("<ack>").count(), 2);
}

/// Were each of them about all that is open, this would take minutes.
#[test]
fn a_loss_is_about_what_came_since_the_one_before() {
    let opened: Vec<u8> = (2..2000).flat_map(|channel| call(channel, 20, 10, &[&[0]])).collect();
    let published: Vec<u8> = (0..2000).flat_map(|_| publish(1, "k", "x")).collect();
    let lost = [heartbeat(), vec![0xff]].concat().repeat(20_000);
    let steps = [client(opened), server(vec![]), client(published), client(lost.clone()), server(lost)];
    let lines = play(true, &all(&[&open(1), &confirms(1), &steps]));
    assert_eq!(lines.matches("heartbeat").count(), 40_000);
    assert_eq!(lines.matches("x/1 cut").count(), 2000);
}

#[test]
fn losses_and_starts_in_the_middle() {
    let gap = |side, lost| Step::Gap(side, lost);
    let frames = [publish(1, "a", "aaaa"), publish(1, "b", "bbbb"), publish(1, "c", "cccc")].concat();
    let one = frames.len() / 3;
    let (first, rest) = frames.split_at(one);
    let confirming = |steps: &[Step]| all(&[&open(1), &confirms(1), steps]);
    let begun = format!("{OPENED}{CONFIRMING}");
    for (name, from_start, steps, want) in [
        (
            "joined inside a body",
            false,
            vec![client(&frames[one - 4..]), server(ack(1, 9, 0))],
            "basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut, basic.ack #9 complete".into(),
        ),
        (
            "joined between method and content",
            false,
            vec![client(&frames[publish_method(1, "a").len()..one])],
            "basic aaaa/4 cut".into(),
        ),
        ("joined, a reply alone", false, vec![server(declare_ok(1, "q"))], "queue.declare-ok :q cut".into()),
        (
            "joined, then opened in sight",
            false,
            confirming(&[client(publish(1, "a", "1")), server(ack(1, 1, 0))]),
            format!("{begun}basic.publish /a #1 1/1 <ack> complete, basic.ack #1 complete"),
        ),
        (
            "joined, confirms asked for again",
            false,
            all(&[&confirms(1), &[client(publish(1, "a", "1")), server(ack(1, 1, 0))]]),
            format!("{CONFIRMING}basic.publish /a 1/1 cut, basic.ack #1 complete"),
        ),
        (
            "a gap inside a body",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 1), client([&first[one - 2..], rest].concat()), server(ack(1, 3, 1))]),
            format!(
                "{begun}!amqp_gap, basic.publish /a #1 aa/4 <ack> cut damaged, basic.publish /b #2 bbbb/4 <ack> complete, \
                 basic.publish /c #3 cccc/4 <ack> complete, basic.ack #3 complete"
            ),
        ),
        (
            "a gap up to a frame's end",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 3), client(rest), server(ack(1, 2, 0))]),
            format!(
                "{begun}!amqp_gap, basic.publish /b #2 bbbb/4 <ack> complete, basic.ack #2 complete, \
                 basic.publish /a #1 aa/4 cut damaged, basic.publish /c #3 cccc/4 cut"
            ),
        ),
        (
            "a gap past a frame's end: numbers are not known any more",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 9), client(&rest[6..]), server(ack(1, 2, 1))]),
            format!(
                "{begun}!amqp_gap, basic bbbb/4 cut, basic.publish /c cccc/4 cut, \
                 basic.publish /a #1 aa/4 <ack> cut damaged, basic.ack #2 complete"
            ),
        ),
        (
            "confirms lost: what names a row still counts, what names all up to it does not",
            true,
            confirming(&[client(&frames), server(&ack(1, 1, 0)[..9]), gap(Side::Server, 90), server(ack(1, 3, 1))]),
            format!(
                "{begun}!amqp_gap, basic.publish /a #1 aaaa/4 cut, basic.publish /b #2 bbbb/4 cut, \
                 basic.publish /c #3 cccc/4 <ack> complete, basic.ack #3 complete"
            ),
        ),
        (
            "a method lost, its frame known",
            true,
            confirming(&[client(&frames[..12]), gap(Side::Client, 3), client(&frames[15..one]), client(rest)]),
            format!("{begun}!amqp_gap, basic aaaa/4 cut, basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut"),
        ),
        (
            "a reply lost to one that waits",
            true,
            vec![
                client(declare(1, "a")),
                server(&declare_ok(1, "a")[..8]),
                gap(Side::Server, 90),
                client(declare(1, "b")),
                server(declare_ok(1, "b")),
            ],
            "!amqp_gap, queue.declare :a cut, queue.declare :b complete, queue.declare-ok :b complete".into(),
        ),
        (
            "a reply lost to one that does not",
            true,
            vec![
                client([declare(1, "a"), declare(1, "b")].concat()),
                gap(Side::Server, declare_ok(1, "a").len() as u64),
                server(declare_ok(1, "b")),
            ],
            "!amqp_gap, queue.declare :a cut, queue.declare :b cut, queue.declare-ok :b cut".into(),
        ),
        (
            "no frame",
            true,
            vec![client([b"\x07junk".to_vec(), publish(1, "a", "1")].concat())],
            "!amqp_no_frame, basic.publish /a 1/1 cut".into(),
        ),
        (
            "a frame without its end",
            true,
            vec![client([&frames[..one - 1], b"\xff", rest].concat())],
            "!amqp_no_frame, basic.publish /a aaaa/4 cut damaged, basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut"
                .into(),
        ),
    ] {
        assert_eq!(play(from_start, &steps), want, "{name}");
        for size in [1, 3, 50] {
            assert_eq!(play(from_start, &cut(&steps, size)), want, "{name}, cut to {size}");
        }
    }
}

#[test]
fn the_sides_may_be_the_other_way_round() {
    let steps = vec![client(deliver(1, "x", 1, "m")), server(ack(1, 1, 0))];
    assert_eq!(play(false, &steps), "basic.deliver @x /k #1 m/1 <ack> complete, basic.ack #1 complete");
    assert!(play(true, &steps).starts_with("!amqp_wrong_sender, "));

    // The one that was taken for the client asks, begins content and ends, before the other tells who it is.
    let asked = [close(1, 20, 406, [50, 10]), header(2, 2)].concat();
    let tells = [consume(1, "q", "x", 0), call(1, 20, 41, &[])].concat();
    let steps = [client(&asked), Step::End(Side::Client, End::Closed), server(&tells)];
    let want = "!amqp_content_unfinished, basic /2 cut, channel.close 406 WHY complete, channel.close-ok complete, \
                basic.consume :q @x cut";
    assert_eq!(play(false, &steps), want);
    let steps = [client(&asked), server(&tells), client(frame(3, 2, b"hi"))];
    let want = "channel.close 406 WHY complete, channel.close-ok complete, basic.consume :q @x cut, basic hi/2 cut";
    assert_eq!(play(false, &steps), want);
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

/// Both sides of a connection that confirms, consumes and settles; frames of odd lengths.
fn busy() -> Vec<Step> {
    let mut steps =
        all(&[&open(1), &confirms(1), &[client(consume(1, "q", "c", 0)), server(call(1, 60, 21, &[&short("c")]))]]);
    for number in 1..=6 {
        steps.push(client(publish(1, &format!("k{number}"), &"p".repeat(number as usize * 3))));
        steps.push(server(ack(1, number, (number % 2) as u8)));
        steps.push(server(deliver(1, "c", number, "delivered")));
        steps.push(client(ack(1, number, (number % 3 == 0) as u8)));
        steps.push(client(declare(1, &format!("q{number}"))));
        steps.push(server(declare_ok(1, &format!("q{number}"))));
    }
    steps
}

/// A row as its texts, the last being its pair.
fn rows(lines: &str) -> Vec<Vec<String>> {
    let rows = lines.split(", ").filter(|line| !line.starts_with('!'));
    rows.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..60, junk: Vec<u8>, from_start: bool) {
        let mut steps = busy();
        steps.insert(12, client(junk));
        prop_assert_eq!(play(from_start, &cut(&steps, size)), play(from_start, &steps));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..42, begin in 0usize..80, lost in 1usize..400, from_start: bool) {
        let (whole, mut steps) = (busy(), Vec::new());
        let known = rows(&play(true, &whole));
        let mut lost_left: Option<(Side, usize)> = None;
        for (index, step) in whole.into_iter().enumerate() {
            let Step::Bytes(side, bytes) = step else { continue };
            if index == at {
                let (front, back) = bytes.split_at(begin.min(bytes.len()));
                steps.push(Step::Bytes(side, front.to_vec()));
                let taken = lost.min(back.len());
                steps.push(Step::Gap(side, lost as u64));
                steps.push(Step::Bytes(side, back[taken..].to_vec()));
                lost_left = Some((side, lost - taken));
            } else if let Some((_, left)) = lost_left.as_mut().filter(|(of, left)| *of == side && *left > 0) {
                let taken = bytes.len().min(*left);
                *left -= taken;
                steps.push(Step::Bytes(side, bytes[taken..].to_vec()));
            } else {
                steps.push(Step::Bytes(side, bytes));
            }
        }
        for row in rows(&play(from_start, &steps)) {
            let (_, texts) = row.split_last().unwrap();
            // Of a body the front alone may be there.
            let same = |text: &String, other: &String| {
                text == other || text == "cut" || text == "damaged"
                    || text.rsplit_once('/').zip(other.rsplit_once('/')).is_some_and(|((body, bytes), (of, total))| {
                        bytes == total && of.starts_with(body)
                    })
            };
            let seen = |other: &Vec<String>| {
                texts.iter().all(|text| other.iter().any(|known| same(text, known) || known.starts_with(&format!("{text}."))))
            };
            prop_assert!(known.iter().any(seen), "{row:?}");
        }
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, at in 0usize..900, from_start: bool) {
        let mut steps = busy();
        for step in &mut steps {
            let Step::Bytes(_, sent) = step else { continue };
            if at < sent.len() {
                sent.splice(at.., bytes.clone());
            }
        }
        play(from_start, &steps);
    }
}
