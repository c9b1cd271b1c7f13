use super::*;
use crate::protocols::testing::{Step, client, connected, cut, drive, server};
use crate::protocols::{Anomaly, Call, Row, Sink, Stamp};
use proptest::prelude::*;

fn name(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text
        .split('.')
        .filter(|label| !label.is_empty())
        .flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat())
        .collect();
    bytes.push(0);
    bytes
}

fn query(id: u16, qname: &str) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name(qname), &[0, 1, 0, 1]].concat()
}

/// An answer with one record whose owner is the question's name.
fn answer(id: u16, qname: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let record =
        [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &(data.len() as u16).to_be_bytes(), data].concat();
    [&id.to_be_bytes()[..], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &name(qname), &[0, 1, 0, 1], &record].concat()
}

fn framed(message: Vec<u8>) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Dns(exchange) = row else { panic!("{row:?}") };
    let (message, _) = exchange.answer.as_ref().or(exchange.query.as_ref()).unwrap();
    let data: Vec<_> = message.sections[0].iter().map(|record| record.data.as_str()).collect();
    let question = message.questions.first().map_or("", |question| &question.name);
    format!("{} {question} {} [{}] +{}", message.header.id, call.pair.name(), data.join("|"), exchange.repeats)
}

fn play(from_start: bool, steps: &[Step]) -> String {
    let mut dissector = over_tcp::OverTcp::new(rows::Rows::new("tcp"), from_start);
    drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render).lines.join(", ")
}

#[test]
fn over_tcp_cases() {
    let (q1, q2) = (framed(query(1, "a.test")), framed(query(2, "b.test")));
    let r1 = framed(answer(1, "A.test", 1, &[10, 0, 0, 1]));
    let gap = |lost| Step::Gap(Side::Client, lost);
    for (name, from_start, steps, want) in [
        ("asked and answered", true, vec![client(&q1), server(&r1)], "1 A.test complete [10.0.0.1] +0"),
        (
            "two in a segment",
            true,
            vec![client([q1.clone(), q2.clone()].concat()), server(&r1)],
            "1 A.test complete [10.0.0.1] +0, 2 b.test request_only [] +0",
        ),
        ("asked again", true, vec![client(&q1), client(&q1), server(&r1)], "1 A.test complete [10.0.0.1] +1"),
        ("not asked", true, vec![server(&r1)], "1 A.test response_only [10.0.0.1] +0"),
        ("begun before us", false, vec![client([&[7, 7, 7], &q2[..]].concat())], "2 b.test request_only [] +0"),
        (
            "a gap inside a message",
            true,
            vec![client(&q1[..9]), gap(5), client([&q1[14..], &q2].concat())],
            "!dns_gap, 2 b.test request_only [] +0",
        ),
        (
            "a gap past its end",
            true,
            vec![client(&q1[..9]), gap(q1.len() as u64 - 4), client([&q2[5..], &q1].concat())],
            "!dns_gap, 1 a.test request_only [] +0",
        ),
    ] {
        assert_eq!(play(from_start, &steps), want, "{name}");
    }
}

/// A question that comes with so many records of one address each, whose owners are all its name.
fn with_records(id: u16, qname: &str, records: u16) -> Vec<u8> {
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1];
    let mut message = [query(id, qname), record.repeat(records.into())].concat();
    message[10..12].copy_from_slice(&records.to_be_bytes());
    message
}

#[test]
fn what_pointers_unfold_to_is_bounded_and_counted() {
    let long = [format!("{}.", "x".repeat(63)).repeat(3), "x".repeat(61)].concat();
    let message = wire::message(&with_records(1, &long, 4000)).unwrap();
    assert_eq!(message.malformed, Some(Malformed("its names and data unfold to more than is read")));
    let text: usize = message.sections[2].iter().map(|record| record.name.len() + record.data.len()).sum();
    assert!(text > wire::TEXT_BYTES_MAX - 600 && text <= wire::TEXT_BYTES_MAX, "{text}");
    assert!(message.held_bytes() > text + message.sections[2].len() * size_of::<Record>());
    assert_eq!(wire::message(&with_records(1, "a.test", 4000)).unwrap().malformed, None);
    let longer = wire::message(&query(1, &format!("{long}x"))).unwrap();
    assert_eq!(longer.malformed, Some(Malformed("a name longer than names are")));
}

#[test]
fn many_questions_are_told_in_short() {
    let mut message = [query(1, "a.test"), [0xc0, 12, 0, 1, 0, 1].repeat(20)].concat();
    message[5] = 21;
    let mut out = Details::default();
    rows::Rows::new("udp").message(Side::Client, 0..message.len(), &message, 0, &mut out);
    assert_eq!(out.0, [format!("{}13 more", "a.test A, ".repeat(8))]);
}

/// What anomalies say.
#[derive(Default)]
struct Details(Vec<String>);

impl Sink for Details {
    fn stamp(&mut self, span: std::ops::Range<usize>) -> Stamp {
        Stamp::whole(Side::Client, 0, span.len() as u64)
    }
    fn row(&mut self, _: &Call, _: Row<'_>) {}
    fn anomaly(&mut self, _: std::ops::Range<usize>, anomaly: Anomaly) {
        self.0.push(anomaly.detail);
    }
}

#[test]
fn a_place_is_judged_by_a_few_records() {
    let found = |broken: usize| {
        let mut message = with_records(1, "a.test", 9);
        let at = message.len() - (9 - broken) * 16;
        message[at] = 0x80;
        play(false, &[client([&[7, 7, 7], &framed(message)[..]].concat())])
    };
    assert_eq!(found(3), "");
    assert_eq!(found(4), "!dns_malformed, 1 a.test request_only [] +0");
}

#[test]
fn messages_of_a_transfer_belong_to_its_question() {
    let asked = |id: u16, kind: u8| {
        let mut message = query(id, "zone.test");
        let at = message.len() - 3;
        message[at] = kind;
        message
    };
    let part = |id: u16, address: u8| {
        let record = [&name("a.zone.test")[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, address]].concat();
        framed([&id.to_be_bytes()[..], &[0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0], &record].concat())
    };
    let transfer = |kind| {
        let mut first = answer(1, "zone.test", 1, &[10, 0, 0, 1]);
        first[24] = kind;
        vec![client(framed(asked(1, kind))), server([framed(first), part(1, 2), part(1, 3), part(2, 4)].concat())]
    };
    let all = "1 zone.test complete [10.0.0.1] +0, 1 zone.test response_only [10.0.0.2] +0, \
               1 zone.test response_only [10.0.0.3] +0, 2  response_only [10.0.0.4] +0";
    for kind in [251, 252] {
        assert_eq!(play(true, &transfer(kind)), all, "{kind}");
    }
    assert_eq!(play(true, &transfer(1)), all.replace("zone.test response", " response"));
    let begun_before = play(true, &transfer(252)[1..]);
    assert_eq!(begun_before, all.replace("complete", "response_only"));
}

#[test]
fn the_end_that_asks_is_the_client_of_its_call() {
    let (asked, answered) = (framed(query(1, "a.test")), framed(answer(1, "a.test", 1, &[10, 0, 0, 1])));
    let (other, of_other) = (framed(query(2, "b.test")), framed(answer(2, "b.test", 1, &[10, 0, 0, 2])));
    let (_, rows) = connected(
        true,
        &[
            (Side::Client, asked),
            (Side::Server, other.clone()),
            (Side::Client, of_other),
            (Side::Server, answered),
            (Side::Server, other),
        ],
        |call, row| Some(render(call, row)),
    );
    let want = [
        "from 20002: 2 b.test complete [10.0.0.2] +0",
        "1 a.test complete [10.0.0.1] +0",
        "from 20002: 2 b.test request_only [] +0",
    ];
    assert_eq!(rows, want);
}

/// Says when each message came; a row says when it was asked and how long the answer took.
struct Times(i64, Vec<String>);

impl Sink for Times {
    fn stamp(&mut self, span: std::ops::Range<usize>) -> Stamp {
        Stamp { first_ns: self.0, last_ns: self.0, ..Stamp::whole(Side::Client, 0, span.len() as u64) }
    }
    fn row(&mut self, call: &Call, row: Row<'_>) {
        let Row::Dns(exchange) = row else { panic!("{row:?}") };
        let asked_ns = call.request.unwrap().first_ns;
        self.1.push(format!("at {asked_ns} for {:?} +{}", call.latency_ns(), exchange.repeats));
    }
    fn anomaly(&mut self, _: std::ops::Range<usize>, anomaly: Anomaly) {
        self.1.push(anomaly.kind.to_owned());
    }
}

#[test]
fn what_was_asked_again_was_asked_at_the_earliest_time() {
    for order in [[10, 30], [30, 10]] {
        let (mut rows, mut out) = (rows::Rows::new("udp"), Times(0, Vec::new()));
        let mut say = |ns, bytes: &[u8]| {
            out.0 = ns;
            assert!(rows.message(Side::Client, 0..bytes.len(), bytes, 0, &mut out));
        };
        order.iter().for_each(|&ns| say(ns, &query(1, "a.test")));
        say(50, &answer(1, "a.test", 1, &[10, 0, 0, 1]));
        assert_eq!(out.1, ["at 10 for Some(40) +1"]);
    }
}

/// Rows and anomalies of whole and cut datagrams.
#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn stamp(&mut self, span: std::ops::Range<usize>) -> Stamp {
        Stamp::whole(Side::Client, 0, span.len() as u64)
    }
    fn row(&mut self, call: &Call, row: Row<'_>) {
        let Row::Dns(exchange) = row else { panic!("{row:?}") };
        let (message, bytes) = exchange.answer.as_ref().unwrap();
        let sections = [0, 1].map(|at| message.section(at).map_or("?".to_owned(), |records| records.len().to_string()));
        self.0.push(format!("{} of {bytes}, {} records", call.pair.name(), sections.join("+")));
    }
    fn anomaly(&mut self, _: std::ops::Range<usize>, anomaly: Anomaly) {
        self.0.push(anomaly.kind.to_owned());
    }
}

#[test]
fn a_datagram_that_is_cut_says_what_is_there_of_it() {
    let whole = answer(1, "a.test", 1, &[10, 0, 0, 1]);
    for (kept, want) in [
        (40, "complete of 40, 1+0 records"),
        (39, "dns_cut, complete of 40, ?+0 records"),
        (12, "dns_cut, complete of 40, ?+0 records"),
    ] {
        let (mut dissector, mut lines) = (over_udp::OverUdp::new(rows::Rows::new("udp")), Lines::default());
        dissector.bytes(Side::Client, &query(1, "a.test"), &mut lines);
        match whole.len() - kept {
            0 => drop(dissector.bytes(Side::Server, &whole, &mut lines)),
            cut_bytes => dissector.gap(Side::Server, &whole[..kept], cut_bytes as u64, &mut lines),
        }
        assert_eq!(lines.0.join(", "), want, "{kept}");
    }
    // Nothing but the flags was seen of an answer that OPT says more of.
    let mut refused = [&[0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 1][..], &name("a.test"), &[0, 1, 0, 1]].concat();
    assert_eq!(wire::message(&refused).unwrap().rcode(), None);
    refused[7] = 1;
    assert_eq!(wire::message(&refused).unwrap().rcode(), Some(0));
}

#[test]
fn record_data_by_type() {
    let text = |bytes: &[u8]| [&[bytes.len() as u8][..], bytes].concat();
    for (kind, data, want) in [
        (1, vec![192, 0, 2, 1], "192.0.2.1"),
        (1, vec![192, 0, 2], "\\# 3 c00002"),
        (28, vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1"),
        (5, vec![0xc0, 12], "x.test"),
        (5, vec![0xc0, 200], "\\# 2 c0c8"),
        (15, [&[0, 10][..], &name("mx.x")].concat(), "10 mx.x"),
        (16, [text(b"a \"b\""), text(b"\x01")].concat(), "\"a \\\"b\\\"\" \"\\001\""),
        (33, [&[0, 1, 0, 2, 0, 80][..], &name("h")].concat(), "1 2 80 h"),
        (
            6,
            [name("ns"), name("me"), vec![0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]].concat(),
            "ns me 1 2 3 4 5",
        ),
        (43, vec![0, 7, 8, 2, 0xab], "7 8 2 ab"),
        (47, [name("n"), vec![0, 2, 0x40, 1]].concat(), "n A MX"),
        (65, vec![0, 1, 0, 0, 1, 0, 6, 2, b'h', b'2', 2, b'h', b'3', 0, 3, 0, 2, 1, 0xbb], "1 . alpn=h2,h3 port=443"),
        (
            65,
            [&[0, 1, 0, 0, 1, 0, 12, 8][..], b"f\\oo,bar\x02h2", &[2, 155, 0, 9], b"hello\xd2qoo"].concat(),
            r"1 . alpn=f\\\\oo\\,bar,h2 key667=hello\210qoo",
        ),
        (
            64,
            [&[0, 1, 0, 0, 7, 0, 4][..], b"/ \"a", &[0, 5, 0, 3, 1, 2, 3]].concat(),
            r#"1 . dohpath=/\032\"a ech=AQID"#,
        ),
        (257, [&[0][..], &text(b"issue"), b"ca.test"].concat(), "0 issue \"ca.test\""),
        (1234, vec![1, 2], "\\# 2 0102"),
        (1234, vec![], "\\# 0"),
    ] {
        let message = wire::message(&answer(1, "x.test", kind, &data)).unwrap();
        assert_eq!((message.malformed, message.sections[0][0].data.as_str()), (None, want), "{kind}");
    }
}

#[test]
fn names_cannot_hang_or_lead_forward() {
    let mut looped = query(1, "a");
    looped[12] = 0xc0;
    looped[13] = 12;
    assert_eq!(wire::message(&looped).unwrap().malformed, Some(Malformed("a name points forward")));
    let mut odd = query(1, "a.b");
    odd[13] = b'.';
    assert_eq!(wire::message(&odd).unwrap().questions[0].name, "\\..b");
    assert_eq!(wire::message(&query(1, "a b.\u{85}ü")).unwrap().questions[0].name, "a\\032b.\\194\\133ü");
    assert_eq!(wire::message(&query(1, "")).unwrap().questions[0].name, ".");
}

#[test]
fn what_is_no_dns_is_not_taken() {
    let look = |bytes: &'static [u8], port| detect(&Look { bytes, datagram: true, from_port: 4000, to_port: port });
    assert_eq!(look(b"\0\x01\0\0\x21\x12\xa4\x42aaaaaaaaaaaa", 3478), Detection::No);
    assert_eq!(look(b"\x1b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 123), Detection::No);
    assert_eq!(look(b"GET / HTTP/1.1\r\n\r\n", 53), Detection::No);
}

#[test]
fn what_is_cut_in_its_question_is_taken_on_its_port() {
    let whole = query(1, "a.test");
    let look = |bytes: &[u8], port| detect(&Look { bytes, datagram: true, from_port: 4000, to_port: port });
    for end in wire::HEADER_BYTES..whole.len() {
        assert_eq!(look(&whole[..end], 53), Detection::Yes(Some(Side::Client)), "{end}");
        assert_eq!(look(&whole[..end], 5300), Detection::No, "{end}");
    }
    assert_eq!(look(&[&whole[..13], &[1, 2]].concat(), 53), Detection::No);
}

#[test]
fn any_front_of_a_stream_is_worth_waiting_for() {
    let stream = framed(query(1, "a.test"));
    for port in [53, 4001] {
        for end in 0..=stream.len() {
            let found = detect(&Look { bytes: &stream[..end], datagram: false, from_port: 4000, to_port: port });
            let whole = end == stream.len();
            assert!(found == Detection::Yes(Some(Side::Client)) || found == Detection::More && !whole, "{end}");
        }
    }
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..40, junk: Vec<u8>, from_start: bool) {
        let stream = [framed(query(1, "a.test")), junk, framed(query(2, "b.test")), framed(query(3, "c.test"))].concat();
        let whole = vec![client(stream)];
        prop_assert_eq!(play(from_start, &cut(&whole, size)), play(from_start, &whole));
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, at in 0usize..60) {
        fuzz::fuzz_dns(&bytes);
        let mut message = answer(1, "x.test", 65, &[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2']);
        let at = at.min(message.len());
        message.splice(at.., bytes);
        fuzz::fuzz_dns(&message);
    }
}
