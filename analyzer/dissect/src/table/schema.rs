//! The contract's types as Arrow has them.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use formats::tables::{Kind, Table};
use std::sync::Arc;

/// The Arrow schema of a table.
pub fn schema(table: &Table) -> SchemaRef {
    let fields: Vec<Field> =
        table.columns().map(|column| Field::new(column.name, data_type(column.kind), true)).collect();
    Arc::new(Schema::new(fields))
}

/// The Arrow type of a kind of column.
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::BigInt => DataType::Int64,
        Kind::Blob => DataType::Binary,
        Kind::Boolean => DataType::Boolean,
        Kind::Double => DataType::Float64,
        Kind::Int => DataType::Int32,
        Kind::IntList => list(DataType::Int32),
        Kind::Pairs => list(DataType::Struct(pair_fields())),
        Kind::Records => list(DataType::Struct(record_fields())),
        Kind::Text => DataType::Utf8,
        Kind::TextList => list(DataType::Utf8),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// Fields of a name and value pair.
pub fn pair_fields() -> Fields {
    ["name", "value"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec().into()
}

/// Fields of a DNS resource record.
pub fn record_fields() -> Fields {
    vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("type", DataType::Utf8, true),
        Field::new("ttl", DataType::Int64, true),
        Field::new("data", DataType::Utf8, true),
    ]
    .into()
}

/// The one field of a list.
pub fn item(of: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", of, true))
}

fn list(of: DataType) -> DataType {
    DataType::List(item(of))
}
