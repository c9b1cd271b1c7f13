//! Record batches of every format.

use super::*;
use crate::protocols::kafka::codec::Codec;
use std::io::Write as _;

/// A record: key, value, headers.
type Given<'a> = (Option<&'a str>, Option<&'a str>, &'a [(&'a str, Option<&'a str>)]);

fn nullable(to: Put, text: Option<&str>) -> Put {
    match text {
        Some(text) => to.var(text.len() as i64).raw(text),
        None => to.var(-1),
    }
}

pub fn coded(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Codec::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// A batch of format 2 whose records follow each other by 10 ms.
pub fn batch(base_offset: i64, attributes: i16, given: &[Given<'_>]) -> Vec<u8> {
    batch_of(base_offset, attributes, given.len() as i32, &records(given))
}

fn records(given: &[Given<'_>]) -> Vec<u8> {
    let mut records = put();
    for (at, (key, value, headers)) in given.iter().enumerate() {
        let mut record = nullable(nullable(put().i8(0).var(at as i64 * 10).var(at as i64), *key), *value);
        record = record.var(headers.len() as i64);
        for (name, value) in *headers {
            record = nullable(nullable(record, Some(name)), *value);
        }
        records = records.var(record.0.len() as i64).raw(record.0);
    }
    records.0
}

fn batch_of(base_offset: i64, attributes: i16, count: i32, records: &[u8]) -> Vec<u8> {
    let records = coded(Codec::of(attributes as u8), records);
    let behind = put().i32(0).i8(2).i32(0).i16(attributes).i32(count - 1);
    let behind = behind.i64(1000).i64(2000).i64(77).i16(0).i32(0).i32(count).raw(records);
    put().i64(base_offset).bytes(behind.0).0
}

/// A message of format 0 or 1.
fn message(magic: i8, attributes: i8, offset: i64, value: &[u8]) -> Vec<u8> {
    let behind = put().i32(0).i8(magic).i8(attributes);
    let behind = if magic == 1 { behind.i64(1000 + offset) } else { behind };
    put().i64(offset).bytes(behind.i32(-1).bytes(value).0).0
}

pub fn produce(id: i32, acks: i16, records: &[u8]) -> Step {
    asks(0, 3, id, put().i16(-1).i16(acks).i32(100).i32(1).text("t").i32(1).i32(3).bytes(records))
}

pub fn produced(id: i32) -> Step {
    answers(id, put().i32(1).text("t").i32(1).i32(3).i16(0).i64(40).i64(-1).i32(0))
}

pub fn fetch(id: i32) -> Step {
    let topic = put().i32(1).text("t").i32(1).i32(3).i64(40).i32(100);
    asks(1, 4, id, put().i32(-1).i32(500).i32(1).i32(1000).i8(0).raw(topic.0))
}

pub fn fetched(id: i32, records: &[u8]) -> Step {
    let partition = put().i32(3).i16(0).i64(50).i64(50).i32(-1).bytes(records);
    answers(id, put().i32(0).i32(1).text("t").i32(1).raw(partition.0))
}

/// The lines of records, and how many the row says there are.
fn records_of(steps: &[Step]) -> String {
    let lines = play_from(true, steps, |call, row| match row {
        Row::Kafka(exchange) => format!("{} {:?}", call.pair.name(), exchange.records),
        row => render(call, row),
    });
    lines.join(", ")
}

const GIVEN: &[Given<'_>] =
    &[(Some("k"), Some("one"), &[("h", Some("x")), ("h", None)]), (None, Some("two"), &[]), (Some("z"), None, &[])];

#[test]
fn a_batch_has_no_more_records_than_its_bytes_may_hold() {
    const MANY: usize = 20_000;
    let nothing: &Given<'_> = &(None, None, &[]);
    for codec in [1, 2, 4] {
        let numbered = records(&vec![*nothing; MANY]);
        let outcome = batch::records(&batch_of(0, codec, MANY as i32, &numbered), &mut |_| {});
        assert_eq!((outcome.records, outcome.problem), (MANY as u64, None), "{codec}");
        let repeated = batch_of(0, codec, MANY as i32, &records(&[*nothing]).repeat(MANY));
        let mut given = 0;
        let outcome = batch::records(&repeated, &mut |_| given += 1);
        let most = MANY.min(8 * repeated.len());
        assert_eq!((given, outcome.problem.is_some()), (most, most < MANY), "{codec}");
    }
}

#[test]
fn formats() {
    let second = |attributes| batch(40, attributes, GIVEN);
    let first = [message(1, 0, 0, b"a"), message(1, 0, 1, b"b"), message(1, 0, 2, b"c")].concat();
    let stamped = message(1, 1 | 8, 42, &coded(Codec::Gzip, &first));
    let pair = [message(0, 0, 5, b"a"), message(0, 2, 7, &coded(Codec::Snappy, &message(0, 0, 7, b"b")))].concat();
    let three = |codec: &str| {
        format!(
            "fetch t/3 @40 1000ms k=one h:x h:-{codec} by 77, fetch t/3 @41 1010ms -=two{codec} by 77, fetch t/3 @42 1020ms z=-{codec} by 77, complete Some(3)"
        )
    };
    let fetched = |records: &[u8]| vec![fetch(1), super::records::fetched(1, records)];
    check(
        &[
            ("not compressed", fetched(&second(0)), &three("")),
            ("gzip", fetched(&second(1)), &three(" gzip")),
            ("snappy", fetched(&second(2)), &three(" snappy")),
            ("zstd", fetched(&second(4)), &three(" zstd")),
            (
                "stamped by the broker",
                fetched(&batch(1, 8, &[(None, Some("v"), &[])])),
                "fetch t/3 @1 2000ms -=v by 77, complete Some(1)",
            ),
            (
                "the end of a transaction",
                fetched(&batch(9, 0x30, &[(Some("\0\0\0\x01"), Some("e"), &[])])),
                "fetch t/3 @9 1000ms \0\0\0\x01=e by 77 control, complete Some(1)",
            ),
            (
                "two batches",
                fetched(&[batch(1, 0, &[(None, Some("v"), &[])]), batch(2, 1, &[(None, Some("w"), &[])])].concat()),
                "fetch t/3 @1 1000ms -=v by 77, fetch t/3 @2 1000ms -=w gzip by 77, complete Some(2)",
            ),
            ("format 0", fetched(&pair), "fetch t/3 @5 -=a, fetch t/3 @7 -=b snappy, complete Some(2)"),
            ("format 1", fetched(&message(1, 0, 5, b"a")), "fetch t/3 @5 1005ms -=a, complete Some(1)"),
            (
                "format 1 inside of a message",
                fetched(&stamped),
                "fetch t/3 @40 1042ms -=a gzip, fetch t/3 @41 1042ms -=b gzip, fetch t/3 @42 1042ms -=c gzip, complete Some(3)",
            ),
            ("none", fetched(&[]), "complete Some(0)"),
            (
                "produced",
                vec![produce(1, 1, &second(0)), produced(1)],
                "produce t/3 1000ms k=one h:x h:- by 77, produce t/3 1010ms -=two by 77, produce t/3 1020ms z=- by 77, complete Some(3)",
            ),
            (
                "without an acknowledgement",
                vec![produce(1, 0, &batch(0, 0, &[(None, Some("v"), &[])])), heartbeat(2), alive(2)],
                "produce t/3 1000ms -=v by 77, request_only Some(1), complete None",
            ),
            ("not of a format", fetched(&[9; 40]), "!kafka_records_malformed, complete Some(0)"),
            ("compressed as nobody does", fetched(&second(7)), "!kafka_records_incomplete, complete Some(0)"),
        ],
        records_of,
    );
}

#[test]
fn a_batch_cut_by_the_limit_of_a_fetch_gives_its_whole_records() {
    let whole = batch(40, 0, GIVEN);
    let first = "fetch t/3 @40 1000ms k=one h:x h:- by 77";
    for (end, want) in [
        (whole.len() - 1, format!("{first}, fetch t/3 @41 1010ms -=two by 77, complete Some(2)")),
        (81, format!("{first}, complete Some(1)")),
        (30, "complete Some(0)".into()),
        (9, "complete Some(0)".into()),
    ] {
        assert_eq!(records_of(&[fetch(1), fetched(1, &whole[..end])]), want, "cut at {end}");
    }
    assert_eq!(
        records_of(&[fetch(1), fetched(1, &[whole.clone(), whole[..70].to_vec()].concat())]).matches("@40").count(),
        1
    );
}

#[test]
fn large_batches_are_read_record_by_record() {
    let (much, more) = ("x".repeat(700_000), "y".repeat(1_500_000));
    let given: &[Given<'_>] =
        &[(Some("a"), Some(&much), &[]), (Some("b"), Some(&more), &[]), (Some("c"), Some("!"), &[])];
    let shown = |letter: &str, bytes| format!("{}, of {bytes}", letter.repeat(BODY_BYTES_MAX)).replace(", ", " ");
    let lines = [
        format!("fetch t/3 @0 1000ms a={} by 77", shown("x", 700_000)),
        format!("fetch t/3 @1 1010ms b={} by 77", shown("y", 1_500_000)),
        "fetch t/3 @2 1020ms c=! by 77".into(),
        "fetch t/3 @9 1000ms -=v by 77".into(),
        "complete Some(4)".into(),
    ];
    let records = [batch(0, 0, given), batch(9, 0, &[(None, Some("v"), &[])])].concat();
    let steps = [fetch(1), fetched(1, &records)];
    assert_eq!(records_of(&steps), lines.join(", "));
    assert_eq!(records_of(&cut(&steps, 100_000)), lines.join(", "));
    // Compressed, it has to be held.
    let mixed = |n: u64| (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    let noise = (1..5_000_000u64).map(|n| char::from(b' ' + (mixed(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 90) as u8));
    let noise: String = noise.collect();
    let held = batch(0, 2, &[(None, Some(&noise[..3_000_000]), &[])]);
    assert!(held.len() > 2 << 20);
    let lines = records_of(&cut(&[fetch(1), fetched(1, &held)], 1_000_000));
    assert!(lines.contains("of 3000000") && lines.ends_with("complete Some(1)"), "{lines}");
    let large = batch(0, 2, &[(None, Some(&noise), &[])]);
    assert!(large.len() > PROTOCOL.unread_bytes_max);
    let records = [large, batch(9, 0, &[(None, Some("v"), &[])])].concat();
    let lines = "!kafka_batch_too_large, fetch t/3 @9 1000ms -=v by 77, complete Some(2)";
    assert_eq!(records_of(&[fetch(1), fetched(1, &records)]), lines);
}
