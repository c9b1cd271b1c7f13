//! Answers for people: a table whose columns are as wide as its first rows want them.

use super::form;
use crate::errors::QueryError;
use arrow::array::{ArrayRef, LargeStringBuilder};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use std::io::Write;
use std::sync::Arc;

/// Rows that decide on the widths.
const ROWS_MAX: usize = 10_000;

/// Bytes they fill, each cell as wide as the widest of its column. While they are laid out they take some five times as much.
const LAID_OUT_BYTES_MAX: usize = 16 << 20;

/// Longest text that decides on a width: longer ones arrow would break, in a time that grows with the square of them.
const CELL_BYTES_MAX: usize = 60_000;

/// Bytes written at once.
const WRITE_BYTES: usize = 64 << 10;

/// Writes rows as soon as the widths are known.
///
/// # Bounds
/// [`ROWS_MAX`] rows and [`LAID_OUT_BYTES_MAX`], the batch that comes in, and a row. Wider cells of later rows stick out.
pub struct Table<W> {
    out: W,
    /// The texts of the first rows, column by column with its name, until the widths are known.
    first: Vec<(String, LargeStringBuilder)>,
    /// Widest text of each column [bytes].
    widest: Vec<usize>,
    rows: usize,
    /// The line below the last row, once the widths are known.
    border: Option<String>,
}

impl<W: Write> Table<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, first: Vec::new(), widest: Vec::new(), rows: 0, border: None }
    }

    /// Takes in rows.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let shown = shown(batch).map_err(form)?;
        if self.border.is_none() && self.first.is_empty() {
            let schema = batch.schema();
            self.first =
                schema.fields().iter().map(|field| (field.name().clone(), LargeStringBuilder::new())).collect();
            self.widest = vec![0; self.first.len()];
        }
        let mut lines = String::new();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = shown.iter().map(|column| column.value(row).to_string()).collect();
            if self.border.is_none() && !self.gather(&cells) {
                self.begin()?;
            }
            if let Some(border) = &self.border {
                line(&mut lines, border, &cells);
            }
            if lines.len() >= WRITE_BYTES {
                self.out.write_all(lines.as_bytes())?;
                lines.clear();
            }
        }
        Ok(self.out.write_all(lines.as_bytes())?)
    }

    /// Ends the table.
    pub fn finish(mut self) -> Result<(), QueryError> {
        if self.border.is_none() {
            self.begin()?;
        }
        Ok(writeln!(self.out, "{}", self.border.unwrap_or_default())?)
    }

    /// Keeps the texts of a row, unless they are too many or too long.
    fn gather(&mut self, cells: &[String]) -> bool {
        let widest: Vec<usize> = cells.iter().zip(&self.widest).map(|(cell, &widest)| cell.len().max(widest)).collect();
        let is_short = cells.iter().all(|cell| cell.len() <= CELL_BYTES_MAX);
        let laid_out_bytes = widest.iter().sum::<usize>().saturating_mul(self.rows + 1);
        if !is_short || self.rows == ROWS_MAX || laid_out_bytes > LAID_OUT_BYTES_MAX {
            return false;
        }
        self.widest = widest;
        self.rows += 1;
        self.first.iter_mut().zip(cells).for_each(|((_, texts), cell)| texts.append_value(cell));
        true
    }

    /// Writes the head and the first rows, as wide as they want to be.
    fn begin(&mut self) -> Result<(), QueryError> {
        let columns = std::mem::take(&mut self.first).into_iter();
        let columns = columns.map(|(name, mut texts)| (name, Arc::new(texts.finish()) as ArrayRef, false));
        let batch = match columns.len() {
            0 => RecordBatch::new_empty(Arc::new(Schema::empty())),
            _ => RecordBatch::try_from_iter_with_nullable(columns).map_err(form)?,
        };
        let table = pretty_format_batches(&[batch]).map_err(form)?.to_string();
        let (rows, border) = table.rsplit_once('\n').unwrap_or(("", &table));
        writeln!(self.out, "{}", harmless(rows))?;
        self.border = Some(border.to_owned());
        Ok(())
    }
}

/// Adds a row below those that made `border`.
fn line(lines: &mut String, border: &str, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| harmless(cell)).collect();
    let height = cells.iter().map(|cell| cell.split('\n').count()).max().unwrap_or(1);
    let mut parts: Vec<_> = cells.iter().map(|cell| cell.split('\n')).collect();
    for _ in 0..height {
        // A blank stands on either side of a cell.
        let widths = border.trim_matches('+').split('+').map(|column| column.len().saturating_sub(2));
        for (part, width) in parts.iter_mut().zip(widths) {
            lines.push_str(&format!("| {:width$} ", part.next().unwrap_or_default()));
        }
        lines.push_str("|\n");
    }
}

/// Values as they are shown, column by column.
fn shown(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, ArrowError> {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(true);
    batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &OPTIONS)).collect()
}

/// A payload could hold what moves a terminal's cursor: shown as the picture of its character.
fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{2426}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    fn batch(numbers: std::ops::Range<i64>, text: &str) -> RecordBatch {
        let texts: StringArray = numbers.clone().map(|number| (number % 2 == 0).then_some(text)).collect();
        let columns: [(&str, ArrayRef); 2] =
            [("number", Arc::new(Int64Array::from_iter_values(numbers))), ("text", Arc::new(texts))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    fn written(batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out);
        batches.iter().for_each(|batch| table.batch(batch).unwrap());
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_small_is_as_wide_as_it_wants() {
        for batches in [
            vec![batch(0..2, "two\nlines, 猫")],
            vec![batch(0..700, "a"), batch(100..1400, "abc")],
            vec![batch(0..0, "")],
        ] {
            let want = pretty_format_batches(&batches).unwrap().to_string();
            assert_eq!(written(&batches), want + "\n");
        }
        assert!(written(&[batch(0..1, "\x1b[2J")]).contains("| 0      | \u{2426}[2J |"));
    }

    #[test]
    fn later_rows_keep_to_the_widths_of_the_first() {
        let rows = ROWS_MAX as i64;
        let text = written(&[batch(0..rows, "abcdef"), batch(0..2, "a\x1b\nb"), batch(rows..rows + 1, "a long one")]);
        let lines: Vec<&str> = text.lines().collect();
        let border = "+--------+--------+";
        assert_eq!(lines[..4], [border, "| number | text   |", border, "| 0      | abcdef |"]);
        assert_eq!(
            lines[lines.len() - 5..],
            [
                "| 0      | a\u{2426}     |",
                "|        | b      |",
                "| 1      |        |",
                "| 10000  | a long one |",
                border
            ]
        );
        assert_eq!(lines.len(), 3 + ROWS_MAX + 4 + 1);
        // What is large is not waited for.
        for (rows, text_bytes) in [(2, CELL_BYTES_MAX + 1), (2000, CELL_BYTES_MAX / 4)] {
            let mut table = Table::new(Vec::new());
            table.batch(&batch(0..rows, &"x".repeat(text_bytes))).unwrap();
            assert!(table.out.len() > text_bytes && table.first.is_empty());
        }
    }
}
