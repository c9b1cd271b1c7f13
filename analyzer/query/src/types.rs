//! The columns of the contract as the engine reads them.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use formats::tables::{Kind, Table};
use std::sync::Arc;

/// The schema a table is read with, whatever its files hold.
///
/// # Shape
/// The columns of the contract, in order, all nullable: a file written before a column was added has
/// none of it. Texts and bodies are views, which the engine compares and filters without a copy.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    Arc::new(Schema::new(
        table.columns().map(|column| Field::new(column.name, data_type(column.kind), true)).collect::<Vec<_>>(),
    ))
}

fn data_type(kind: Kind) -> DataType {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    match kind {
        Kind::BigInt => DataType::Int64,
        Kind::Blob => DataType::BinaryView,
        Kind::Boolean => DataType::Boolean,
        Kind::Double => DataType::Float64,
        Kind::Int => DataType::Int32,
        Kind::IntList => list(DataType::Int32),
        Kind::Pairs => list(DataType::Struct(Fields::from(vec![text("name"), text("value")]))),
        Kind::Records => list(DataType::Struct(Fields::from(vec![
            text("name"),
            text("type"),
            Field::new("ttl", DataType::Int64, true),
            text("data"),
        ]))),
        Kind::Text => DataType::Utf8View,
        Kind::TextList => list(DataType::Utf8),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}
