//! A part of a capture says nothing that the whole does not say.
//!
//! Every case of `testdata/pcaps` is cut at random places: its beginning left out, its end left out, one packet in a
//! hundred taken away, one in twenty, one alone, ten in a row. Packets also change places with their neighbours, and come
//! twice. What the rows of a part hold must be what the rows of the whole hold: NULL is allowed, anything else is wrong.
//! How much is still found is printed. `REMORA_TEST_CUTS` says how often each case is cut in each way,
//! `REMORA_TEST_CASE` which case alone is, `REMORA_TEST_CAPTURES` a folder of captures in place of the cases.

mod case;
mod part;

use case::{Row, Tables, blocks, cases, dissected, name};
use part::cut::{Cut, cut, mix, plain};
use part::relation::Relation;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// How often each case is cut in each way, where nobody says.
const CUTS: u64 = 3;

/// Columns of `flows` that say whether packets were sent again; those of a UDP flow are NULL.
const RETRANSMITS: [&str; 2] = ["client_retransmits", "server_retransmits"];

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
