//! A part of a capture says nothing that the whole does not say.
//!
//! Every case of `testdata/pcaps` is cut at random places: its beginning left out, its end left out, one packet in a
//! hundred taken away, one in twenty, one alone, ten in a row. Packets also change places with their neighbours, and come
//! twice. What the rows of a part hold must be what the rows of the whole hold: NULL is allowed, anything else is wrong.
//! How much is still found is printed. `REMORA_TEST_CUTS` says how often each case is cut in each way,
//! `REMORA_TEST_CASE` which case alone is, `REMORA_TEST_CAPTURES` a folder of captures in place of the cases.

mod case;

use case::{Row, Tables, blocks, cases, dissected, name};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Cursor, Read};
use std::ops::RangeInclusive;
use std::path::Path;

/// How often each case is cut in each way, where nobody says.
const CUTS: u64 = 3;
/// One packet of so many comes twice.
const TWICE_ONE_OF: u64 = 50;
/// So many packets in a row are taken away together.
const BURST: u64 = 10;

/// Columns that say how much of a call was seen, and how often. A part may say that it saw less.
const OF_WHAT_WAS_SEEN: [&str; 5] = ["pair", "damaged", "body_note", "end_reason", "repeats"];

/// Columns of `flows` that measure what was captured of a connection: of a part, they measure the part.
const OF_PACKETS: [&str; 26] = [
    "ts",
    "end_ts",
    "duration_ms",
    "client_packets",
    "server_packets",
    "client_bytes",
    "server_bytes",
    "client_wire_bytes",
    "server_wire_bytes",
    "tcp_state",
    "closed_by",
    "handshake_ms",
    "rtt_ms",
    "first_byte_ms",
    "client_retransmits",
    "server_retransmits",
    "client_out_of_order",
    "server_out_of_order",
    "client_gap_bytes",
    "server_gap_bytes",
    "client_zero_windows",
    "server_zero_windows",
    "resets",
    "direction_known",
    "mesh",
    "decrypted_flow_id",
];

/// Times of a call. Where a packet is missing that was sent again, the second one tells when its bytes came.
const TIMES: [&str; 4] = ["ts", "latency_ms", "first_byte_ms", "settled_ms"];

/// Bodies: of a part they are the beginning, or what is left of them, and `body_note` says where bytes are missing.
const BODIES: [&str; 3] = ["request_body", "response_body", "body"];

/// Protocols that a connection changes to: a part may end before.
const UPGRADES: [&str; 2] = ["http2", "websocket"];

/// Fields of a message: of a head that was cut, those in front.
const HEADS: [&str; 2] = ["request_headers", "response_headers"];

/// Records of an answer of DNS: of a datagram that lacks fragments, those in front.
const RECORDS: [&str; 3] = ["answers", "authorities", "additionals"];

/// Messages of gRPC: of a part those before a loss or the end, as a list.
const MESSAGES: [&str; 2] = ["request", "response"];

/// Who talks to whom.
const ENDS: [&str; 4] = ["client_ip", "client_port", "server_ip", "server_port"];

/// Columns of `flows` that say whether packets were sent again; those of a UDP flow are NULL.
const RETRANSMITS: [&str; 2] = ["client_retransmits", "server_retransmits"];

/// Lengths and counts: so far, where the input ended in what they measure, which `pair` or `end_reason` says.
const LENGTHS: [&str; 7] = [
    "request_body_bytes",
    "response_body_bytes",
    "reply_bytes",
    "request_bytes",
    "response_bytes",
    "request_messages",
    "response_messages",
];

impl Row {
    /// A column; nothing where it is NULL.
    fn get(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    /// When it began [µs].
    fn ts_us(&self) -> i64 {
        self.get("ts").parse().unwrap()
    }

    /// What it is told from others by: a call may have several rows in a table.
    fn key(&self) -> Vec<&str> {
        ["flow_id", "call_id", "batch_index", "partition", "offset"].map(|column| self.get(column)).into()
    }

    /// Whether this row of a part may be about the topic of that row of the whole.
    fn shares_topic(&self, whole: &Row) -> bool {
        let topic = self.get("topic");
        topic == whole.get("topic") || is_topic_id(topic)
    }

    fn is_whole(&self) -> bool {
        self.get("pair") == "complete" && self.get("damaged") == "false"
    }

    fn ends(&self) -> BTreeSet<(&str, &str)> {
        [(ENDS[0], ENDS[1]), (ENDS[2], ENDS[3])].map(|(ip, port)| (self.get(ip), self.get(port))).into()
    }
}

/// Whether this stands for a topic of Kafka whose name the part does not show: 128 bits in URL-safe base64.
fn is_topic_id(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    text.len() == 22 && text.bytes().all(is_letter) && text.ends_with(['A', 'Q', 'g', 'w'])
}

/// How a capture is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// So many packets are all that is left of its beginning.
    EndsAt(u64),
    /// So many packets of its beginning are missing.
    StartsAt(u64),
    /// One packet of so many is missing, here and there.
    Holes { seed: u64, one_of: u64 },
    /// Packets in a row are missing from here on.
    Burst(u64),
    /// One packet is missing.
    Without(u64),
    /// Packets stand behind the one that follows them, here and there.
    Swapped { seed: u64 },
    /// Packets stand there twice, here and there.
    Twice { seed: u64 },
}

impl Cut {
    fn keeps(self, packet: u64) -> bool {
        match self {
            Cut::EndsAt(end) => packet < end,
            Cut::StartsAt(start) => packet >= start,
            Cut::Burst(start) => !(start..start + BURST).contains(&packet),
            Cut::Without(missing) => packet != missing,
            Cut::Holes { seed, one_of } => !mix(seed ^ mix(packet)).is_multiple_of(one_of),
            Cut::Swapped { .. } | Cut::Twice { .. } => true,
        }
    }

    /// What it is called in what is printed.
    fn kind(self) -> &'static str {
        match self {
            Cut::EndsAt(_) => "ends early",
            Cut::StartsAt(_) => "starts late",
            Cut::Holes { one_of, .. } if one_of > 50 => "holes",
            Cut::Holes { .. } => "many holes",
            Cut::Burst(_) => "burst",
            Cut::Without(_) => "one hole",
            Cut::Swapped { .. } => "swapped",
            Cut::Twice { .. } => "twice",
        }
    }
}

/// SplitMix64: the same places on every machine.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The bytes of a capture, inflated.
fn plain(input: &Path) -> Vec<u8> {
    let bytes = std::fs::read(input).unwrap();
    let mut inflated = Vec::new();
    match bytes.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(Cursor::new(bytes)).unwrap(),
        [0x1f, 0x8b, ..] => {
            // What was cut is there up to the cut.
            let _ = flate2::read::MultiGzDecoder::new(Cursor::new(bytes)).read_to_end(&mut inflated);
            inflated
        }
        _ => bytes,
    }
}

fn cut(blocks: &[(bool, &[u8])], cut: Cut) -> Vec<u8> {
    let (mut packet, mut kept, mut held) = (0, Vec::new(), None);
    for (is_packet, block) in blocks {
        let drawn = |seed, one_of| *is_packet && mix(seed ^ mix(packet)).is_multiple_of(one_of);
        match cut {
            Cut::Swapped { seed } if held.is_none() && drawn(seed, TWICE_ONE_OF) => held = Some(*block),
            _ if !is_packet || cut.keeps(packet) => kept.extend_from_slice(block),
            _ => {}
        }
        if matches!(cut, Cut::Twice { seed } if drawn(seed, TWICE_ONE_OF)) {
            kept.extend_from_slice(block);
        }
        if *is_packet && held.is_some_and(|held| !std::ptr::eq(held, *block)) {
            kept.extend_from_slice(held.take().unwrap_or_default());
        }
        packet += u64::from(*is_packet);
    }
    kept.extend_from_slice(held.unwrap_or_default());
    kept
}

/// Whether a text says itself that it is cut, by the notation of Redis' values, and is the beginning of the whole one.
fn begins(held: &str, whole: &str) -> bool {
    if !held.contains("{\"$cut\":")
        && let Some((front, _)) = held.split_once("{\"$left_out\":")
    {
        return whole.starts_with(front);
    }
    if let Some((kept, _)) = held.split_once("…(") {
        return whole.starts_with(kept);
    }
    let Some((front, cut)) = held.split_once("{\"$cut\":\"") else { return false };
    let kept = cut.split_once("\",\"bytes\":").map(|(kept, _)| kept);
    let follows = whole.strip_prefix(front).map(|rest| rest.trim_start_matches("{\"$cut\":").trim_start_matches('"'));
    kept.zip(follows).is_some_and(|(kept, follows)| follows.starts_with(kept))
}

/// Whether these bytes, in hexadecimal, are those in their order, with some missing. Of a whole that is cut itself the end is
/// not known: with bytes missing, what is kept reaches further.
fn is_left_of(held: &[u8], whole: &[u8], is_cut: bool) -> bool {
    let mut whole = whole.chunks(2);
    held.chunks(2).all(|byte| whole.any(|other| other == byte) || is_cut)
}

/// Whether this list is the begin of that one.
fn is_front_of(held: &str, whole: &str) -> bool {
    held == "[]" || held.strip_suffix("}]").is_some_and(|front| whole.starts_with(front))
}

/// Whether the known fields of a list are fields of the whole one, in its order. Others are not known: HTTP/2 names fields
/// by a table whose begin was not seen, and among them may be pseudo-fields, which the whole list has not.
fn is_known_of(held: &str, whole: &str) -> bool {
    fn fields(list: &str) -> impl Iterator<Item = &str> {
        list.trim_start_matches("[{").trim_end_matches("}]").split("}, {")
    }
    let mut whole = fields(whole);
    fields(held).filter(|field| !field.contains('␀')).all(|field| whole.any(|other| other == field))
}

/// How a row of a part relates to the rows of the whole.
#[derive(Debug, Clone, Copy)]
struct Relation {
    /// Its first byte is another: its id and its time are others too.
    begins_elsewhere: bool,
    /// What came before on the same ports is missing, by which the ids of flows are told apart.
    flow_renamed: bool,
    /// Packets of its connection were sent again.
    repeats: bool,
    /// Packets of its connection were sent again with other bytes: the first one that was captured stands.
    ambiguous: bool,
}

impl Relation {
    /// Why a row of a part cannot be this row of the whole: the columns that differ.
    fn differences<'a>(self, table: &str, part: &'a Row, whole: &Row) -> Vec<&'a str> {
        let part_of_body = |column: &str, held: &str| {
            let is_cut = !whole.get("body_note").is_empty();
            let (whole, note) = (whole.get(column), part.get("body_note"));
            BODIES.contains(&column)
                && !part.is_whole()
                && (whole.starts_with(held)
                    || note.contains("kept as sent")
                    || !note.is_empty() && is_left_of(held.as_bytes(), whole.as_bytes(), is_cut))
        };
        let counted_so_far = |column: &str, held: &str| {
            let number = |text: &str| text.parse::<u64>().ok();
            LENGTHS.contains(&column)
                && (part.get("pair") == "cut" || ["input_end", "reset"].contains(&part.get("end_reason")))
                && (number(held) <= number(whole.get(column)) || whole.get(column).is_empty() && !whole.is_whole())
        };
        let first_messages = |column: &str, held: &str| {
            let held = held.strip_prefix('[').and_then(|held| held.strip_suffix(']'));
            let whole = whole.get(column);
            table == "grpc"
                && MESSAGES.contains(&column)
                && !part.is_whole()
                && held.is_some_and(|held| whole.strip_prefix('[').unwrap_or(whole).starts_with(held))
        };
        let may_differ = |column: &str| {
            OF_WHAT_WAS_SEEN.contains(&column)
                || table == "flows" && OF_PACKETS.contains(&column)
                // No TLS was seen in it: too little was.
                || table == "flows" && column == "tls" && part.get("tls") == "false"
                // Only a port told who the client is.
                || table == "flows" && part.get("direction_known") == "false" && ENDS.contains(&column)
                // The one it was seen in first, where each way has its own.
                || table == "flows" && column == "tunnel" && !whole.get("tunnel").is_empty()
                // Of ICMP, the kind of the first packet is in it.
                || table == "flows" && column == "community_id" && whole.get("client_port").is_empty()
                // That of the answer stands for the one of the query.
                || column == "recursion_desired" && part.get("pair") == "response_only"
                || self.begins_elsewhere && ["call_id", "ts"].contains(&column)
                || self.flow_renamed && ["call_id", "flow_id"].contains(&column)
                || self.repeats && TIMES.contains(&column)
                || self.ambiguous && BODIES.contains(&column)
        };
        let agrees = |column: &str, held: &str| {
            whole.get(column) == held
                || part_of_body(column, held)
                || counted_so_far(column, held)
                || first_messages(column, held)
                || HEADS.contains(&column) && part.get("pair") == "cut" && is_front_of(held, whole.get(column))
                || RECORDS.contains(&column) && !part.is_whole() && is_front_of(held, whole.get(column))
                || table == "flows" && column == "protocol" && held == "http" && UPGRADES.contains(&whole.get(column))
                || column == "topic" && is_topic_id(held)
                || column == "topics" && held.trim_matches(['[', ']']).split(", ").all(is_topic_id)
                || held.contains('␀') && is_known_of(held, whole.get(column))
                || !part.is_whole() && begins(held, whole.get(column))
        };
        let columns = part.columns.iter();
        columns
            .filter(|(column, held)| !may_differ(column) && !agrees(column, held))
            .map(|(column, _)| column.as_str())
            .collect()
    }
}

/// Rows and fields of a table that a part should have, and has.
#[derive(Debug, Default, Clone, Copy)]
struct Recall {
    rows: (u64, u64),
    fields: (u64, u64),
}

/// From the first packet of a flow to the last of any [µs].
fn seen(tables: &Tables) -> RangeInclusive<i64> {
    let flows = tables.get("flows").map_or(&[][..], Vec::as_slice);
    let first = flows.iter().map(|flow| flow.ts_us()).min().unwrap_or(i64::MAX);
    let last = flows.iter().filter_map(|flow| flow.get("end_ts").parse().ok()).max().unwrap_or(i64::MIN);
    first..=last
}

/// Holds the rows of a part against those of the whole; says what is wrong.
fn compare(whole: &Tables, part: &Tables, recall: &mut BTreeMap<String, Recall>) -> Vec<String> {
    let none = Vec::new();
    let flows: BTreeMap<_, _> =
        whole.get("flows").unwrap_or(&none).iter().map(|flow| (flow.get("flow_id"), flow)).collect();
    let anomalies = whole.get("anomalies").unwrap_or(&none).iter();
    let ambiguous: BTreeSet<_> =
        anomalies.filter(|odd| odd.get("kind") == "overlap_differs").map(|odd| odd.get("flow_id")).collect();
    let seen = seen(part);
    let mut wrong = Vec::new();
    let tables: BTreeSet<_> = whole.keys().chain(part.keys()).collect();
    // What is odd in a part may be so for what is missing only.
    for table in tables.into_iter().filter(|table| *table != "anomalies") {
        let (whole, part) = (whole.get(table).unwrap_or(&none), part.get(table).unwrap_or(&none));
        let recall = recall.entry(table.clone()).or_default();
        for row in whole.iter().filter(|row| seen.contains(&row.ts_us())) {
            recall.rows.1 += 1;
            recall.fields.1 += row.columns.len() as u64;
        }
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut by_ends: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in whole {
            by_key.entry(row.key()).or_default().push(row);
            by_ends.entry(row.ends()).or_default().push(row);
        }
        for row in part {
            let flow = flows.get(row.get("flow_id"));
            let same = by_key.get(&row.key()).into_iter().flatten().copied();
            let mut candidates: Vec<_> = same.filter(|other| row.shares_topic(other)).collect();
            let mut relation = Relation {
                begins_elsewhere: candidates.is_empty(),
                flow_renamed: flow.is_none(),
                ambiguous: ambiguous.contains(row.get("flow_id")),
                repeats: flow
                    .is_some_and(|flow| RETRANSMITS.iter().any(|&column| !["", "0"].contains(&flow.get(column)))),
            };
            if relation.begins_elsewhere {
                // What was asked again stands in the whole where it was asked first.
                let again = |other: &&Row| !["", "0"].contains(&other.get("repeats"));
                let asked_again = by_ends.get(&row.ends()).into_iter().flatten().any(again);
                relation.repeats |= asked_again;
                if row.is_whole() && !relation.flow_renamed && !asked_again {
                    wrong.push(format!("{table}: the whole has no such call: {:?}", row.columns));
                    continue;
                }
                candidates = by_ends.get(&row.ends()).cloned().unwrap_or_default();
            }
            let nearest = candidates.into_iter().map(|other| (relation.differences(table, row, other), other));
            match nearest.min_by_key(|(columns, _)| columns.len()) {
                None => wrong.push(format!("{table}: the whole has nothing like it: {:?}", row.columns)),
                Some((columns, other)) if !columns.is_empty() => wrong.push(told(table, row, other, &columns)),
                Some((_, other)) if seen.contains(&other.ts_us()) => {
                    recall.rows.0 += 1;
                    recall.fields.0 += row.columns.len() as u64;
                }
                Some(_) => {}
            }
        }
    }
    wrong
}

fn told(table: &str, part: &Row, whole: &Row, columns: &[&str]) -> String {
    let mut told = format!("{table} {} ({}, damaged {}):", part.get("call_id"), part.get("pair"), part.get("damaged"));
    for column in columns {
        let _ = write!(told, "\n    {column}: {:?}, in the whole {:?}", part.get(column), whole.get(column));
    }
    told
}

#[test]
fn a_part_says_nothing_that_the_whole_does_not_say() {
    let count = std::env::var("REMORA_TEST_CUTS").map_or(CUTS, |count| count.parse().unwrap());
    let mut wrong = 0;
    for input in cases() {
        let name = name(&input);
        let capture = plain(&input);
        let blocks = blocks(&capture);
        let packets = blocks.iter().filter(|(is_packet, _)| *is_packet).count() as u64;
        if packets < 2 {
            continue;
        }
        let whole = dissected(cut(&blocks, Cut::StartsAt(0)));
        let cuts: Vec<_> = (0..count)
            .flat_map(|seed| {
                let at = 1 + mix(seed) % (packets - 1);
                [
                    Cut::StartsAt(at),
                    Cut::EndsAt(at),
                    Cut::Holes { seed, one_of: 100 },
                    Cut::Holes { seed, one_of: 20 },
                    Cut::Burst(at),
                    Cut::Without(at),
                    Cut::Swapped { seed },
                    Cut::Twice { seed },
                ]
            })
            .collect();
        let found: Vec<_> = cuts
            .par_iter()
            .map(|&way| {
                let mut recall = BTreeMap::new();
                let wrong = compare(&whole, &dissected(cut(&blocks, way)), &mut recall);
                (way, wrong, recall)
            })
            .collect();
        let mut recalls: BTreeMap<(&str, String), Recall> = BTreeMap::new();
        for (way, errors, found) in found {
            errors.iter().for_each(|error| println!("WRONG {name}, {way:?}: {error}"));
            wrong += errors.len();
            for (table, found) in found {
                let sum = recalls.entry((way.kind(), table)).or_default();
                sum.rows = (sum.rows.0 + found.rows.0, sum.rows.1 + found.rows.1);
                sum.fields = (sum.fields.0 + found.fields.0, sum.fields.1 + found.fields.1);
            }
        }
        for ((kind, table), Recall { rows, fields }) in recalls {
            let share = |(found, due): (u64, u64)| 100.0 * found as f64 / due.max(1) as f64;
            println!(
                "{name}, {kind}, {table}: {:.1} % of {} rows, {:.1} % of {} fields",
                share(rows),
                rows.1,
                share(fields),
                fields.1
            );
        }
    }
    assert_eq!(wrong, 0, "rows of parts that are not what the whole says");
}
