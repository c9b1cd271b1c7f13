//! Gaps: inside a frame of known length the boundary is known, past it the next one is looked for.

use super::*;

#[test]
fn losses() {
    let gap = |side, lost| Step::Gap(side, lost);
    let (asking, answering) = (Side::Client, Side::Server);
    let ping = || frame(kind::PING, 0, 0, b"measured");
    let inserts = |stream, path: &str| headers(END, stream, &block(&["^:method=GET", &format!("^:path=/{path}")]));
    check(
        &[
            (
                "inside of DATA",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    server(&data(1, 1, "abcdef")[..11]),
                    gap(answering, 2),
                    server("ef"),
                    asks(3, "b"),
                    answers(END, 3, "200"),
                ],
                "!http2_gap, 1 GET http://h/a 200 complete r=abef/6 [response body: 2 bytes lost at byte 2] damaged, 3 GET http://h/b 200 complete",
            ),
            (
                "the end of DATA",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    server(&data(1, 1, "abcd")[..11]),
                    gap(answering, 2),
                    asks(3, "b"),
                    answers(END, 3, "200"),
                ],
                "!http2_gap, 1 GET http://h/a 200 complete r=ab/4 [response body: 2 bytes lost at byte 2] damaged, 3 GET http://h/b 200 complete",
            ),
            (
                "past DATA",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    server(&data(0, 1, "abcd")[..11]),
                    gap(answering, 30),
                    server([ping(), ping(), data(1, 1, "end")].concat()),
                ],
                "!http2_gap, 1 GET http://h/a 200 complete r=abend/? [response body: 2 bytes lost at byte 2; response body: a gap may have taken more of it] damaged",
            ),
            (
                "the end of a response",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    gap(answering, 30),
                    server([ping(), ping()].concat()),
                ],
                "!http2_gap, 1 GET http://h/a 200 cut r=/? [response body: a gap may have taken more of it] <Gap> damaged",
            ),
            (
                "the end of a header block",
                vec![
                    client(&inserts(1, "abc")[..30]),
                    gap(asking, inserts(1, "abc").len() as u64 - 30),
                    client(headers(END, 3, &[0x82, 0xbf])),
                    client(inserts(5, "x")),
                    client(headers(END, 7, &[0xbf, 0xbe])),
                    answers(END, 1, "200"),
                    answers(END, 3, "200"),
                    answers(END, 5, "200"),
                    answers(END, 7, "200"),
                ],
                "!http2_gap, 1 GET ?://?? ?:? 200 complete damaged, 3 GET ?://?? ?:? 200 complete damaged, \
                 5 GET ?://?/x 200 complete, 7 GET ?://?/x 200 complete",
            ),
            (
                "a whole header block",
                vec![
                    client(inserts(1, "1")),
                    gap(asking, inserts(3, "3").len() as u64),
                    client(headers(END, 5, &[0xbf, 0x84])),
                    client(ping()),
                    client(ping()),
                    answers(END, 1, "200"),
                    answers(END, 3, "200"),
                    answers(END, 5, "200"),
                ],
                "!http2_gap, 1 GET ?://?/1 200 complete, 5 ? ?://?/ ?:? 200 complete damaged, 3 200 response_only",
            ),
            (
                "a part of a block",
                vec![
                    client(headers(1, 1, &get("abc")[..12])),
                    client(&frame(kind::CONTINUATION, 0, 1, &get("abc")[12..40])[..20]),
                    gap(asking, 17),
                    client(frame(kind::CONTINUATION, END_HEADERS, 1, &get("abc")[40..])),
                    answers(END, 1, "200"),
                ],
                "!http2_gap, 1 GET ?://?? ?:? 200 complete damaged",
            ),
            (
                "RST_STREAM",
                vec![
                    asks(1, "a"),
                    answers(END_HEADERS, 1, "200"),
                    server(&frame(3, 0, 1, &[0, 0, 0, 8])[..9]),
                    gap(answering, 4),
                ],
                "!http2_gap, 1 GET http://h/a 200 cut <Gap> damaged",
            ),
        ],
        play,
    );
}
