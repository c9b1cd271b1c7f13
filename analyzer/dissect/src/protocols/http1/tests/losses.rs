//! Gaps, and connections joined in the middle.

use super::*;
use crate::protocols::testing::connected;

#[test]
fn losses() {
    let gap = |side, lost| Step::Gap(side, lost);
    let (asking, answering) = (Side::Client, Side::Server);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let expecting = post("Expect: 100-continue\r\nContent-Length: 90\r\n", "");
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
                "!http1_gap, GET /1 200 cut r=ab/? [response body: 4 bytes lost at byte 2] <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "at a chunk's begin",
                vec![get("1"), answer(200, chunked, "2\r\nab\r\n"), gap(answering, 9), get("2"), server(OK)],
                "!http1_gap, GET /1 200 cut r=ab/? <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "behind the last chunk",
                vec![get("1"), answer(200, chunked, "2\r\nab\r\n0\r\nT"), gap(answering, 9), get("2"), server(OK)],
                "!http1_gap, GET /1 200 cut r=ab/2 <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
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
                "!http1_gap, GET /1 200 cut r=/? <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "the end of a request's head",
                vec![client("GET /1 HTTP/1.1\r\nHo"), gap(asking, 30), server(OK), get("2"), server(OK)],
                "!http1_gap, GET /1 200 cut q=/? r=hi/2 <Gap> damaged, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "the end of a request line",
                vec![client("GET /1 HTT"), gap(asking, 30), server(OK)],
                "!http1_gap, GET /1 200 cut q=/? r=hi/2 <Gap> damaged",
            ),
            (
                "the end of a target",
                vec![client("GET /1"), gap(asking, 30), server(OK)],
                "!http1_gap, 200 response_only r=hi/2",
            ),
            (
                "the end of a status line",
                vec![get("1"), server("HTTP/1.1 200 "), gap(answering, 30)],
                "!http1_gap, GET /1 200 cut r=/? <Gap> damaged",
            ),
            (
                "the end of a status",
                vec![get("1"), server("HTTP/1.1 20"), gap(answering, 30)],
                "!http1_gap, GET /1 cut <Gap>",
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
                "the last response",
                with_end(vec![get("1"), gap(answering, 40)], End::Closed),
                "!http1_gap, GET /1 cut <Gap>",
            ),
            (
                "the last response but one that nobody waited for",
                with_end(vec![get("1"), gap(answering, 40), get("2")], End::Reset),
                "!http1_gap, GET /1 cut <Gap>, GET /2 request_only <Reset>",
            ),
            (
                "a response that refused a body",
                vec![expecting.clone(), gap(answering, 40), get("2"), server(OK)],
                "!http1_gap, POST /p cut [request body: refused, and never sent] <Gap>, GET /2 200 complete r=hi/2 damaged",
            ),
            (
                "the request behind a body that was refused",
                vec![
                    expecting,
                    answer(417, "Content-Length: 0\r\n", ""),
                    gap(asking, 40),
                    server(OK),
                    get("3"),
                    server(OK),
                ],
                "!http1_gap, POST /p 417 cut q=/? <Gap>, 200 response_only r=hi/2, GET /3 200 complete r=hi/2 damaged",
            ),
            (
                "a whole response and the next request",
                vec![get("1"), gap(answering, 40), gap(asking, 40), server(OK), get("3"), server(OK)],
                "!http1_gap, !http1_gap, 200 response_only r=hi/2 damaged, GET /1 cut <Gap>, GET /3 200 complete r=hi/2 damaged",
            ),
            (
                "a request of a pipeline",
                vec![gap(asking, 40), get("2"), get("3"), server(OK), server(OK), server(OK)],
                "!http1_gap, !http1_order_lost, 200 response_only r=hi/2, 200 response_only r=hi/2, 200 response_only r=hi/2, GET /2 cut damaged, GET /3 cut",
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
            ("behind a response", vec![get("1"), get("2"), server(OK)], "GET /1 cut, GET /2 200 complete r=hi/2"),
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
                "behind HEAD, of a length nobody knows",
                vec![answer(200, "Content-Type: a/b\r\n", ""), server(OK)],
                "200 response_only [response body: it is not known whether one was asked for], 200 response_only r=hi/2",
            ),
            (
                "behind HEAD, or in front of a body that is lost",
                vec![answer(200, "Content-Length: 90\r\n", ""), Step::Gap(Side::Server, 9), get("1"), server(OK)],
                "!http1_gap, 200 cut r=/? <Gap> damaged, GET /1 200 complete r=hi/2 damaged",
            ),
            (
                "behind CONNECT, or in front of a body",
                vec![answer(200, "", ""), server("x")],
                "200 response_only r=/? [response body: it is not known whether a tunnel was asked for], switch",
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
fn a_tunnel_that_nobody_saw_asked_for() {
    let tunnelled = [
        (Side::Server, b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec()),
        (Side::Client, GET.into()),
        (Side::Server, OK.into()),
    ];
    let (_, rows) = connected(false, &tunnelled, |call, row| Some(render(call, row)));
    let granted = "200 response_only r=/? [response body: it is not known whether a tunnel was asked for]";
    assert_eq!(rows, [granted, "GET /a?b 200 complete r=/2"]);
}

#[test]
fn a_first_line_longer_than_what_is_kept_to_recognise_it() {
    let asked = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(limits::DETECT_BYTES_MAX + 2000));
    let mut segments: Vec<_> = asked.as_bytes().chunks(1448).map(|piece| (Side::Client, piece.to_vec())).collect();
    let answered = || (Side::Server, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    segments.extend([answered(), (Side::Client, GET.into()), answered()]);
    for from_start in [true, false] {
        let (_, rows) = connected(from_start, &segments, |call, row| Some(render(call, row).replace('x', "")));
        assert_eq!(rows, ["GET / 204 complete", "GET /a?b 204 complete"]);
    }
}

#[test]
fn requests_of_one_packet_are_a_pipeline() {
    let get = |path: &str| format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
    let ok = || b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (_, rows) = connected(
        false,
        &[
            (Side::Client, [get("2"), get("3")].concat()),
            (Side::Server, ok()),
            (Side::Server, ok()),
            (Side::Server, ok()),
        ],
        |call, row| Some(render(call, row)),
    );
    let (asked, answered) = (["GET /2 cut", "GET /3 cut"], "200 response_only");
    assert_eq!(rows, ["http1_order_lost", answered, answered, answered, asked[0], asked[1]]);
}
