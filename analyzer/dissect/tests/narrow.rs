//! The rows of a table do not depend on which others are asked for.

mod case;

use case::{blocks, cases, dissected, dissected_to, name};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[test]
fn a_table_alone_has_the_rows_it_has_among_others() {
    let mut wrong = String::new();
    for input in cases() {
        let stored = std::fs::read(&input).unwrap();
        let capture = zstd::decode_all(&stored[..]).unwrap_or(stored);
        if blocks(&capture).is_empty() {
            continue;
        }
        let whole = dissected(capture.clone());
        for (table, rows) in &whole {
            let alone = dissected_to(capture.clone(), |wanted| wanted == table);
            let mut counted: BTreeMap<_, i64> = BTreeMap::new();
            rows.iter().for_each(|row| *counted.entry(&row.columns).or_default() += 1);
            let others = alone.get(table).into_iter().flatten();
            others.for_each(|row| *counted.entry(&row.columns).or_default() -= 1);
            for (row, count) in counted.into_iter().filter(|(_, count)| *count != 0) {
                let side = if count > 0 { "among others" } else { "alone" };
                let _ = writeln!(wrong, "{}: {table}, only {side}: {row:?}", name(&input));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
