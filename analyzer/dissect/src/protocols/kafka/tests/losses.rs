//! Gaps, and connections joined in the middle.

use super::records::{batch, fetch, fetched, produce, produced};
use super::*;

fn bytes(step: Step) -> Vec<u8> {
    match step {
        Step::Bytes(_, bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// Bytes of a side with some of them lost.
fn lossy(side: Side, bytes: &[u8], from: usize, to: usize) -> Vec<Step> {
    vec![
        Step::Bytes(side, bytes[..from].to_vec()),
        Step::Gap(side, (to - from) as u64),
        Step::Bytes(side, bytes[to..].to_vec()),
    ]
}

/// What became of calls and records, without their bodies.
fn told(steps: &[Step]) -> String {
    let lines = play_from(true, steps, |call, row| match row {
        Row::Kafka(exchange) => {
            let exchange = Exchange { request: None, response: None, ..exchange.clone() };
            render(call, Row::Kafka(&exchange))
        }
        row => render(call, row),
    });
    lines.join(", ")
}

#[test]
fn losses_inside_of_records() {
    let batches = [1, 2, 3].map(|at| batch(at, 0, &[(None, Some(["", "a", "b", "c"][at as usize]), &[])]));
    let response = bytes(fetched(1, &batches.concat()));
    let first = response.len() - batches.concat().len();
    let length = batches[0].len();
    let behind = || vec![heartbeat(2), alive(2)];
    let play = |from: usize, to: usize| {
        let steps = [vec![fetch(1)], lossy(Side::Server, &response, first + from, first + to), behind()].concat();
        told(&steps)
    };
    let [a, b, c] =
        ["@1 1000ms -=a", "@2 1000ms -=b", "@3 1000ms -=c"].map(|record| format!("fetch t/3 {record} by 77"));
    let end = "Fetch v4 1 complete [t] damaged, Heartbeat v0 2 complete group g";
    assert_eq!(play(length + 30, length + 50), format!("{a}, !kafka_gap, {c}, {end}"));
    assert_eq!(play(length + 30, 2 * length), format!("{a}, !kafka_gap, {c}, {end}"));
    assert_eq!(play(length + 10, 2 * length), format!("{a}, !kafka_gap, {end}"));
    assert_eq!(play(length + 30, 2 * length + 5), format!("{a}, !kafka_gap, {end}"));
    assert_eq!(play(3 * length - 8, 3 * length), format!("{a}, {b}, !kafka_gap, {end}"));
    let _ = c;
}

#[test]
fn losses_elsewhere() {
    let asked = request(12, 0, 1, put().text("g").i32(1).text("m"));
    let behind = || vec![alive(1), heartbeat(2), alive(2)];
    let next = "Heartbeat v0 2 complete group g";
    for (from, to, want) in [
        (20, 24, format!("!kafka_gap, Heartbeat v0 1 complete group g damaged, {next}")),
        (12, 20, format!("!kafka_gap, 1 response_only damaged, {next}")),
        (2, 20, format!("!kafka_gap, 1 response_only damaged, {next}")),
        (0, asked.len(), format!("!kafka_gap, 1 response_only damaged, {next}")),
    ] {
        let steps = [lossy(Side::Client, &asked, from, to), behind()].concat();
        assert_eq!(told(&steps), want, "{from} to {to}");
    }
    let answered = bytes(alive(1));
    let asked = || vec![heartbeat(1)];
    for (from, to, want) in [
        (8, 10, "!kafka_gap, Heartbeat v0 1 complete group g damaged, Heartbeat v0 2 complete group g"),
        (6, 10, "!kafka_gap, Heartbeat v0 2 complete group g, Heartbeat v0 1 cut group g"),
        (0, 10, "!kafka_gap, Heartbeat v0 2 complete group g, Heartbeat v0 1 cut group g"),
    ] {
        let steps = [asked(), lossy(Side::Server, &answered, from, to), vec![heartbeat(2), alive(2)]].concat();
        assert_eq!(told(&steps), want, "{from} to {to}");
    }
}

#[test]
fn a_loss_past_the_end_of_a_message() {
    let asked =
        [bytes(produce(1, 1, &batch(0, 0, &[(None, Some("v"), &[])]))), bytes(heartbeat(2)), bytes(heartbeat(3))];
    let end = asked[0].len() + 10;
    let steps = [lossy(Side::Client, &asked.concat(), 90, end), vec![produced(1), alive(2), alive(3)]].concat();
    assert_eq!(
        told(&steps),
        "!kafka_gap, Produce v3 1 complete [t] damaged, 2 response_only damaged, Heartbeat v0 3 complete group g"
    );
}

#[test]
fn joined_in_the_middle() {
    let part = |step: Step, from: usize| match step {
        Step::Bytes(side, bytes) => Step::Bytes(side, bytes[from..].to_vec()),
        other => other,
    };
    let one = format!("Heartbeat v0 2 {HEARTBEAT}");
    check(
        &[
            ("between requests", vec![heartbeat(2), alive(2)], &one),
            ("inside of a request", vec![part(heartbeat(1), 7), heartbeat(2), alive(2)], &one),
            ("before a response", vec![alive(1), heartbeat(2), alive(2)], &format!("1 response_only\n{one}")),
            ("inside of a response", vec![heartbeat(2), part(alive(1), 3), alive(2)], &one),
        ],
        joined,
    );
}

/// What a cluster of one broker is, with so many topics in it.
fn cluster(id: i32, topics: i32) -> Step {
    let broker = put().i32(1).i32(111).text("127.0.0.1").i32(9092).i16(-1).text("cluster").i32(111);
    let body = (0..topics).fold(put().i32(0).raw(broker.0).i32(topics), |body, at| {
        let partition = put().i32(1).i16(0).i32(0).i32(111).i32(1).i32(111).i32(1).i32(111).i32(0);
        body.i16(0).text(&format!("topic-{at}")).i8(0).raw(partition.0)
    });
    answers(id, body)
}

fn asks_cluster(id: i32) -> Step {
    asks(3, 6, id, put().i32(-1).i8(0))
}

#[test]
fn a_response_is_found_again_by_more_than_numbers() {
    let versions = asks(18, 2, 0, put());
    let (lost, known) = (asks_cluster(1), asks_cluster(2));
    let lost = Step::Gap(Side::Client, bytes(lost).len() as u64);
    // In what answers the lost request, two bytes behind its begin, stands a length of 64 KiB, and then 0, which waits.
    let steps = [
        versions.clone(),
        lost,
        Step::Gap(Side::Server, 30),
        cluster(1, 20),
        known.clone(),
        cluster(2, 20),
        heartbeat(3),
    ];
    let want = "!kafka_gap, !kafka_gap, Metadata v6 2 complete [";
    let steps = [&steps[..], &[alive(3)]].concat();
    let said = told(&steps);
    assert!(said.starts_with(want), "{said}");
    assert!(said.ends_with("], Heartbeat v0 3 complete group g, ApiVersions v2 0 cut"), "{said}");
}
