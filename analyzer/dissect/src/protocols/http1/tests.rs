mod framing;
mod losses;
mod properties;

use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, End, Options, Row, Start};

/// "GET /path 200 complete" and then only what there is to say.
fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Http(exchange) = row else { panic!("{row:?}") };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut words = Vec::new();
    if call.request.is_some() {
        words.push(text(&exchange.method));
        let query = exchange.query.as_ref().map(|query| format!("?{}", text(query))).unwrap_or_default();
        words.push(match (&exchange.scheme, &exchange.path) {
            (Some(scheme), Some(path)) => {
                format!("{}://{}{}{query}", text(scheme), text(exchange.host.as_deref().unwrap()), text(path))
            }
            (_, Some(path)) => text(path) + &query,
            _ => text(exchange.host.as_deref().unwrap()),
        });
    }
    words.extend(exchange.interim_statuses.iter().map(|status| format!("({status})")));
    words.extend(exchange.status.map(|status| status.to_string()));
    words.push(call.pair.name().into());
    for (name, message) in [("q", &exchange.request), ("r", &exchange.response)] {
        let Some(message) = message else { continue };
        if message.doubtful {
            words.push(format!("{name}={}/?", text(&message.body)));
        } else if message.body_bytes > 0 {
            words.push(format!("{name}={}/{}", text(&message.body), message.body_bytes));
        }
        words.extend(message.trailers.iter().map(|(name, value)| format!("+{}:{}", text(name), text(value))));
    }
    words.extend(exchange.body_note.as_ref().map(|note| format!("[{note}]")));
    words.extend(exchange.end_reason.map(|reason| format!("<{reason:?}>")));
    if [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged) {
        words.push("damaged".into());
    }
    words.join(" ")
}

fn start(from_start: bool, body_bytes_max: usize) -> Start {
    Start { options: Options { body_bytes_max }, from_start, datagram: false, server_port: 80, multicast: false }
}

fn play_from(from_start: bool, steps: &[Step], render: fn(&Call, Row<'_>) -> String) -> Vec<String> {
    let mut dissector = over_tcp::OverTcp::new(&start(from_start, 40));
    let played = drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render);
    let mut lines = played.lines;
    if played.switched {
        lines.push("switch".into());
    }
    lines
}

fn play(steps: &[Step]) -> String {
    play_from(true, steps, render).join(", ")
}

fn joined(steps: &[Step]) -> String {
    play_from(false, steps, render).join(", ")
}

fn check(cases: &[(&str, Vec<Step>, &str)], play: fn(&[Step]) -> String) {
    for (name, steps, want) in cases {
        assert_eq!(play(steps), *want, "{name}");
        for size in [1, 7] {
            assert_eq!(play(&cut(steps, size)), *want, "{name}, in pieces of {size}");
        }
    }
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn get(path: &str) -> Step {
    client(format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n"))
}

fn post(fields: &str, body: &str) -> Step {
    client(format!("POST /p HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}"))
}

fn answer(status: u16, fields: &str, body: &str) -> Step {
    server(format!("HTTP/1.1 {status} R\r\n{fields}\r\n{body}"))
}

fn ends(how: End) -> [Step; 2] {
    [Step::End(Side::Client, how), Step::End(Side::Server, how)]
}

fn with_end(mut steps: Vec<Step>, how: End) -> Vec<Step> {
    steps.extend(ends(how));
    steps
}

#[test]
fn pairs() {
    let long = answer(200, "Content-Length: 50\r\n", &"x".repeat(50));
    check(
        &[
            ("asked and answered", vec![client(GET), server(OK)], "GET /a?b 200 complete r=hi/2"),
            (
                "twice",
                vec![get("1"), server(OK), get("2"), answer(404, "Content-Length: 0\r\n", "")],
                "GET /1 200 complete r=hi/2, GET /2 404 complete",
            ),
            (
                "pipelined",
                vec![get("1"), get("2"), get("3"), server(OK), server(OK), server(OK)],
                "GET /1 200 complete r=hi/2, GET /2 200 complete r=hi/2, GET /3 200 complete r=hi/2",
            ),
            (
                "a response before its request, as captures have it",
                vec![server(OK), get("1"), server(OK)],
                "GET /1 200 complete r=hi/2, 200 response_only r=hi/2",
            ),
            (
                "HEAD has no body",
                vec![
                    client("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"),
                    answer(200, "Content-Length: 9\r\n", ""),
                    get("2"),
                    server(OK),
                ],
                "HEAD / 200 complete, GET /2 200 complete r=hi/2",
            ),
            (
                "204 and 304 have none",
                vec![
                    get("1"),
                    get("2"),
                    answer(204, "Content-Length: 9\r\n", ""),
                    answer(304, "Transfer-Encoding: chunked\r\n", ""),
                ],
                "GET /1 204 complete, GET /2 304 complete",
            ),
            (
                "100 before the body",
                vec![
                    post("Expect: 100-continue\r\nContent-Length: 2\r\n", ""),
                    answer(100, "", ""),
                    client("hi"),
                    server(OK),
                ],
                "POST /p (100) 200 complete q=hi/2 r=hi/2",
            ),
            (
                "a body that was refused and is not sent",
                vec![
                    post("Expect: 100-continue\r\nContent-Length: 90\r\n", ""),
                    answer(417, "Content-Length: 2\r\n", "no"),
                    post("Content-Length: 2\r\n", "hi"),
                    server(OK),
                    post("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", ""),
                    answer(401, "Content-Length: 0\r\n", ""),
                    get("2"),
                    server(OK),
                ],
                "POST /p 417 complete r=no/2 [request body: refused, and never sent], POST /p 200 complete q=hi/2 r=hi/2, \
                 POST /p 401 complete [request body: refused, and never sent], GET /2 200 complete r=hi/2",
            ),
            (
                "a body that was refused and is sent all the same",
                vec![
                    post("Expect: 100-continue\r\nContent-Length: 4\r\n", ""),
                    answer(417, "Content-Length: 0\r\n", ""),
                    client("POST"),
                    get("2"),
                    server(OK),
                ],
                "POST /p 417 complete q=POST/4, GET /2 200 complete r=hi/2",
            ),
            (
                "a body that was refused, and the connection closed",
                with_end(
                    vec![
                        post("Expect: 100-continue\r\nContent-Length: 4\r\n", ""),
                        answer(417, "Content-Length: 0\r\n", ""),
                        client("PO"),
                    ],
                    End::Closed,
                ),
                "POST /p 417 complete q=PO/2 <Closed>",
            ),
            (
                "a body that is asked for and looks like a request",
                vec![
                    post("Expect: 100-continue\r\nContent-Length: 29\r\n", ""),
                    answer(100, "", ""),
                    server(OK),
                    client("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n!"),
                ],
                "POST /p (100) 200 complete q=GET /2 HTTP/1.1\r\nHost: h\r\n\r\n!/29 r=hi/2",
            ),
            (
                "several interim",
                vec![get("1"), answer(102, "", ""), answer(103, "Link: x\r\n", ""), server(OK)],
                "GET /1 (102) (103) 200 complete r=hi/2",
            ),
            (
                "a final response before the body's end",
                vec![
                    post("Content-Length: 4\r\n", "ab"),
                    answer(413, "Content-Length: 0\r\n", ""),
                    client("cd"),
                    get("2"),
                    server(OK),
                ],
                "POST /p 413 complete q=abcd/4, GET /2 200 complete r=hi/2",
            ),
            (
                "longer than the limit",
                vec![get("1"), long],
                &format!("GET /1 200 complete r={}/50 [response body: cut at byte 40]", "x".repeat(40)),
            ),
            (
                "HTTP/1.0 until close",
                with_end(vec![client("GET / HTTP/1.0\r\n\r\n"), server("HTTP/1.0 200 OK\r\n\r\nall")], End::Closed),
                "GET / 200 complete r=all/3",
            ),
            (
                "until close, reset",
                with_end(vec![get("1"), answer(200, "", "al")], End::Reset),
                "GET /1 200 complete r=al/2 <Reset>",
            ),
            ("until close, cut", vec![get("1"), answer(200, "", "al")], "GET /1 200 cut r=al/2 <InputEnd>"),
            ("never answered", vec![get("1")], "GET /1 cut <InputEnd>"),
            ("never answered, closed", with_end(vec![get("1")], End::Closed), "GET /1 request_only <Closed>"),
            ("never answered, reset", with_end(vec![get("1")], End::Reset), "GET /1 request_only <Reset>"),
            (
                "closed inside a body",
                with_end(vec![get("1"), answer(200, "Content-Length: 4\r\n", "hi")], End::Closed),
                "GET /1 200 complete r=hi/2 <Closed>",
            ),
            (
                "closed inside a head",
                with_end(vec![get("1"), server("HTTP/1.1 200 OK\r\nA: b\r\nC")], End::Closed),
                "!http1_unfinished, GET /1 200 complete <Closed>",
            ),
            (
                "the server speaks unasked",
                with_end(vec![answer(408, "Content-Length: 0\r\n", "")], End::Closed),
                "408 response_only",
            ),
            (
                "empty lines between",
                vec![client("\r\n"), get("1"), client("\r\n\r\n"), get("2"), server(OK), server(OK)],
                "GET /1 200 complete r=hi/2, GET /2 200 complete r=hi/2",
            ),
            ("sides guessed wrong", vec![server(GET), client(OK)], "GET /a?b 200 complete r=hi/2"),
            (
                "Shoutcast",
                with_end(vec![get("1"), server("ICY 200 OK\r\nicy-name: x\r\n\r\nmp3")], End::Closed),
                "!http1_icy, GET /1 200 complete r=mp3/3",
            ),
        ],
        play,
    );
}

#[test]
fn more_requests_than_may_wait() {
    let asked = rows::WAITING_MAX + 2;
    let mut steps = vec![client("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n")];
    steps.extend((1..asked).map(|at| get(&at.to_string())));
    steps.push(answer(200, "Content-Length: 9\r\n", ""));
    steps.extend((1..asked).map(|_| server(OK)));
    let mut want =
        vec!["!http1_too_many_waiting".to_owned(), "HEAD /h request_only".into(), "GET /1 request_only".into()];
    want.extend(["200 response_only".into(), "200 response_only r=hi/2".into()]);
    want.extend((2..asked).map(|at| format!("GET /{at} 200 complete r=hi/2")));
    let mut later = steps.clone();
    later.extend([get("later"), server(OK)]);
    check(&[("in order", later, &[&want[..], &["GET /later 200 complete r=hi/2".into()]].concat().join(", "))], play);

    // The one that is being answered keeps its place.
    let mut steps = vec![get("0"), server(&OK[..OK.len() - 1])];
    steps.extend((1..=rows::WAITING_MAX).map(|at| get(&at.to_string())));
    steps.extend([server("i"), server(OK), server(OK), Step::Gap(Side::Server, 7), server(OK)]);
    let rows = play(&steps);
    let want = "!http1_too_many_waiting, GET /1 request_only, GET /0 200 complete r=hi/2, 200 response_only r=hi/2, \
                GET /2 200 complete r=hi/2, !http1_gap, !http1_order_lost, 200 response_only r=hi/2 damaged, GET /3 cut <Gap>";
    assert!(rows.starts_with(want), "{rows}");

    // A gap before what is owed was answered.
    let mut steps: Vec<_> = (0..asked).map(|at| get(&at.to_string())).collect();
    steps.extend([server(OK), Step::Gap(Side::Server, 7), server(OK)]);
    let rows = play(&steps);
    let want = "!http1_too_many_waiting, GET /0 request_only, GET /1 request_only, 200 response_only r=hi/2, !http1_gap, \
                !http1_order_lost, 200 response_only r=hi/2 damaged, GET /2 cut <Gap>";
    assert!(rows.starts_with(want), "{rows}");

    // One side alone.
    let steps: Vec<_> = (0..rows::WAITING_MAX + rows::OWED_MAX + 9).map(|at| get(&at.to_string())).collect();
    assert_eq!(play(&steps).matches('!').count(), 1);
}

#[test]
fn detects() {
    let look = |bytes: &[u8], datagram| detect(&Look { bytes, datagram, from_port: 1, to_port: 80 });
    let asks = Detection::Yes(Some(Side::Client));
    let answers = Detection::Yes(Some(Side::Server));
    for (bytes, want) in [
        ("", Detection::More),
        ("G", Detection::More),
        ("GET /", Detection::More),
        ("GET / HT", Detection::More),
        ("PRI * HTTP", Detection::More),
        ("GET / HTT", asks),
        ("GET / HTTP/1.1\r", asks),
        ("GET / HTTP/1.1\r\n", asks),
        ("\r\nGET / HTTP/1.0\n", asks),
        ("VERSION-CONTROL /x HTTP/1.1\r\n", asks),
        ("RPC_IN_DATA /rpc HTTP/1.1\r\n", asks),
        ("CONNECT h:443 HTTP/1.1\r\n", asks),
        ("H", Detection::More),
        ("HTTP/1.", Detection::More),
        ("HTTP/1.1 20", Detection::More),
        ("HTTP/1.1 200", answers),
        ("HTTP/2 200 OK\r\n", Detection::No),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Detection::No),
        ("OPTIONS sip:a@b SIP/2.0\r\n", Detection::No),
        ("DESCRIBE rtsp://h/ RTSP/1.0\r\n", Detection::No),
        ("CONNECT {\"verbose\":false}\r\n", Detection::No),
        ("ICY 200 OK\r\n", Detection::No),
        ("GET /\r\n", asks),
        ("EHLO example.org\r\n", Detection::No),
        ("*1\r\n$4\r\nPING\r\n", Detection::No),
        ("\x16\x03\x01", Detection::No),
        ("SSH-2.0-x\r\n", Detection::No),
    ] {
        assert_eq!(look(bytes.as_bytes(), false), want, "{bytes:?}");
        assert_eq!(look(bytes.as_bytes(), true), Detection::No, "{bytes:?}");
    }
}
