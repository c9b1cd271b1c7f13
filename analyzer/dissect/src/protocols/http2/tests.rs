mod begins;
mod bounds;
mod joined;
mod losses;
mod properties;

use super::wire::{flag, kind};
use super::*;
use crate::protocols::http::Fields;
use crate::protocols::testing::{Step, client, cut, drive, server};
use crate::protocols::{Call, Dissector, End, Options, Row, Start};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(fields: &Fields) -> Vec<String> {
    let known = |text: Option<&[u8]>| text.map_or("?".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    fields.known().map(|(name, value)| format!("{}:{}", known(name), known(value))).collect()
}

/// "1 GET http://h/path {headers} 200 {headers} complete" and then only what there is to say.
fn render(call: &Call, row: Row<'_>) -> String {
    let Row::Http(exchange) = row else { panic!("{row:?}") };
    let mut words = vec![exchange.stream_id.unwrap().to_string()];
    if let Some(request) = &exchange.request {
        let part = |part: &Option<Vec<u8>>| part.as_deref().map_or("?".into(), text);
        let query = exchange.query.as_ref().map(|query| format!("?{}", text(query))).unwrap_or_default();
        words.push(if exchange.method.is_empty() { "?".into() } else { text(&exchange.method) });
        words.push(format!("{}://{}{}{query}", part(&exchange.scheme), part(&exchange.host), part(&exchange.path)));
        words.extend(fields(&request.headers));
    }
    words.extend(exchange.interim_statuses.iter().map(|status| format!("({status})")));
    words.extend(exchange.status.map(|status| status.to_string()));
    words.extend(exchange.response.iter().flat_map(|response| fields(&response.headers)));
    words.push(call.pair.name().into());
    for (name, message) in [("q", &exchange.request), ("r", &exchange.response)] {
        let Some(message) = message else { continue };
        if message.doubtful {
            words.push(format!("{name}={}/?", text(&message.body)));
        } else if message.body_bytes > 0 {
            words.push(format!("{name}={}/{}", text(&message.body), message.body_bytes));
        }
        words.extend(fields(&message.trailers).into_iter().map(|field| format!("+{field}")));
    }
    words.extend(exchange.body_note.as_ref().map(|note| format!("[{note}]")));
    words.extend(exchange.end_reason.map(|reason| format!("<{reason:?}>")));
    if [call.request, call.response].into_iter().flatten().any(|stamp| stamp.damaged) {
        words.push("damaged".into());
    }
    words.join(" ")
}

fn start(from_start: bool) -> Start {
    let options = Options { body_bytes_max: 40 };
    Start { options, from_start, datagram: false, server_port: 80, multicast: false }
}

fn play_from(from_start: bool, steps: &[Step], render: fn(&Call, Row<'_>) -> String) -> Vec<String> {
    let mut dissector = over_tcp::OverTcp::new(&start(from_start));
    drive(&mut dissector, PROTOCOL.unread_bytes_max, steps, render).lines
}

/// Both sides begin as they should, before all others.
fn begun(steps: &[Step]) -> Vec<Step> {
    let mut begun = vec![client(PREFACE), client(settings(&[])), server(settings(&[]))];
    begun.extend_from_slice(steps);
    begun
}

fn play(steps: &[Step]) -> String {
    play_from(true, &begun(steps), render).join(", ")
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

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// Literal fields; with `^` in front they enter the table.
fn block(fields: &[&str]) -> Vec<u8> {
    let mut block = Vec::new();
    for field in fields {
        let (indexed, field) = field.strip_prefix('^').map_or((0, *field), |field| (0x40, field));
        let (name, value) = field.rsplit_once('=').unwrap();
        block.push(indexed);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.bytes());
        }
    }
    block
}

const END_HEADERS: u8 = flag::END_HEADERS;
const END: u8 = flag::END_STREAM | flag::END_HEADERS;

fn get(path: &str) -> Vec<u8> {
    block(&[":method=GET", ":scheme=http", ":authority=h", &format!(":path=/{path}")])
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, block)
}

/// A request without a body.
fn asks(stream: u32, path: &str) -> Step {
    client(headers(END, stream, &get(path)))
}

/// A response with this status, and, where it is not the end, what else follows.
fn answers(flags: u8, stream: u32, status: &str) -> Step {
    server(headers(flags, stream, &block(&[&format!(":status={status}")])))
}

fn data(flags: u8, stream: u32, body: &str) -> Vec<u8> {
    frame(kind::DATA, flags, stream, body.as_bytes())
}

fn with_end(mut steps: Vec<Step>, how: End) -> Vec<Step> {
    steps.extend([Step::End(Side::Client, how), Step::End(Side::Server, how)]);
    steps
}

#[test]
fn streams() {
    let posts = || client([headers(END_HEADERS, 1, &get("p")), data(1, 1, "body")].concat());
    let early = vec![
        client(headers(END_HEADERS, 1, &get("a"))),
        answers(END, 1, "413"),
        server(frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 0])),
    ];
    check(
        &[
            ("asked and answered", vec![asks(1, "a?b"), answers(END, 1, "204")], "1 GET http://h/a?b 204 complete"),
            (
                "bodies on both sides",
                vec![posts(), answers(END_HEADERS, 1, "200"), server(data(0, 1, "he")), server(data(1, 1, "llo"))],
                "1 GET http://h/p 200 complete q=body/4 r=hello/5",
            ),
            (
                "interleaved",
                vec![
                    asks(1, "a"),
                    asks(3, "b"),
                    answers(END_HEADERS, 3, "200"),
                    answers(END_HEADERS, 1, "201"),
                    server([data(0, 3, "th"), data(0, 1, "on"), data(1, 3, "ree"), data(1, 1, "e")].concat()),
                ],
                "3 GET http://h/b 200 complete r=three/5, 1 GET http://h/a 201 complete r=one/3",
            ),
            (
                "trailers",
                vec![
                    client(headers(END_HEADERS, 1, &get("t"))),
                    client(headers(END, 1, &block(&["sum=1"]))),
                    answers(END_HEADERS, 1, "200"),
                    server(data(0, 1, "hi")),
                    server(headers(END, 1, &block(&["grpc-status=0"]))),
                ],
                "1 GET http://h/t 200 complete +sum:1 r=hi/2 +grpc-status:0",
            ),
            (
                "interim",
                vec![asks(1, "a"), answers(END_HEADERS, 1, "103"), answers(END, 1, "404")],
                "1 GET http://h/a (103) 404 complete",
            ),
            (
                "padding and priority",
                vec![
                    client(frame(
                        kind::HEADERS,
                        END | 0x28,
                        1,
                        &[&[3, 0, 0, 0, 0, 9][..], &get("p"), &[0; 3]].concat(),
                    )),
                    answers(END_HEADERS, 1, "200"),
                    server(frame(kind::DATA, 9, 1, b"\x04four\0\0\0\0")),
                ],
                "1 GET http://h/p 200 complete r=four/4",
            ),
            (
                "CONTINUATION",
                vec![
                    client(
                        [
                            headers(1, 1, &get("c")[..9]),
                            frame(kind::CONTINUATION, 0, 1, &get("c")[9..20]),
                            frame(kind::CONTINUATION, END_HEADERS, 1, &get("c")[20..]),
                        ]
                        .concat(),
                    ),
                    answers(END, 1, "200"),
                ],
                "1 GET http://h/c 200 complete",
            ),
            (
                "a promise",
                vec![
                    asks(1, "a"),
                    server(frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get("css")].concat())),
                    answers(END, 1, "200"),
                    answers(END_HEADERS, 2, "200"),
                    server(data(1, 2, "css")),
                ],
                "1 GET http://h/a 200 complete, 2 GET http://h/css 200 complete r=css/3",
            ),
            (
                "pseudo fields that have no column, and odd ones",
                vec![
                    client(headers(
                        END,
                        1,
                        &block(&[":method=CONNECT", ":protocol=websocket", ":path=/", "Host=x", ":path=/2"]),
                    )),
                    answers(END, 1, "2x0"),
                ],
                "!http2_bad_field, !http2_bad_field, 1 CONNECT ?://x/ :protocol:websocket Host:x :path:/2 :status:2x0 complete",
            ),
            (
                "a host that differs",
                vec![
                    client(headers(END, 1, &block(&[":method=GET", ":authority=a", ":path=/", "host=b"]))),
                    answers(END, 1, "200"),
                ],
                "!http2_authority_mismatch, 1 GET ?://a/ host:b 200 complete",
            ),
            (
                "reset by the client, and what is still under way",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    client(frame(3, 0, 1, &[0, 0, 0, 8])),
                    server(data(1, 1, "late")),
                ],
                "1 GET http://h/a 200 complete r=late/4 <ErrorCode(8)>",
            ),
            (
                "reset by the client before it was answered",
                vec![asks(1, "a"), client(frame(3, 0, 1, &[0, 0, 0, 8])), answers(END, 1, "504")],
                "1 GET http://h/a 504 complete <ErrorCode(8)>",
            ),
            (
                "reset by both",
                vec![
                    asks(1, "a"),
                    client(frame(3, 0, 1, &[0, 0, 0, 8])),
                    server(frame(3, 0, 1, &[0, 0, 0, 5])),
                    answers(END, 1, "200"),
                ],
                "1 GET http://h/a request_only <ErrorCode(8)>",
            ),
            (
                "answered before the request's end",
                with_end(early.clone(), End::Closed),
                "1 GET http://h/a 413 complete <ErrorCode(0)>",
            ),
            (
                "answered before the request's end, which we do not see",
                early,
                "1 GET http://h/a 413 cut <ErrorCode(0)>",
            ),
            (
                "GOAWAY",
                vec![
                    asks(1, "a"),
                    asks(3, "b"),
                    server(frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0xb])),
                    answers(END, 1, "200"),
                ],
                "!http2_goaway, 3 GET http://h/b request_only <ErrorCode(11)>, 1 GET http://h/a 200 complete",
            ),
            ("never answered", vec![asks(1, "a")], "1 GET http://h/a cut <InputEnd>"),
            (
                "never ended, closed",
                with_end(vec![asks(1, "a"), answers(END_HEADERS, 1, "200"), server(data(0, 1, "ha"))], End::Closed),
                "1 GET http://h/a 200 complete r=ha/2 <Closed>",
            ),
            (
                "cut inside a head",
                vec![client(&headers(END, 1, &get("abc"))[..40])],
                "!http2_unfinished, 1 GET http://?? ?:? cut <InputEnd>",
            ),
            (
                "longer than the limit",
                vec![asks(1, "a"), answers(END_HEADERS, 1, "200"), server(data(1, 1, &"x".repeat(50)))],
                &format!("1 GET http://h/a 200 complete r={}/50 [response body: cut at byte 40]", "x".repeat(40)),
            ),
            (
                "extensions and unknown settings are passed over",
                vec![
                    client(settings(&[(0x99, 5)])),
                    client(frame(0xfe, 0xff, 7, b"???")),
                    asks(1, "a"),
                    answers(END, 1, "200"),
                ],
                "1 GET http://h/a 200 complete",
            ),
            (
                "the table is shared by all streams of a side",
                vec![
                    client(headers(END, 1, &block(&["^:method=GET", "^:path=/1", "^cookie=x"]))),
                    client(headers(END, 3, &[0xc0, 0xbf, 0xbe])),
                    answers(END, 1, "200"),
                    answers(END, 3, "200"),
                ],
                "1 GET ?://?/1 cookie:x 200 complete, 3 GET ?://?/1 cookie:x 200 complete",
            ),
        ],
        play,
    );
}

#[test]
fn odd_frames() {
    check(
        &[
            (
                "a length its type does not have",
                vec![client(frame(kind::PING, 0, 0, b"short")), asks(1, "a"), answers(END, 1, "200")],
                "!http2_not_a_frame, 1 GET http://h/a 200 complete",
            ),
            (
                "a block that breaks off",
                vec![client(headers(END, 1, &[&get("a")[..], &[0x40, 5, b'x']].concat())), answers(END, 1, "200")],
                "!http2_bad_header_block, 1 GET http://h/a ?:? 200 complete",
            ),
            (
                "a block that is too large",
                vec![
                    client(headers(END, 1, &vec![0x82; 70_000])),
                    asks(3, "a"),
                    answers(END, 1, "431"),
                    answers(END, 3, "200"),
                ],
                "!http2_header_block_too_large, 1 ? ?://?? ?:? 431 complete damaged, 3 GET http://h/a 200 complete",
            ),
            (
                "a block that is interrupted",
                vec![
                    client(headers(1, 1, &get("abc")[..40])),
                    asks(3, "b"),
                    answers(END, 1, "400"),
                    answers(END, 3, "200"),
                ],
                "!http2_interrupted_block, 1 GET http://?? ?:? 400 complete, 3 GET http://h/b 200 complete",
            ),
            (
                "padding longer than its frame",
                vec![asks(1, "a"), answers(END_HEADERS, 1, "200"), server(frame(kind::DATA, 9, 1, b"\x09four"))],
                "!http2_bad_frame, 1 GET http://h/a 200 complete",
            ),
            (
                "a table larger than allowed",
                vec![client(headers(END, 1, &[&[0x3f, 0xe2, 0x1f][..], &get("a")].concat())), answers(END, 1, "200")],
                "!http2_bad_table_size, 1 GET http://h/a 200 complete",
            ),
            (
                "a larger table, allowed",
                vec![
                    server(settings(&[(1, 8192)])),
                    client(headers(END, 1, &[&[0x3f, 0xe2, 0x1f][..], &get("a")].concat())),
                    answers(END, 1, "200"),
                ],
                "1 GET http://h/a 200 complete",
            ),
        ],
        play,
    );
}
