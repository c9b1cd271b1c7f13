//! What holds for every cut, every loss and any bytes.

use super::*;
use proptest::prelude::*;

/// The pieces of a conversation of all framings.
fn conversation() -> Vec<Step> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        get("1"),
        server(OK),
        post("Content-Length: 6\r\n", "abcdef"),
        answer(100, "", ""),
        answer(201, chunked, "4\r\nfour\r\n3\r\ntwo\r\n0\r\nT: x\r\n\r\n"),
        post(chunked, "5\r\nchunk\r\n0\r\n\r\n"),
        answer(404, "Content-Length: 12\r\n", "no such page"),
        client("HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n"),
        answer(200, "Content-Length: 99\r\n", ""),
        post("Expect: 100-continue\r\nContent-Length: 6\r\n", ""),
        answer(417, "Content-Length: 0\r\n", ""),
        get("5"),
        answer(304, "", ""),
        get("6"),
        answer(200, "", "until the end"),
    ]
}

/// Whether a row says that a loss touched it, or that it may be of a tunnel, its request and its response.
type Parts = (bool, Option<String>, Option<String>);

fn parts(row: &str) -> Parts {
    let mut parts = row.split('|').map(str::to_owned);
    let touched = parts.next().unwrap() == "true";
    let mut half = || parts.next().filter(|half| !half.is_empty());
    (touched, half(), half())
}

fn render_parts(call: &Call, row: Row<'_>) -> String {
    let Row::Http(exchange) = row else { panic!("{row:?}") };
    let damaged = [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged);
    let tunnel = exchange.response.as_ref().is_some_and(|message| message.doubtful && message.body.is_empty());
    let touched = damaged || tunnel || call.pair == crate::protocols::Pair::Cut;
    let half = |begin: String, message: &Option<crate::protocols::http::Message>| {
        let show = |message: &crate::protocols::http::Message| format!("{begin} {message:?}");
        message.as_ref().map(show).unwrap_or_default()
    };
    let request = half(format!("{:?} {:?}", exchange.method, exchange.path), &exchange.request);
    format!("{touched}|{request}|{}", half(format!("{:?}", exchange.status), &exchange.response))
}

/// A piece of one of the steps is lost.
fn with_loss(steps: &[Step], at: usize, from: usize, to: usize) -> Vec<Step> {
    let mut lossy = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Bytes(side, bytes) if index == at => {
                let from = from.min(bytes.len() - 1);
                let to = (from + to).clamp(from + 1, bytes.len());
                lossy.push(Step::Bytes(*side, bytes[..from].to_vec()));
                lossy.push(Step::Gap(*side, (to - from) as u64));
                lossy.push(Step::Bytes(*side, bytes[to..].to_vec()));
            }
            other => lossy.push(other.clone()),
        }
    }
    lossy
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(size in 1usize..200) {
        let whole = conversation();
        prop_assert_eq!(play(&cut(&whole, size)), play(&whole));
    }

    #[test]
    fn cutting_hostile_bytes_elsewhere_changes_no_row(
        asked in "(GET|POST|HEAD|X) / HTTP/1.[01]\r?\n(Content-Length: [0-9]{1,2}\r\n|Transfer-Encoding: chunked\r\n|\\PC{0,8}\r?\n){0,3}\r\n[0-9a-f;\r\n]{0,20}",
        answered in "(HTTP/1.1 [1-5][0-9][0-9] \r\n(Content-Length: [0-9]\r\n|Transfer-Encoding: chunked\r\n){0,2}\r\n[0-9a\r\n]{0,9}){1,3}",
        size in 1usize..40,
    ) {
        let whole = vec![client(&asked), server(&answered)];
        let rows = |steps: &[Step]| play_from(true, steps, render).into_iter().filter(|line| !line.starts_with('!')).collect::<Vec<_>>();
        prop_assert_eq!(rows(&cut(&whole, size)), rows(&whole));
    }

    #[test]
    fn a_loss_invents_nothing(at in 0usize..15, from in 0usize..90, length in 1usize..90) {
        let rows = |steps: &[Step]| {
            let lines = play_from(true, steps, render_parts);
            lines.iter().filter(|line| !line.starts_with('!')).map(|line| parts(line)).collect::<Vec<_>>()
        };
        let whole = rows(&conversation());
        for (touched, request, response) in rows(&with_loss(&conversation(), at, from, length)) {
            let half_known = |(_, asked, answered): &Parts| {
                (request.is_none() || request == *asked) && (response.is_none() || response == *answered)
            };
            prop_assert!(touched || whole.iter().any(half_known), "{request:?} {response:?}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_the_end(data: Vec<u8>) {
        crate::protocols::fuzz::fuzz_protocol(&PROTOCOL, &data);
    }
}
