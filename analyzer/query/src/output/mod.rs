//! Answers, written down.

mod table;

use crate::errors::QueryError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::collections::BTreeSet;
use std::io::Write;
use table::Table;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a head line.
    Csv,
    /// One JSON array.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// Parquet.
    Parquet,
    /// For people.
    Table,
}

/// Writes batches as they come.
pub enum Printer<W: Write + Send> {
    /// Comma-separated values.
    Csv(Box<arrow::csv::Writer<W>>),
    /// JSON.
    Json(arrow::json::ArrayWriter<W>),
    /// A JSON object a line.
    Ndjson(arrow::json::LineDelimitedWriter<W>),
    /// Parquet, begun with the first batch.
    Parquet(Option<W>, Option<Box<ArrowWriter<W>>>),
    /// For people.
    Table(Table<W>),
}

impl<W: Write + Send> Printer<W> {
    /// Writes to `out`.
    pub fn new(format: Format, out: W) -> Self {
        match format {
            Format::Csv => Printer::Csv(Box::new(arrow::csv::Writer::new(out))),
            Format::Json => Printer::Json(json().build(out)),
            Format::Ndjson => Printer::Ndjson(json().build(out)),
            Format::Parquet => Printer::Parquet(Some(out), None),
            Format::Table => Printer::Table(Table::new(out)),
        }
    }

    /// Writes rows.
    ///
    /// # Errors
    /// What the receiver says, and columns of one name where the format has no place for them.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        if matches!(self, Printer::Json(_) | Printer::Ndjson(_) | Printer::Parquet(..)) {
            have_own_names(batch)?;
        }
        match self {
            Printer::Csv(writer) => writer.write(&flat(batch)?).map_err(form),
            Printer::Json(writer) => writer.write(batch).map_err(form),
            Printer::Ndjson(writer) => writer.write(batch).map_err(form),
            Printer::Table(table) => table.batch(batch),
            Printer::Parquet(out, writer) => {
                if let Some(out) = out.take() {
                    *writer = Some(Box::new(ArrowWriter::try_new(out, batch.schema(), None).map_err(form)?));
                }
                writer.as_mut().map_or(Ok(()), |writer| writer.write(batch).map_err(form))
            }
        }
    }

    /// Writes what comes last.
    ///
    /// # Errors
    /// What the receiver says.
    pub fn finish(self) -> Result<(), QueryError> {
        match self {
            Printer::Csv(_) => Ok(()),
            Printer::Json(mut writer) => {
                writer.finish().map_err(form)?;
                Ok(writeln!(writer.into_inner())?)
            }
            Printer::Ndjson(mut writer) => writer.finish().map_err(form),
            Printer::Parquet(_, writer) => writer.map_or(Ok(()), |writer| writer.close().map(drop).map_err(form)),
            Printer::Table(table) => table.finish(),
        }
    }
}

/// NULL is told: a key that is not there would be a column that is not there.
fn json() -> arrow::json::WriterBuilder {
    arrow::json::WriterBuilder::new().with_explicit_nulls(true)
}

/// Of keys that are there twice readers of JSON keep one, and those of Parquet refuse the file.
fn have_own_names(batch: &RecordBatch) -> Result<(), QueryError> {
    let (schema, mut names) = (batch.schema(), BTreeSet::new());
    let again = schema.fields().iter().filter(|field| !names.insert(field.name()));
    let again: BTreeSet<&str> = again.map(|field| field.name().as_str()).collect();
    if again.is_empty() {
        return Ok(());
    }
    Err(QueryError::SameNames { names: again.into_iter().map(str::to_owned).collect() })
}

/// Lists and structs as text: CSV has no nesting.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    let options = arrow::util::display::FormatOptions::default();
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !field.data_type().is_nested() {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
            continue;
        }
        let shown = arrow::util::display::ArrayFormatter::try_new(column, &options).map_err(form)?;
        let texts: StringArray =
            (0..column.len()).map(|row| column.is_valid(row).then(|| shown.value(row).to_string())).collect();
        fields.push(Field::new(field.name(), DataType::Utf8, true));
        columns.push(std::sync::Arc::new(texts));
    }
    RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), columns).map_err(form)
}

/// The receiver's own error where it is one, so that a closed pipe is known as such.
fn form(error: impl std::error::Error + 'static) -> QueryError {
    let text = error.to_string();
    if text.contains("Broken pipe") {
        return QueryError::Output(std::io::ErrorKind::BrokenPipe.into());
    }
    QueryError::Form(text)
}
