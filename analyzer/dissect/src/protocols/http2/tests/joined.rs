//! Connections joined in the middle: frames are found, and each header is exact or unknown.

use super::*;

fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, b"measured")
}

#[test]
fn who_asks_is_known_by_the_first_head_at_last() {
    use crate::protocols::Side::{Client, Server};
    use crate::protocols::testing::connected;
    let (flow, rows) = connected(
        false,
        &[
            (Server, frame(kind::SETTINGS, flag::ACK, 0, b"")),
            (Client, headers(END, 7, &block(&[":method=GET", ":path=/a"]))),
            (Server, headers(END, 7, &[0x88])),
        ],
        |call, row| Some(render(call, row)),
    );
    assert_eq!(rows, ["7 GET ?://?/a 200 complete"]);
    assert!(flow.direction_known());
    assert_eq!(flow.end(flow.client()).1, 20_001);
}

#[test]
fn what_a_client_says_that_takes_the_server_for_another_is_read() {
    use crate::protocols::Side::{Client, Server};
    use crate::protocols::testing::connected;
    let asked = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    let segments = [
        (Server, settings(&[(3, 100)])),
        (Client, asked),
        (Server, frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1])),
    ];
    let (_, rows) = connected(true, &segments, |call, row| {
        let Row::Http(exchange) = row else { return None };
        Some(format!("{:?} {} {}", exchange.version, text(exchange.path.as_ref()?), call.pair.name()))
    });
    assert_eq!(rows, ["http2_no_preface", "http1_not_a_message", "Some(V11) /a request_only"]);
}

#[test]
fn joined_in_the_middle() {
    check(
        &[
            ("between streams", vec![asks(7, "a"), answers(END, 7, "200")], "7 GET http://h/a 200 complete"),
            (
                "inside of DATA",
                vec![
                    server("the rest of a body"),
                    server([ping(), ping()].concat()),
                    asks(7, "a"),
                    answers(END, 7, "200"),
                ],
                "7 GET http://h/a 200 complete",
            ),
            (
                "inside of a body",
                vec![
                    server([data(0, 5, "to"), data(1, 5, "day"), ping(), ping()].concat()),
                    asks(7, "a"),
                    answers(END, 7, "200"),
                ],
                "7 GET http://h/a 200 complete, 5 ?:? cut r=today/? [response body: its begin was not seen]",
            ),
            (
                "before a response",
                vec![
                    server([headers(END, 5, &[0x88, 0xbe]), ping(), ping()].concat()),
                    asks(7, "a"),
                    answers(END, 7, "204"),
                ],
                "7 GET http://h/a 204 complete, 5 200 ?:? response_only",
            ),
            (
                "before trailers",
                vec![
                    server([headers(END, 5, &block(&["grpc-status=0"])), ping(), ping()].concat()),
                    asks(7, "a"),
                    answers(END, 7, "204"),
                ],
                "7 GET http://h/a 204 complete, 5 ?:? cut r=/? +grpc-status:0",
            ),
            (
                "headers that stand for what we did not see, until they are seen again",
                vec![
                    client(headers(END, 7, &[0x82, 0x84, 0xbe, 0xbf])),
                    client(headers(END, 9, &[block(&["^cookie=x"]), vec![0x82, 0x84, 0xbe, 0xbf]].concat())),
                    client(headers(END, 11, &[0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x84])),
                    client(headers(END, 13, &[0x82, 0xbe])),
                    answers(END, 7, "200"),
                    answers(END, 9, "200"),
                    answers(END, 11, "200"),
                    answers(END, 13, "200"),
                ],
                "!http2_bad_field, !http2_bad_header_block, \
                 7 GET ?://?/ ?:? ?:? 200 complete, 9 GET ?://?/ cookie:x cookie:x ?:? 200 complete, \
                 11 GET ?://?/ 200 complete, 13 GET ?://?? ?:? 200 complete",
            ),
            (
                "a coding that may be among headers that are not known: what is text is not coded",
                vec![asks(7, "a"), server(headers(END_HEADERS, 7, &[0x88, 0xbe])), server(data(1, 7, "hi"))],
                "7 GET http://h/a 200 ?:? complete r=hi/2",
            ),
            (
                "what is no text may be",
                vec![asks(7, "a"), server(headers(END_HEADERS, 7, &[0x88, 0xbe])), server(data(1, 7, "\u{1f}i"))],
                "7 GET http://h/a 200 ?:? complete r=/2 [response body: not kept, for its codings are not known]",
            ),
            (
                "sides guessed wrong",
                vec![
                    client([data(0, 5, "to"), headers(END, 5, &block(&["sum=1"]))].concat()),
                    server(headers(END, 7, &get("a"))),
                    client(headers(END, 7, &[0x88, 0xbe])),
                ],
                "7 GET http://h/a 200 ?:? complete, 5 ?:? cut r=to/? +sum:1 [response body: its begin was not seen]",
            ),
            (
                "before the preface",
                begun(&[
                    client(headers(END, 1, &block(&["^:method=GET", "^:path=/1"]))),
                    client(headers(END, 3, &[0xbf, 0xbe])),
                    answers(END, 1, "200"),
                    answers(END, 3, "200"),
                ]),
                "1 GET ?://?/1 200 complete, 3 GET ?://?/1 200 complete",
            ),
        ],
        joined,
    );
}

#[test]
fn the_last_frame_is_found_too() {
    assert_eq!(joined(&[server("junk"), server(headers(END, 5, &[0xbe])), server(ping())]), "5 ?:? cut r=/? +?:?");
}
