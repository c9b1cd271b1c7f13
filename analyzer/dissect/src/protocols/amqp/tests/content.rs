//! Bodies of messages: in several frames, cut, longer than is kept.

use super::*;

#[test]
fn content_of_any_shape() {
    let returned = call(1, 60, 50, &[&[1, 0x38], &short("NO_ROUTE"), &short("ex"), &short("k")]);
    let opened = |steps: &[Step]| all(&[&open(1), &open(2), steps]);
    let two = "channel.open complete, channel.open-ok complete, channel.open complete, channel.open-ok complete, ";
    check(vec![
        (
            "in several frames, and none at all",
            opened(&[
                client([publish_method(1, "a"), content(1, &["one ", "", "two"])].concat()),
                client([publish_method(1, "b"), header(1, 0)].concat()),
            ]),
            format!("{two}basic.publish /a one two/7 complete, basic.publish /b /0 complete"),
        ),
        (
            "channels take turns",
            opened(&[client(
                [
                    publish_method(1, "a"),
                    publish_method(2, "b"),
                    header(1, 4),
                    frame(3, 1, b"aa"),
                    header(2, 2),
                    heartbeat(),
                    frame(3, 2, b"bb"),
                    frame(3, 1, b"aa"),
                ]
                .concat(),
            )]),
            format!("{two}heartbeat complete, basic.publish /b bb/2 complete, basic.publish /a aaaa/4 complete"),
        ),
        (
            "longer than the limit",
            opened(&[client(publish(1, "a", "0123456789abcdef"))]),
            format!("{two}basic.publish /a 0123456789ab/16 complete"),
        ),
        (
            "returned",
            opened(&[server([returned, content(1, &["x"])].concat())]),
            format!("{two}basic.return /k 312 NO_ROUTE x/1 complete"),
        ),
        (
            "more than was said",
            opened(&[client([publish_method(1, "a"), header(1, 2), frame(3, 1, b"abc")].concat())]),
            format!("{two}!amqp_body_too_long, basic.publish /a ab/2 complete"),
        ),
        (
            "a method before its end",
            opened(&[client(
                [publish_method(1, "a"), header(1, 4), frame(3, 1, b"ab"), publish(1, "b", "x")].concat(),
            )]),
            format!("{two}!amqp_content_unfinished, basic.publish /a ab/4 cut, basic.publish /b x/1 complete"),
        ),
        (
            "without a method",
            opened(&[client([content(1, &["x"]), frame(3, 1, b"y")].concat())]),
            format!("{two}!amqp_content_unexpected, basic x/1 cut, !amqp_content_unexpected"),
        ),
        (
            "the connection ends before",
            opened(&all(&[&[client([publish_method(1, "a"), header(1, 4)].concat())], &closed()])),
            format!("{two}!amqp_content_unfinished, basic.publish /a /4 cut"),
        ),
    ]);
}

#[test]
fn a_frame_longer_than_is_read_is_stepped_over() {
    let long = [&[1, 0, 1, 0, 16, 0, 0][..], &[7; 1 << 20], b"\xce", &publish(1, "a", "x")].concat();
    let lines = play(true, &cut(&all(&[&open(1), &[client(long)]]), 9000));
    assert_eq!(lines, format!("{OPENED}!amqp_frame_too_long, basic.publish /a x/1 cut"));
}
