//! What a dataset says is missing in it, for whoever asks it.

use crate::{Catalogue, QueryError, behind_calls, named};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use formats::tables::TABLES;

/// What recorders could not keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Packets that were counted.
    pub packets: u64,
    /// How often nobody counted: no ring was open, or the recorder died.
    pub times_uncounted: u64,
}

/// Damaged rows of the tables a statement asks, drops and damage of the captures behind them.
pub fn of(catalogue: &Catalogue, sql: &str, recorders_lost: Option<Lost>) -> Option<String> {
    let mut unknown: Option<QueryError> = None;
    let mut number = |sql: &str| {
        number(catalogue, sql).unwrap_or_else(|error| {
            unknown.get_or_insert(error);
            0
        })
    };
    let mut said = Vec::new();
    let named = named(sql);
    let tables = TABLES.iter().filter(|table| table.column("damaged").is_some()).map(|table| table.name);
    let asked = |table: &&str| {
        named.contains(table) || (named.contains("calls") && behind_calls().any(|behind| behind == *table))
    };
    for table in tables.filter(asked) {
        let damaged = number(&format!("select count(*) from {table} where damaged"));
        if damaged > 0 {
            said.push(format!("{damaged} rows of {table} were touched by a gap (column damaged)"));
        }
    }
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (by_recorders, times_uncounted) = match recorders_lost {
        Some(Lost { packets, times_uncounted }) => (whole(packets), whole(times_uncounted)),
        None => (
            number("select sum(packets) from coverage where stage in ('kernel', 'ring', 'disk', 'upload')"),
            number("select count(*) from coverage where packets is null"),
        ),
    };
    // Kernel drops stand in the segments as well: said once.
    let dropped = if by_recorders > 0 { 0 } else { number("select sum(dropped) from captures") };
    if by_recorders > 0 {
        said.push(format!("the recorders lost {by_recorders} packets (coverage, stages before 'read')"));
    }
    if times_uncounted > 0 {
        said.push(format!(
            "{times_uncounted} times nobody counted what the recorders lost (coverage, packets is null)"
        ));
    }
    if dropped > 0 {
        said.push(format!("the capturing systems lost {dropped} packets (captures.dropped)"));
    }
    let damaged = number("select count(*) from captures where damage is not null");
    match damaged {
        0 => {}
        1 => said.push("a capture is damaged (captures.damage)".to_owned()),
        more => said.push(format!("{more} captures are damaged (captures.damage)")),
    }
    said.extend(unknown.map(|error| format!("what is missing could not be determined: {error}")));
    (!said.is_empty()).then(|| said.join("; "))
}

/// The one number of an answer; 0 for NULL.
fn number(catalogue: &Catalogue, sql: &str) -> Result<i64, QueryError> {
    let batches = catalogue.collect(sql)?;
    let column = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| batch.column(0));
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(column.filter(|column| column.is_valid(0)).map_or(0, |column| column.value(0)))
}
