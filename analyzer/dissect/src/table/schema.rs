//! The contract's types as Arrow has them.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use formats::tables::{Kind, Table};
use std::sync::Arc;

/// The type of text while rows are put together: a view of bytes that lie elsewhere, so that putting rows in order
/// does not copy them.
pub const TEXT: DataType = DataType::Utf8View;

/// The same of bytes.
const BLOB: DataType = DataType::BinaryView;

/// The Arrow schema of a table, as its files tell it.
pub fn schema(table: &Table) -> SchemaRef {
    of(table, &DataType::Utf8, &DataType::Binary)
}

/// The Arrow schema of the rows of a table while they are put together.
pub fn schema_of_views(table: &Table) -> SchemaRef {
    of(table, &TEXT, &BLOB)
}

fn of(table: &Table, text: &DataType, blob: &DataType) -> SchemaRef {
    let field = |name: &str, kind| Field::new(name, data_type(kind, text, blob), true);
    let fields: Vec<Field> = table.columns().map(|column| field(column.name, column.kind)).collect();
    Arc::new(Schema::new(fields))
}

/// The Arrow type of a kind of column.
fn data_type(kind: Kind, text: &DataType, blob: &DataType) -> DataType {
    match kind {
        Kind::BigInt => DataType::Int64,
        Kind::Blob => blob.clone(),
        Kind::Boolean => DataType::Boolean,
        Kind::Double => DataType::Float64,
        Kind::Int => DataType::Int32,
        Kind::IntList => list(DataType::Int32),
        Kind::Pairs => list(DataType::Struct(pair_fields(text))),
        Kind::Records => list(DataType::Struct(record_fields(text))),
        Kind::Text => text.clone(),
        Kind::TextList => list(text.clone()),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// What a row takes in the columns of a table, NULL or not, besides the texts and lists they lead to.
pub fn row_bytes(table: &Table) -> usize {
    let bytes = |kind| match kind {
        Kind::Blob | Kind::Text => 16,
        Kind::BigInt | Kind::Double | Kind::Timestamp => 8,
        Kind::Int | Kind::IntList | Kind::Pairs | Kind::Records | Kind::TextList => 4,
        Kind::Boolean => 1,
    };
    table.columns().map(|column| bytes(column.kind)).sum()
}

/// Fields of a name and value pair.
pub fn pair_fields(text: &DataType) -> Fields {
    ["name", "value"].map(|name| Field::new(name, text.clone(), true)).to_vec().into()
}

/// Fields of a DNS resource record.
pub fn record_fields(text: &DataType) -> Fields {
    vec![
        Field::new("name", text.clone(), true),
        Field::new("type", text.clone(), true),
        Field::new("ttl", DataType::Int64, true),
        Field::new("data", text.clone(), true),
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
