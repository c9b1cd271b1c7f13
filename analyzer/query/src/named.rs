//! Which tables a statement asks, before anything is opened.

use crate::schema;
use datafusion::sql::parser::DFParser;
use datafusion::sql::resolve::resolve_table_references;
use std::collections::BTreeSet;

/// The tables and views that statements read from, subqueries included. Of text that is no SQL every word counts:
/// the engine says what is wrong with it.
pub fn named(sql: &str) -> BTreeSet<&'static str> {
    parsed(sql).unwrap_or_else(|| {
        let words = || sql.split(|c: char| !c.is_alphanumeric() && c != '_');
        let tables = schema::tables().map(|table| table.name);
        tables.filter(|table| words().any(|word| word.eq_ignore_ascii_case(table))).collect()
    })
}

fn parsed(sql: &str) -> Option<BTreeSet<&'static str>> {
    let mut named = BTreeSet::new();
    for statement in DFParser::parse_sql(sql).ok()? {
        let (tables, _) = resolve_table_references(&statement, true).ok()?;
        let known = |name: &str| schema::tables().find(|table| table.name == name).map(|table| table.name);
        named.extend(tables.iter().filter_map(|table| known(table.table())));
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn tables_are_told_from_columns() {
        for (sql, want) in [
            ("select packets, 'dns' from coverage", vec!["coverage"]),
            ("select 1 from http, dns where http.status in (select 1 from FLOWS)", vec!["dns", "flows", "http"]),
            ("with dns as (select 1 from http) select * from dns join calls on true", vec!["calls", "http"]),
            ("select 1; select 2 from packets;", vec!["packets"]),
            ("selct http", vec!["http"]),
        ] {
            assert_eq!(named(sql).into_iter().collect::<Vec<_>>(), want, "{sql}");
        }
    }
}
