//! Where a message ends, and what is odd about saying so.

use super::*;

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
                "!http1_bad_chunk, GET /1 200 complete r=/? [response body: a chunk is malformed], GET /2 200 complete r=hi/2",
            ),
            (
                "a chunk longer than it says",
                vec![get("1"), answer(200, chunked, "2\r\nhiho\r\n0\r\n\r\n"), get("2"), server(OK)],
                "!http1_bad_chunk, GET /1 200 complete r=hi/? [response body: a chunk is malformed], GET /2 200 complete r=hi/2",
            ),
            (
                "a size past 64 bits",
                vec![get("1"), answer(200, chunked, "10000000000000000\r\n")],
                "!http1_bad_chunk, GET /1 200 complete r=/? [response body: a chunk is malformed]",
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
                "!http1_length_conflict, POST /p 200 complete q=/? r=hi/2 [request body: its length is not known]",
            ),
            (
                "no length",
                odd("Content-Length: +2\r\n", "hi"),
                "!http1_bad_length, POST /p 200 complete q=/? r=hi/2 [request body: its length is not known]",
            ),
            (
                "chunked is not last",
                odd("Transfer-Encoding: chunked, x\r\n", "hi"),
                "!http1_bad_transfer_encoding, POST /p 200 complete q=/? r=hi/2 [request body: its length is not known]",
            ),
            (
                "chunked under another name",
                odd("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
                "!http1_bad_transfer_encoding, POST /p 200 complete q=/? r=hi/2 [request body: its length is not known]",
            ),
            (
                "a body of unknown length in front of a request",
                vec![
                    client(
                        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\nhelloGET /i HTTP/1.1\r\nHost: h\r\n\r\n",
                    ),
                    server(OK),
                ],
                "!http1_bad_transfer_encoding, POST /p 200 complete q=/? r=hi/2 [request body: its length is not known]",
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
    assert_eq!(
        play(&huge),
        "!http1_head_too_large, GET /1 200 cut q=/? r=hi/2 <HeadTooLarge>, GET /2 200 complete r=hi/2"
    );
    let huge = [get("1"), answer(200, te, &format!("2;{}", "x".repeat(70 << 10)))];
    assert_eq!(play(&huge), "!http1_head_too_large, GET /1 200 cut r=/? <HeadTooLarge>");
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
                "!http1_gap, GET /ws cut <Gap>",
            ),
        ],
        play,
    );
}

#[test]
fn before_there_were_versions() {
    let bytes = client("GET /a?b\r\n");
    check(
        &[
            (
                "a line and a body",
                with_end(vec![bytes.clone(), server("\r\n<p>HTTP/"), server("x")], End::Closed),
                "GET /a?b complete r=\r\n<p>HTTP/x/11",
            ),
            (
                "a body that begins as a head might",
                with_end(vec![bytes.clone(), server("HTML")], End::Closed),
                "GET /a?b complete r=HTML/4",
            ),
            ("a head all the same", vec![bytes.clone(), server(OK)], "GET /a?b 200 complete r=hi/2"),
            ("no answer", with_end(vec![bytes.clone()], End::Closed), "GET /a?b request_only <Closed>"),
            (
                "an answer that goes on behind the capture",
                vec![bytes, server("<p>")],
                "GET /a?b cut r=<p>/3 <InputEnd>",
            ),
            (
                "a line between other requests",
                vec![get("1"), client("GET /a\r\n"), server(OK)],
                "!http1_not_a_message, GET /1 200 complete r=hi/2",
            ),
        ],
        play,
    );
    for (bytes, want) in [
        ("GET /a\r\n", Detection::Yes(Some(Side::Client))),
        ("GET /a\n", Detection::Yes(Some(Side::Client))),
        ("GET a\r\n", Detection::No),
        ("GET /a b\r\n", Detection::No),
        ("get /a\r\n", Detection::No),
        ("GET /a", Detection::More),
    ] {
        let look = Look { bytes: bytes.as_bytes(), datagram: false, from_port: 1, to_port: 2 };
        assert_eq!(detect(&look), want, "{bytes}");
    }
}
