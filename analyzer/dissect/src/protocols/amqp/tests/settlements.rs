//! What becomes of messages: confirmed, acknowledged, rejected, committed.

use super::*;

#[test]
fn confirms_and_settlements() {
    let confirming = |steps: &[Step]| all(&[&open(1), &confirms(1), steps]);
    let transactions =
        |steps: &[Step]| all(&[&open(1), &[client(call(1, 90, 10, &[])), server(call(1, 90, 11, &[]))], steps]);
    check(vec![
        (
            "one by one, several, refused, never",
            confirming(&[
                client([publish(1, "a", "1"), publish(1, "b", "2"), publish(1, "c", "3")].concat()),
                server(ack(1, 2, 0)),
                server(nack(1, 3, 1)),
                client([publish(1, "d", "4"), publish(1, "e", "5"), publish(1, "f", "6")].concat()),
                server(ack(1, 5, 1)),
            ]),
            format!(
                "{OPENED}{CONFIRMING}basic.publish /b #2 2/1 <ack> complete, basic.ack #2 complete, \
                 basic.publish /a #1 1/1 <nack> complete, basic.publish /c #3 3/1 <nack> complete, basic.nack #3 complete, \
                 basic.publish /d #4 4/1 <ack> complete, basic.publish /e #5 5/1 <ack> complete, basic.ack #5 complete, \
                 basic.publish /f #6 6/1 cut"
            ),
        ),
        (
            "each channel counts for itself, and anew when opened again",
            all(&[
                &open(1),
                &confirms(1),
                &[client(publish(1, "a", "1")), client(call(1, 20, 40, &[&[0; 7]])), server(call(1, 20, 41, &[]))],
                &open(1),
                &confirms(1),
                &[client(publish(1, "b", "2")), server(ack(1, 1, 0))],
            ]),
            format!(
                "{OPENED}{CONFIRMING}channel.close 0  complete, channel.close-ok complete, \
                 basic.publish /a #1 1/1 request_only, {OPENED}{CONFIRMING}basic.publish /b #1 2/1 <ack> complete, \
                 basic.ack #1 complete"
            ),
        ),
        (
            "deliveries: all of them, one, to a consumer that settles none",
            all(&[
                &open(1),
                &[client([consume(1, "q", "x", 8), consume(1, "p", "y", 8 | 2)].concat())],
                &[server([1, 2, 3].map(|number| deliver(1, "x", number, "m")).concat())],
                &[server(deliver(1, "y", 4, "m")), client(nack(1, 3, 0)), client(ack(1, 0, 1))],
            ]),
            format!(
                "{OPENED}basic.consume :q @x complete, basic.consume :p @y complete, \
                 basic.deliver :p @y /k #4 m/1 complete, basic.deliver :q @x /k #3 m/1 <nack> complete, \
                 basic.nack #3 complete, basic.deliver :q @x /k #1 m/1 <ack> complete, \
                 basic.deliver :q @x /k #2 m/1 <ack> complete, basic.ack #0 complete"
            ),
        ),
        (
            "recovered",
            all(&[
                &open(1),
                &[server(deliver(1, "x", 1, "m")), client(call(1, 60, 110, &[&[1]])), server(call(1, 60, 111, &[]))],
            ]),
            format!(
                "{OPENED}basic.recover complete, basic.recover-ok complete, \
                 basic.deliver @x /k #1 m/1 <recover> complete"
            ),
        ),
        (
            "transactions",
            transactions(&[
                client(
                    [publish(1, "a", "1"), publish(1, "b", "2"), call(1, 90, 20, &[]), publish(1, "c", "3")].concat(),
                ),
                server(call(1, 90, 21, &[])),
                client(call(1, 90, 30, &[])),
                server(call(1, 90, 31, &[])),
            ]),
            format!(
                "{OPENED}tx.select complete, tx.select-ok complete, tx.commit complete, tx.commit-ok complete, \
                 basic.publish /a 1/1 <commit> complete, basic.publish /b 2/1 <commit> complete, \
                 tx.rollback complete, tx.rollback-ok complete, basic.publish /c 3/1 <rollback> complete"
            ),
        ),
    ]);
}

#[test]
fn more_rows_than_may_wait_still_come_out() {
    let published: Vec<u8> = (0..waiting::ROWS_MAX as u64 + 3).flat_map(|_| publish(1, "k", "x")).collect();
    let lines = play(true, &all(&[&open(1), &confirms(1), &[client(published), server(ack(1, 5, 1))], &closed()]));
    assert_eq!(lines.matches("basic.publish").count(), waiting::ROWS_MAX + 3);
    assert_eq!(lines.matches("!amqp_not_all_held").count(), 1);
    assert_eq!(lines.matches("x/1 cut").count(), 3);
    assert_eq!(lines.matches("<ack>").count(), 2);
}
