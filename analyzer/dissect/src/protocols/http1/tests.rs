use super::*;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, End, Options, Row, Start};
use proptest::prelude::*;

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
        if message.body_bytes > 0 {
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
fn bodies() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xcb\xc8\x04\0\xac\x2a\x93\xd8\x02\0\0\0";
    let mut zipped = b"HTTP/1.1 200 R\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n".to_vec();
    zipped.extend_from_slice(gzip);
    let mut zipped_chunks = b"HTTP/1.1 200 R\r\nTransfer-Encoding: gzip, chunked\r\n\r\n16\r\n".to_vec();
    zipped_chunks.extend_from_slice(gzip);
    zipped_chunks.extend_from_slice(b"\r\n0\r\n\r\n");
    check(
        &[
            (
                "chunked",
                vec![get("1"), answer(200, chunked, "2\r\nhi\r\n0\r\n\r\n"), get("2"), server(OK)],
                "GET /1 200 complete r=hi/2, GET /2 200 complete r=hi/2",
            ),
            (
                "extensions, spaces, trailers",
                vec![get("1"), answer(200, chunked, "1;a=b\r\nh\r\n1 ; c\r\ni\r\n00\r\nT: x\r\nU: y\r\n\r\n")],
                "GET /1 200 complete r=hi/2 +T:x +U:y",
            ),
            (
                "a chunked request",
                vec![post(chunked, "A\r\n0123456789\r\n0\r\n\r\n"), server(OK)],
                "POST /p 200 complete q=0123456789/10 r=hi/2",
            ),
            (
                "chunks closed too soon",
                with_end(vec![get("1"), answer(200, chunked, "5\r\nhi")], End::Closed),
                "GET /1 200 complete r=hi/2 <Closed>",
            ),
            (
                "no chunk",
                vec![get("1"), answer(200, chunked, "hi\r\n"), get("2"), server(OK)],
                "!http1_bad_chunk, GET /1 200 complete [response body: a chunk is malformed], GET /2 200 complete r=hi/2",
            ),
            (
                "a chunk longer than it says",
                vec![get("1"), answer(200, chunked, "2\r\nhiho\r\n0\r\n\r\n"), get("2"), server(OK)],
                "!http1_bad_chunk, GET /1 200 complete r=hi/2 [response body: a chunk is malformed], GET /2 200 complete r=hi/2",
            ),
            (
                "a size past 64 bits",
                vec![get("1"), answer(200, chunked, "10000000000000000\r\n")],
                "!http1_bad_chunk, GET /1 200 complete [response body: a chunk is malformed]",
            ),
            (
                "lines of chunks without CR",
                vec![get("1"), answer(200, chunked, "2\nhi\n0\n\n")],
                "!http1_bare_lf, GET /1 200 complete r=hi/2",
            ),
            ("gzip", vec![get("1"), server(&zipped)], "GET /1 200 complete r=hi/22"),
            ("gzip as a transfer coding", vec![get("1"), server(&zipped_chunks)], "GET /1 200 complete r=hi/22"),
            (
                "not gzip",
                vec![get("1"), answer(200, "Content-Encoding: gzip\r\nContent-Length: 2\r\n", "hi")],
                "GET /1 200 complete r=hi/2 [response body: gzip not undone, kept as sent]",
            ),
        ],
        play,
    );
}

#[test]
fn oddities() {
    let te = "Transfer-Encoding: chunked\r\n";
    let odd = |fields: &str, rest: &str| vec![post(fields, rest), server(OK)];
    check(
        &[
            (
                "both lengths",
                odd(&format!("Content-Length: 3\r\n{te}"), "0\r\n\r\n"),
                "!http1_te_and_cl, POST /p 200 complete r=hi/2",
            ),
            (
                "one length twice",
                odd("Content-Length: 2, 2\r\n", "hi"),
                "!http1_length_repeated, POST /p 200 complete q=hi/2 r=hi/2",
            ),
            (
                "two lengths",
                odd("Content-Length: 2\r\nContent-Length: 3\r\n", "hi"),
                "!http1_length_conflict, POST /p 200 complete r=hi/2 [request body: its length is not known]",
            ),
            (
                "no length",
                odd("Content-Length: +2\r\n", "hi"),
                "!http1_bad_length, POST /p 200 complete r=hi/2 [request body: its length is not known]",
            ),
            (
                "chunked is not last",
                odd("Transfer-Encoding: chunked, x\r\n", "hi"),
                "!http1_bad_transfer_encoding, POST /p 200 complete r=hi/2 [request body: its length is not known]",
            ),
            (
                "chunked under another name",
                odd("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
                "!http1_bad_transfer_encoding, POST /p 200 complete r=hi/2 [request body: its length is not known]",
            ),
            (
                "chunked behind a fold",
                odd("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
                "!http1_obs_fold, POST /p 200 complete r=hi/2",
            ),
            (
                "space before the colon",
                odd("Content-Length : 2\r\n", "hi"),
                "!http1_bad_header, POST /p 200 complete q=hi/2 r=hi/2",
            ),
            ("no colon", odd("Nonsense\r\n", ""), "!http1_bad_header, POST /p 200 complete r=hi/2"),
            ("a bare CR", odd("A: b\rc\r\n", ""), "!http1_bad_header, POST /p 200 complete r=hi/2"),
            (
                "chunked in HTTP/1.0",
                vec![client(format!("POST /p HTTP/1.0\r\n{te}\r\n0\r\n\r\n")), server(OK)],
                "!http1_te_in_1_0, POST /p 200 complete r=hi/2",
            ),
            (
                "lines without CR",
                vec![client("GET / HTTP/1.1\nHost: h\n\n"), server(OK)],
                "!http1_bare_lf, GET / 200 complete r=hi/2",
            ),
            (
                "absolute form",
                vec![client("GET http://h/a?b HTTP/1.1\r\nHost: x\r\n\r\n"), server(OK)],
                "!http1_absolute_form, GET http://h/a?b 200 complete r=hi/2",
            ),
            (
                "no host",
                vec![client("GET / HTTP/1.1\r\n\r\n"), server(OK)],
                "!http1_bad_host, GET / 200 complete r=hi/2",
            ),
            ("two hosts", odd("Host: i\r\n", ""), "!http1_bad_host, POST /p 200 complete r=hi/2"),
            (
                "a space in the target",
                vec![client("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)],
                "!http1_bad_start_line, GET /a b 200 complete r=hi/2",
            ),
            (
                "a version to come",
                vec![client("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), server(OK)],
                "!http1_bad_start_line, GET / 200 complete r=hi/2",
            ),
            (
                "noise between messages",
                vec![get("1"), client("\x01\x02 noise\r\n"), get("2"), server(OK), server(OK)],
                "!http1_not_a_message, GET /1 200 complete r=hi/2, GET /2 200 complete r=hi/2",
            ),
            (
                "a switch nobody asked for",
                vec![get("1"), answer(101, "", "")],
                "!http1_unasked_switch, GET /1 101 complete <Upgraded>, switch",
            ),
        ],
        play,
    );
    let huge = vec![
        client(format!("GET /1 HTTP/1.1\r\nHost: h\r\nA: {}", "x".repeat(70 << 10))),
        client("\r\n\r\n"),
        server(OK),
        get("2"),
        server(OK),
    ];
    assert_eq!(play(&huge), "!http1_head_too_large, GET /1 200 cut r=hi/2 <Gap>, GET /2 200 complete r=hi/2");
}

#[test]
fn changes_of_protocol() {
    let ask = client("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let connect = client("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    check(
        &[
            (
                "upgraded",
                vec![ask.clone(), answer(101, "Upgrade: websocket\r\n", ""), server(b"\x81\x02hi")],
                "GET /ws 101 complete <Upgraded>, switch",
            ),
            (
                "not upgraded",
                vec![ask.clone(), server(OK), get("2"), server(OK)],
                "GET /ws 200 complete r=hi/2, GET /2 200 complete r=hi/2",
            ),
            (
                "asked on before it was refused",
                vec![ask.clone(), get("2"), server(OK), server(OK)],
                "GET /ws 200 complete r=hi/2, GET /2 200 complete r=hi/2",
            ),
            (
                "a tunnel",
                vec![connect.clone(), answer(200, "Content-Length: 7\r\n", "")],
                "CONNECT h:443 200 complete <Upgraded>, switch",
            ),
            (
                "no tunnel",
                vec![connect.clone(), answer(407, "Content-Length: 2\r\n", "no"), connect.clone(), answer(200, "", "")],
                "CONNECT h:443 407 complete r=no/2, CONNECT h:443 200 complete <Upgraded>, switch",
            ),
            (
                "the answer was lost",
                vec![ask, Step::Gap(Side::Server, 90), client(b"\x82\x01x"), server(b"\x81\x02hi")],
                "!http1_gap, GET /ws cut <InputEnd>",
            ),
        ],
        play,
    );
}

#[test]
fn losses() {
    let gap = |side, lost| Step::Gap(side, lost);
    let (asking, answering) = (Side::Client, Side::Server);
    let chunked = "Transfer-Encoding: chunked\r\n";
    check(
        &[
            (
                "inside a body",
                vec![
                    get("1"),
                    answer(200, "Content-Length: 6\r\n", "ab"),
                    gap(answering, 2),
                    server("ef"),
                    get("2"),
                    server(OK),
                ],
                "!http1_gap, GET /1 200 complete r=abef/6 [response body: 2 bytes lost at byte 2] damaged, GET /2 200 complete r=hi/2",
            ),
            (
                "the end of a body",
                vec![get("1"), answer(200, "Content-Length: 4\r\n", "ab"), gap(answering, 2), get("2"), server(OK)],
                "!http1_gap, GET /1 200 complete r=ab/4 [response body: 2 bytes lost at byte 2] damaged, GET /2 200 complete r=hi/2",
            ),
            (
                "inside a chunk",
                vec![get("1"), answer(200, chunked, "6\r\nab"), gap(answering, 4), server("\r\n0\r\n\r\n")],
                "!http1_gap, GET /1 200 complete r=ab/6 [response body: 4 bytes lost at byte 2] damaged",
            ),
            (
                "past a chunk",
                vec![get("1"), answer(200, chunked, "6\r\nab"), gap(answering, 9), get("2"), server(OK)],
                "!http1_gap, GET /1 200 cut r=ab/6 [response body: 4 bytes lost at byte 2] <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "until close",
                with_end(vec![get("1"), answer(200, "", "ab"), gap(answering, 4), server("gh")], End::Closed),
                "!http1_gap, GET /1 200 complete r=abgh/8 [response body: 4 bytes lost at byte 2] damaged",
            ),
            (
                "the end of a response's head",
                vec![
                    get("1"),
                    server("HTTP/1.1 200 OK\r\nA: b\r\nC"),
                    gap(answering, 30),
                    server("x\r\n"),
                    get("2"),
                    server(OK),
                ],
                "!http1_gap, GET /1 200 cut <Gap>, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "the end of a request's head",
                vec![client("GET /1 HTTP/1.1\r\nHo"), gap(asking, 30), server(OK), get("2"), server(OK)],
                "!http1_gap, GET /1 200 cut r=hi/2 <Gap>, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "a whole request",
                vec![get("1"), server(OK), gap(asking, 40), server(OK), get("3"), server(OK)],
                "GET /1 200 complete r=hi/2, !http1_gap, 200 response_only r=hi/2, GET /3 200 complete r=hi/2 damaged",
            ),
            (
                "a whole response",
                vec![get("1"), gap(answering, 40), get("2"), server(OK)],
                "!http1_gap, GET /1 cut <Gap>, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "a request of a pipeline",
                vec![gap(asking, 40), get("2"), get("3"), server(OK), server(OK), server(OK)],
                "!http1_gap, !http1_order_lost, 200 response_only r=hi/2, 200 response_only r=hi/2, 200 response_only r=hi/2, GET /2 cut <InputEnd> damaged, GET /3 cut <InputEnd>",
            ),
            (
                "the front of a method",
                vec![gap(asking, 2), client("LOCK / HTTP/1.1\r\nHost: h\r\n\r\n"), get("2"), server(OK)],
                "!http1_gap, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "at a request's begin",
                vec![gap(asking, 2), get("2"), server(OK)],
                "!http1_gap, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "at a response's begin",
                vec![get("2"), gap(answering, 2), server(OK)],
                "!http1_gap, GET /2 200 complete r=hi/2 damaged",
            ),
        ],
        play,
    );
}

#[test]
fn joined_in_the_middle() {
    check(
        &[
            ("between exchanges", vec![get("1"), server(OK)], "GET /1 200 complete r=hi/2"),
            (
                "before a response",
                vec![server(OK), get("1"), server(OK)],
                "200 response_only r=hi/2, GET /1 200 complete r=hi/2",
            ),
            (
                "inside a body",
                vec![server("some text\nand more"), server(OK), get("1"), server(OK)],
                "200 response_only r=hi/2, GET /1 200 complete r=hi/2",
            ),
            (
                "inside a head",
                vec![client("t: x\r\n\r\n"), server(OK), get("1"), server(OK)],
                "200 response_only r=hi/2, GET /1 200 complete r=hi/2",
            ),
            (
                "behind HEAD",
                vec![answer(200, "Content-Length: 90\r\n", ""), get("1"), server(OK)],
                "200 response_only [response body: it is not known whether one was asked for], GET /1 200 complete r=hi/2",
            ),
            (
                "before an answer to none of ours",
                with_end(vec![server("x"), get("1"), server(OK)], End::Closed),
                "GET /1 200 complete r=hi/2",
            ),
        ],
        joined,
    );
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
        ("GET / HTTP/1.1\r", Detection::More),
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
        ("GET /\r\n", Detection::No),
        ("EHLO example.org\r\n", Detection::No),
        ("*1\r\n$4\r\nPING\r\n", Detection::No),
        ("\x16\x03\x01", Detection::No),
        ("SSH-2.0-x\r\n", Detection::No),
    ] {
        assert_eq!(look(bytes.as_bytes(), false), want, "{bytes:?}");
        assert_eq!(look(bytes.as_bytes(), true), Detection::No, "{bytes:?}");
    }
}

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
        get("5"),
        answer(304, "", ""),
        get("6"),
        answer(200, "", "until the end"),
    ]
}

/// Whether a row says that a loss touched it, its request and its response.
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
    let touched = damaged || call.pair == crate::protocols::Pair::Cut;
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
    fn a_loss_invents_nothing(at in 0usize..13, from in 0usize..90, length in 1usize..90) {
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
        fuzz::fuzz_http1(&data);
    }
}
