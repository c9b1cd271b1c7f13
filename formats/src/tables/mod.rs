//! The tables: every column with its type, unit, meaning of NULL and source.
//!
//! This is the public contract. `remora schema` prints it, TABLES.md is generated from it, and the
//! analyzer refuses to build a batch whose columns differ from it.

mod amqp;
mod anomalies;
mod calls;
mod captures;
mod common;
mod coverage;
mod dns;
mod flows;
mod graphql;
mod grpc;
mod http;
mod kafka;
mod kafka_records;
mod packets;
mod redis;
mod spans;
mod tls;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit signed integer.
    BigInt,
    /// Raw bytes.
    Blob,
    /// True or false.
    Boolean,
    /// 64-bit float.
    Double,
    /// 32-bit signed integer.
    Int,
    /// 32-bit signed integers, in order.
    IntList,
    /// Name and value pairs: order, case and repeats kept.
    Pairs,
    /// DNS resource records: name, type, ttl, data.
    Records,
    /// UTF-8 text.
    Text,
    /// Texts, in order.
    TextList,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
}

impl Kind {
    /// The type as SQL spells it.
    pub fn sql(self) -> &'static str {
        match self {
            Kind::BigInt => "BIGINT",
            Kind::Blob => "BINARY",
            Kind::Boolean => "BOOLEAN",
            Kind::Double => "DOUBLE",
            Kind::Int => "INT",
            Kind::IntList => "LIST<INT>",
            Kind::Pairs => "LIST<STRUCT<name VARCHAR, value VARCHAR>>",
            Kind::Records => "LIST<STRUCT<name VARCHAR, type VARCHAR, ttl BIGINT, data VARCHAR>>",
            Kind::Text => "VARCHAR",
            Kind::TextList => "LIST<VARCHAR>",
            Kind::Timestamp => "TIMESTAMP(µs, UTC)",
        }
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name users write in SQL.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub about: &'static str,
    /// What NULL means; empty where the column is never NULL.
    pub null: &'static str,
    /// Unit of a number, empty where there is none.
    pub unit: &'static str,
    /// Where the value comes from: a section of a standard or a room of ours.
    pub source: &'static str,
    /// Whether people look single values up: such a column gets a bloom filter.
    pub looked_up: bool,
}

const fn column(name: &'static str, kind: Kind, about: &'static str) -> Column {
    Column { name, kind, about, null: "", unit: "", source: "", looked_up: false }
}

impl Column {
    const fn null(mut self, meaning: &'static str) -> Self {
        self.null = meaning;
        self
    }
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
    const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
    const fn looked_up(mut self) -> Self {
        self.looked_up = true;
        self
    }
}

/// One table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name users write in SQL; also the folder of a dataset.
    pub name: &'static str,
    /// What one row is.
    pub row: &'static str,
    /// Whether it is made only when asked for.
    pub on_request: bool,
    groups: &'static [&'static [Column]],
}

impl Table {
    /// The columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.groups.iter().copied().flatten()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns().find(|column| column.name == name)
    }
}

/// Every table there is, in the order `remora schema` shows them.
pub static TABLES: &[Table] = &[
    flows::TABLE,
    http::TABLE,
    grpc::TABLE,
    graphql::TABLE,
    kafka::TABLE,
    kafka_records::TABLE,
    redis::TABLE,
    amqp::TABLE,
    dns::TABLE,
    tls::TABLE,
    anomalies::TABLE,
    captures::TABLE,
    coverage::TABLE,
    packets::TABLE,
    spans::TABLE,
];

/// Tables that hold no rows of their own: the query crate computes them from the others.
pub static VIEWS: &[Table] = &[calls::VIEW];

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_table_and_column_is_described_once() {
        let mut tables = HashSet::new();
        for table in TABLES.iter().chain(VIEWS) {
            assert!(tables.insert(table.name), "{} twice", table.name);
            let mut columns = HashSet::new();
            for column in table.columns() {
                let place = format!("{}.{}", table.name, column.name);
                assert!(columns.insert(column.name), "{place} twice");
                assert!(column.about.ends_with('.'), "{place}: what it says is a sentence");
                assert!(!column.source.is_empty(), "{place}: no source");
                let measured = ["_ms", "_bytes", "ttl"].iter().any(|end| column.name.ends_with(end));
                assert!(!measured || !column.unit.is_empty(), "{place}: no unit");
            }
        }
    }
}
