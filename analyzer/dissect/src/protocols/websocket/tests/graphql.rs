//! GraphQL in texts, whatever frames and compression they come in.

use super::*;
use crate::protocols::http::{Exchange, Message};
use crate::protocols::{Call, Dissector as _, End, Pair, Row, Side};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Graphql(operation) = row else { panic!("{row:?}") };
    let mut words = vec![match call.pair {
        Pair::Complete => "complete".to_owned(),
        pair => pair.name().to_owned(),
    }];
    words.extend(operation.kind.map(str::to_owned));
    words.extend(operation.name.clone());
    words.extend(operation.root_fields.as_ref().map(|fields| format!("[{}]", fields.join(" "))));
    words.extend(operation.error_count.map(|count| format!("errors={count}")));
    words.extend(operation.errors.clone());
    words.extend(call.latency_ns().map(|_| "timed".to_owned()));
    words.join(" ")
}

/// Rows of a connection whose Upgrade named a protocol, or was not seen.
fn play(named: Option<&str>, steps: &[Step]) -> String {
    let options = Options { body_bytes_max: 0 };
    let start = Start { options, from_start: named.is_some(), datagram: false, server_port: 80, multicast: false };
    let mut dissector = over_tcp::OverTcp::new(&start);
    if let Some(named) = named {
        let mut response = Message::default();
        response.headers.push(b"Sec-WebSocket-Protocol", named.as_bytes());
        dissector.take_over(Box::new(Exchange { response: Some(response), ..Exchange::default() }));
    }
    drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render).lines.join(", ")
}

/// A text of a client, in one frame.
fn asks(text: &str) -> Step {
    let mask = [9, 8, 7, 6];
    let payload: Vec<u8> = wire::unmask(text.as_bytes(), Some(mask), 0).collect();
    client([&[0x81][..], &length(text, 0x80), &mask, &payload].concat())
}

fn says(text: &str) -> Step {
    server([&[0x81][..], &length(text, 0), text.as_bytes()].concat())
}

fn length(text: &str, masked: u8) -> Vec<u8> {
    match text.len() {
        length @ 0..126 => vec![length as u8 | masked],
        length => [&[126 | masked][..], &(length as u16).to_be_bytes()].concat(),
    }
}

const SUBSCRIBE: &str = r#"{"id":"1","type":"subscribe","payload":{"query":"subscription S{tick}"}}"#;
const NEXT: &str = r#"{"id":"1","type":"next","payload":{"data":{"tick":1}}}"#;
const NEXT_WITH_ERROR: &str = r#"{"id":"1","type":"next","payload":{"data":null,"errors":[{"message":"no"}]}}"#;
const COMPLETE: &str = r#"{"id":"1","type":"complete"}"#;
const START: &str = r#"{"id":2,"type":"start","payload":{"query":"mutation{a}"}}"#;
const STOP: &str = r#"{"id":2,"type":"stop"}"#;
const DATA: &str = r#"{"id":2,"type":"data","payload":{"data":{"a":1}}}"#;

#[test]
fn operations() {
    let init = asks(r#"{"type":"connection_init","payload":{}}"#);
    let ack = says(r#"{"type":"connection_ack"}"#);
    let end = |how| [Step::End(Side::Client, how), Step::End(Side::Server, how)];
    for (name, steps, want) in [
        ("nothing asked", vec![init.clone(), ack.clone()], ""),
        (
            "a subscription",
            vec![init, ack, asks(SUBSCRIBE), says(NEXT), says(NEXT_WITH_ERROR), says(NEXT), says(COMPLETE)],
            r#"complete subscription S [tick] errors=1 [{"message":"no"}] timed"#,
        ),
        (
            "two at a time, one by older names",
            vec![asks(SUBSCRIBE), asks(START), says(NEXT), says(DATA), says(r#"{"id":2,"type":"complete"}"#)],
            "complete mutation [a] errors=0 timed, cut subscription S [tick] errors=0 timed",
        ),
        (
            "ended by the client",
            vec![asks(SUBSCRIBE), says(NEXT), asks(COMPLETE)],
            "complete subscription S [tick] errors=0 timed",
        ),
        ("ended before a result", vec![asks(SUBSCRIBE), asks(COMPLETE)], "request_only subscription S [tick]"),
        (
            "results that were under way when the client ended it",
            vec![asks(SUBSCRIBE), says(NEXT), asks(COMPLETE), says(NEXT), says(NEXT_WITH_ERROR)],
            "complete subscription S [tick] errors=0 timed",
        ),
        (
            "the same by older names",
            vec![asks(START), asks(STOP), says(DATA), says(r#"{"id":2,"type":"complete"}"#)],
            "request_only mutation [a]",
        ),
        (
            "the same id behind them",
            vec![asks(SUBSCRIBE), asks(COMPLETE), says(NEXT), asks(SUBSCRIBE), says(NEXT), says(COMPLETE)],
            "request_only subscription S [tick], complete subscription S [tick] errors=0 timed",
        ),
        (
            "refused",
            vec![asks(SUBSCRIBE), says(r#"{"id":"1","type":"error","payload":[{"message":"x"},{}]}"#)],
            r#"complete subscription S [tick] errors=2 [{"message":"x"},{}] timed"#,
        ),
        (
            "refused, as it was done before",
            vec![asks(START), says(r#"{"id":"2","type":"error","payload":{"message":"x"}}"#)],
            r#"complete mutation [a] errors=1 [{"message":"x"}] timed"#,
        ),
        (
            "closed",
            [vec![asks(SUBSCRIBE), says(NEXT)], end(End::Closed).to_vec()].concat(),
            "complete subscription S [tick] errors=0 timed",
        ),
        (
            "the same id again",
            vec![asks(SUBSCRIBE), says(NEXT), asks(SUBSCRIBE), says(COMPLETE)],
            "cut subscription S [tick] errors=0 timed, complete subscription S [tick] timed",
        ),
        (
            "in a text of a text",
            vec![
                asks(r#"{"id":"a","type":"start","payload":{"data":"{\"query\":\"{q}\"}","extensions":{}}}"#),
                says(r#"{"id":"a","type":"complete"}"#),
            ],
            "complete query [q] timed",
        ),
        ("a broken document", vec![asks(&SUBSCRIBE.replace("tick}", "tick"))], "!graphql_not_read"),
        ("of something else", vec![asks(r#"{"id":1,"type":"start","payload":{"x":1}}"#), says(r#"{"type":1}"#)], ""),
    ] {
        assert_eq!(play(Some("graphql-transport-ws"), &steps), want, "{name}");
        assert_eq!(play(Some("graphql-ws"), &cut(&steps, 7)), want, "{name}, in pieces");
        assert_eq!(play(Some("chat"), &steps), "", "{name}, where another protocol was agreed on");
    }
}

#[test]
fn joined_in_the_middle_or_after_a_loss() {
    let joined = [says(NEXT_WITH_ERROR), says(NEXT), asks(SUBSCRIBE.replace('1', "7").as_str()), says(COMPLETE)];
    assert_eq!(
        play(None, &joined),
        r#"response_only [{"message":"no"}], cut subscription S [tick]"#,
        "who asked is not known, nor how many errors there were before"
    );
    let Step::Bytes(_, whole) = says(NEXT_WITH_ERROR) else { unreachable!() };
    let lost = [
        asks(SUBSCRIBE),
        server(&whole[..9]),
        Step::Gap(Side::Server, whole.len() as u64 - 9),
        says(NEXT),
        says(COMPLETE),
    ];
    assert_eq!(play(Some("graphql-ws"), &lost), "!websocket_gap, complete subscription S [tick]");
    let all_lost = [
        asks(SUBSCRIBE),
        Step::Gap(Side::Server, whole.len() as u64),
        Step::End(Side::Client, End::Closed),
        Step::End(Side::Server, End::Closed),
    ];
    assert_eq!(play(Some("graphql-ws"), &all_lost), "!websocket_gap, cut subscription S [tick]");
}

#[test]
fn results_for_the_oldest_of_too_many_begin_no_other() {
    let subscribe = |id: u32| asks(&SUBSCRIBE.replace("\"1\"", &id.to_string()));
    let steps: Vec<Step> = (1..=129).map(subscribe).chain([says(NEXT)]).collect();
    let rows = play(Some("graphql-ws"), &steps);
    assert_eq!((rows.matches("cut subscription").count(), rows.matches("response_only").count()), (129, 0), "{rows}");
}

#[test]
fn in_fragments_with_a_ping_between() {
    let (front, back) = NEXT.as_bytes().split_at(20);
    let pieces = [plain(1, front), plain(0x89, b"hi"), plain(0x80, back)].concat();
    let steps = [asks(SUBSCRIBE), server(pieces), says(COMPLETE)];
    assert_eq!(play(Some("graphql-ws"), &steps), "complete subscription S [tick] errors=0 timed");
}

/// Compresses texts of a server as RFC 7692 §7.2.1 says, with one window for all.
fn compressed(texts: &[&str]) -> Vec<Vec<u8>> {
    let mut coder = Compress::new(Compression::default(), false);
    let frame = |text: &&str| {
        let mut out = Vec::with_capacity(1 << 10);
        coder.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        plain(0xc1, &out)
    };
    texts.iter().map(frame).collect()
}

#[test]
fn compressed_texts_are_inflated_with_what_came_before() {
    let frames = compressed(&[NEXT, NEXT_WITH_ERROR, COMPLETE]);
    assert!(frames[1].len() < 60, "it refers back");
    let steps = [asks(SUBSCRIBE), server(frames.concat())];
    let want = r#"complete subscription S [tick] errors=1 [{"message":"no"}] timed"#;
    assert_eq!(play(Some("graphql-ws"), &steps), want);
    assert_eq!(play(Some("graphql-ws"), &cut(&steps, 3)), want);
    // What refers back to a loss is not guessed.
    let gap = Step::Gap(Side::Server, frames[0].len() as u64);
    let lost = [asks(SUBSCRIBE), gap, says(NEXT), server(frames[1..].concat()), says(COMPLETE)];
    assert_eq!(play(Some("graphql-ws"), &lost), "!websocket_gap, complete subscription S [tick]");
    // A bomb is given up, and what follows it is read.
    let spaces = " ".repeat(2 << 20);
    let mut coder = Compress::new(Compression::best(), false);
    let mut bomb = Vec::with_capacity(1 << 20);
    coder.compress_vec(spaces.as_bytes(), &mut bomb, FlushCompress::Sync).unwrap();
    let bomb = [&[0xc1, 126][..], &(bomb.len() as u16).to_be_bytes(), &bomb].concat();
    let steps = [asks(SUBSCRIBE), server(bomb), server(compressed(&[NEXT, COMPLETE]).concat())];
    assert_eq!(play(Some("graphql-ws"), &steps), "complete subscription S [tick] errors=0 timed");
}

proptest! {
    #[test]
    fn hostile_messages_are_read(frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..100)), 0..20), size in 1usize..40) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| plain(first & 0xc2, payload)).collect();
        let steps = [asks(SUBSCRIBE), server(&bytes), says(NEXT)];
        prop_assert_eq!(play(Some("graphql-ws"), &cut(&steps, size)), play(Some("graphql-ws"), &steps));
    }
}
