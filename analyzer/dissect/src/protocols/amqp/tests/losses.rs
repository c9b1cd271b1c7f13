//! Gaps, connections joined in the middle, and sides that are not who they seemed.

use super::*;

/// Were each of them about all that is open, this would take minutes.
#[test]
fn a_loss_is_about_what_came_since_the_one_before() {
    let opened: Vec<u8> = (2..2000).flat_map(|channel| call(channel, 20, 10, &[&[0]])).collect();
    let published: Vec<u8> = (0..2000).flat_map(|_| publish(1, "k", "x")).collect();
    let lost = [heartbeat(), vec![0xff]].concat().repeat(20_000);
    let steps = [client(opened), server(vec![]), client(published), client(lost.clone()), server(lost)];
    let lines = play(true, &all(&[&open(1), &confirms(1), &steps]));
    assert_eq!(lines.matches("heartbeat").count(), 40_000);
    assert_eq!(lines.matches("x/1 cut").count(), 2000);
}

#[test]
fn losses_and_starts_in_the_middle() {
    let gap = |side, lost| Step::Gap(side, lost);
    let frames = [publish(1, "a", "aaaa"), publish(1, "b", "bbbb"), publish(1, "c", "cccc")].concat();
    let one = frames.len() / 3;
    let (first, rest) = frames.split_at(one);
    let confirming = |steps: &[Step]| all(&[&open(1), &confirms(1), steps]);
    let begun = format!("{OPENED}{CONFIRMING}");
    for (name, from_start, steps, want) in [
        (
            "joined inside a body",
            false,
            vec![client(&frames[one - 4..]), server(ack(1, 9, 0))],
            "basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut, basic.ack #9 complete".into(),
        ),
        (
            "joined between method and content",
            false,
            vec![client(&frames[publish_method(1, "a").len()..one])],
            "basic aaaa/4 cut".into(),
        ),
        ("joined, a reply alone", false, vec![server(declare_ok(1, "q"))], "queue.declare-ok :q cut".into()),
        (
            "joined, then opened in sight",
            false,
            confirming(&[client(publish(1, "a", "1")), server(ack(1, 1, 0))]),
            format!("{begun}basic.publish /a #1 1/1 <ack> complete, basic.ack #1 complete"),
        ),
        (
            "joined, confirms asked for again",
            false,
            all(&[&confirms(1), &[client(publish(1, "a", "1")), server(ack(1, 1, 0))]]),
            format!("{CONFIRMING}basic.publish /a 1/1 cut, basic.ack #1 complete"),
        ),
        (
            "a gap inside a body",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 1), client([&first[one - 2..], rest].concat()), server(ack(1, 3, 1))]),
            format!(
                "{begun}!amqp_gap, basic.publish /a #1 aa/4 <ack> cut damaged, basic.publish /b #2 bbbb/4 <ack> complete, \
                 basic.publish /c #3 cccc/4 <ack> complete, basic.ack #3 complete"
            ),
        ),
        (
            "a gap up to a frame's end",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 3), client(rest), server(ack(1, 2, 0))]),
            format!(
                "{begun}!amqp_gap, basic.publish /b #2 bbbb/4 <ack> complete, basic.ack #2 complete, \
                 basic.publish /a #1 aa/4 cut damaged, basic.publish /c #3 cccc/4 cut"
            ),
        ),
        (
            "a gap past a frame's end: numbers are not known any more",
            true,
            confirming(&[client(&first[..one - 3]), gap(Side::Client, 9), client(&rest[6..]), server(ack(1, 2, 1))]),
            format!(
                "{begun}!amqp_gap, basic bbbb/4 cut, basic.publish /c cccc/4 cut, \
                 basic.publish /a #1 aa/4 <ack> cut damaged, basic.ack #2 complete"
            ),
        ),
        (
            "confirms lost: what names a row still counts, what names all up to it does not",
            true,
            confirming(&[client(&frames), server(&ack(1, 1, 0)[..9]), gap(Side::Server, 90), server(ack(1, 3, 1))]),
            format!(
                "{begun}!amqp_gap, basic.publish /a #1 aaaa/4 cut, basic.publish /b #2 bbbb/4 cut, \
                 basic.publish /c #3 cccc/4 <ack> complete, basic.ack #3 complete"
            ),
        ),
        (
            "a method lost, its frame known",
            true,
            confirming(&[client(&frames[..12]), gap(Side::Client, 3), client(&frames[15..one]), client(rest)]),
            format!("{begun}!amqp_gap, basic aaaa/4 cut, basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut"),
        ),
        (
            "a reply lost to one that waits",
            true,
            vec![
                client(declare(1, "a")),
                server(&declare_ok(1, "a")[..8]),
                gap(Side::Server, 90),
                client(declare(1, "b")),
                server(declare_ok(1, "b")),
            ],
            "!amqp_gap, queue.declare :a cut, queue.declare :b complete, queue.declare-ok :b complete".into(),
        ),
        (
            "a reply lost to one that does not",
            true,
            vec![
                client([declare(1, "a"), declare(1, "b")].concat()),
                gap(Side::Server, declare_ok(1, "a").len() as u64),
                server(declare_ok(1, "b")),
            ],
            "!amqp_gap, queue.declare :a cut, queue.declare :b cut, queue.declare-ok :b cut".into(),
        ),
        (
            "no frame",
            true,
            vec![client([b"\x07junk".to_vec(), publish(1, "a", "1")].concat())],
            "!amqp_no_frame, basic.publish /a 1/1 cut".into(),
        ),
        (
            "a frame without its end",
            true,
            vec![client([&frames[..one - 1], b"\xff", rest].concat())],
            "!amqp_no_frame, basic.publish /a aaaa/4 cut damaged, basic.publish /b bbbb/4 cut, basic.publish /c cccc/4 cut"
                .into(),
        ),
    ] {
        assert_eq!(play(from_start, &steps), want, "{name}");
        for size in [1, 3, 50] {
            assert_eq!(play(from_start, &cut(&steps, size)), want, "{name}, cut to {size}");
        }
    }
}

#[test]
fn the_sides_may_be_the_other_way_round() {
    let steps = vec![client(deliver(1, "x", 1, "m")), server(ack(1, 1, 0))];
    assert_eq!(play(false, &steps), "basic.deliver @x /k #1 m/1 <ack> complete, basic.ack #1 complete");
    assert!(play(true, &steps).starts_with("!amqp_wrong_sender, "));

    // The one that was taken for the client asks, begins content and ends, before the other tells who it is.
    let asked = [close(1, 20, 406, [50, 10]), header(2, 2)].concat();
    let tells = [consume(1, "q", "x", 0), call(1, 20, 41, &[])].concat();
    let steps = [client(&asked), Step::End(Side::Client, End::Closed), server(&tells)];
    let want = "!amqp_content_unfinished, basic /2 cut, channel.close 406 WHY complete, channel.close-ok complete, \
                basic.consume :q @x cut";
    assert_eq!(play(false, &steps), want);
    let steps = [client(&asked), server(&tells), client(frame(3, 2, b"hi"))];
    let want = "channel.close 406 WHY complete, channel.close-ok complete, basic.consume :q @x cut, basic hi/2 cut";
    assert_eq!(play(false, &steps), want);
}
