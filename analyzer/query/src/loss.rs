//! What a dataset says is missing in it, for whoever asks it.

use crate::Catalogue;
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

/// Tables whose rows say whether a gap touched them.
const DAMAGED: [&str; 2] = ["dns", "http"];

/// Whether `sql` names a table: a word of that name, wherever it stands.
pub fn mentions(sql: &str, table: &str) -> bool {
    sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.eq_ignore_ascii_case(table))
}

/// Damaged rows of the tables a statement asks, drops and damage of the captures behind them.
pub fn of(catalogue: &Catalogue, sql: &str) -> Option<String> {
    let number = |sql: &str| -> i64 {
        let batches = catalogue.collect(sql).unwrap_or_default();
        let column = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| batch.column(0).clone());
        column
            .and_then(|column| {
                column.as_primitive_opt::<Int64Type>().filter(|column| column.is_valid(0)).map(|column| column.value(0))
            })
            .unwrap_or(0)
    };
    let mut said = Vec::new();
    for table in DAMAGED.into_iter().filter(|table| mentions(sql, table) || mentions(sql, "calls")) {
        let damaged = number(&format!("select count(*) from {table} where damaged"));
        if damaged > 0 {
            said.push(format!("{damaged} rows of {table} were touched by a gap (column damaged)"));
        }
    }
    let dropped = number("select sum(dropped) from captures");
    if dropped > 0 {
        said.push(format!("the capturing systems lost {dropped} packets (captures.dropped)"));
    }
    let damaged = number("select count(*) from captures where damage is not null");
    if damaged > 0 {
        said.push(format!("{damaged} captures are damaged (captures.damage)"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}
