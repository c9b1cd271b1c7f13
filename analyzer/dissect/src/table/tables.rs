//! The tables by name: rows under construction, with their order.
//!
//! Enters: where the row belongs that was appended. Leaves: a [`Lot`] for each table that has rows. Refused: columns that
//! differ from the contract.

use super::amqp::AmqpRows;
use super::anomalies::AnomalyColumns;
use super::dns::DnsRows;
use super::flows::FlowRows;
use super::graphql::GraphqlRows;
use super::grpc::GrpcRows;
use super::http::HttpRows;
use super::kafka::{KafkaRecordRows, KafkaRows};
use super::packets::PacketColumns;
use super::redis::RedisRows;
use super::schema::{row_bytes, schema_of_views};
use super::spans::SpanColumns;
use super::tls::TlsRows;
use super::waiting::{Lot, Order};
use crate::plan::Plan;
use arrow::array::ArrayRef;

/// Rows of one table, with their order.
pub struct Table<T> {
    /// The rows.
    pub rows: T,
    order: Vec<Order>,
    row_bytes: usize,
}

impl<T: Default> Table<T> {
    fn new(name: &str) -> Self {
        let row_bytes = formats::tables::table(name).map_or(0, row_bytes) + size_of::<Order>();
        Self { rows: T::default(), order: Vec::new(), row_bytes }
    }

    /// Notes where the row that was appended belongs. Says what it costs, besides its texts.
    #[must_use]
    pub fn place(&mut self, ts_ns: i64, rank: &mut u64) -> usize {
        self.order.push((ts_ns, *rank));
        *rank += 1;
        self.row_bytes
    }
}

/// Declares the tables, by name: each grows by a row at a time.
macro_rules! tables {
    ($($table:ident: $rows:ty),* $(,)?) => {
        /// The tables under construction.
        pub struct Tables { $(pub $table: Table<$rows>),* }

        /// Which of them are made.
        pub struct Wanted { $(pub $table: bool),* }

        impl Wanted {
            /// Those that the plan has.
            pub fn of(plan: &Plan) -> Self {
                Self { $($table: plan.tables.contains(stringify!($table))),* }
            }
        }

        impl Tables {
            /// No rows yet.
            pub fn new() -> Self {
                Self { $($table: Table::new(stringify!($table))),* }
            }

            /// Rows of all of them.
            pub fn len(&self) -> usize {
                0 $(+ self.$table.order.len())*
            }

            /// The rows, by table; begins anew.
            pub fn take(&mut self) -> Vec<Lot> {
                let lots = [$(lot(stringify!($table), &mut self.$table.order, self.$table.rows.build())),*];
                lots.into_iter().flatten().collect()
            }

            #[cfg(test)]
            fn names(&self) -> Vec<(&'static str, Vec<&'static str>)> {
                vec![$((stringify!($table), self.$table.rows.names())),*]
            }
        }
    };
}
tables! {
    amqp: AmqpRows,
    anomalies: AnomalyColumns,
    dns: DnsRows,
    flows: FlowRows,
    graphql: GraphqlRows,
    grpc: GrpcRows,
    http: HttpRows,
    kafka: KafkaRows,
    kafka_records: KafkaRecordRows,
    packets: PacketColumns,
    redis: RedisRows,
    tls: TlsRows,
    spans: SpanColumns,
}

fn lot(table: &'static str, order: &mut Vec<Order>, columns: Vec<ArrayRef>) -> Option<Lot> {
    if order.is_empty() {
        return None;
    }
    let schema = schema_of_views(formats::tables::table(table)?);
    let batch = arrow::record_batch::RecordBatch::try_new(schema, columns);
    let batch = batch.unwrap_or_else(|error| unreachable!("{table}: columns differ from the contract: {error}"));
    Some(Lot { table, batch, order: std::mem::take(order) })
}

#[cfg(test)]
mod tests {
    use super::super::facts::{CaptureColumns, CoverageColumns};
    use super::*;

    #[test]
    fn the_columns_stand_in_the_order_of_the_contract() {
        let mut tables = Tables::new().names();
        tables.push(("captures", CaptureColumns::default().names()));
        tables.push(("coverage", CoverageColumns::default().names()));
        for (table, names) in tables {
            let contract: Vec<_> = formats::tables::table(table).unwrap().columns().map(|column| column.name).collect();
            assert_eq!(names, contract, "{table}");
        }
    }
}
