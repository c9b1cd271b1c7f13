//! The contract in words: what `remora schema` prints and what formats/TABLES.md holds.

use crate::errors::{QueryError, nearest};
use formats::tables::{Column, TABLES, Table, VIEWS};
use std::fmt::Write;

/// The tables and views, in the order they are shown.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().chain(VIEWS)
}

/// The table or view of that name.
///
/// # Errors
/// [`QueryError::NoSuchTable`] with the nearest name.
pub fn table(name: &str) -> Result<&'static Table, QueryError> {
    tables().find(|table| table.name.eq_ignore_ascii_case(name)).ok_or_else(|| QueryError::NoSuchTable {
        name: name.to_owned(),
        nearest: nearest(name, tables().map(|table| table.name)),
        tables: tables().map(|table| table.name.to_owned()).collect(),
    })
}

/// One line for each table and view.
pub fn overview() -> String {
    let width = tables().map(|table| table.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for table in tables() {
        let note = note(table).map(|note| format!(" ({note})")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {}{note}", table.name, table.row);
    }
    text
}

/// A table with all its columns, for a terminal.
pub fn describe(table: &Table) -> String {
    let name_width = table.columns().map(|column| column.name.len()).max().unwrap_or_default();
    let mut text = format!("{}: one row is {}.\n", table.name, table.row);
    if let Some(note) = note(table) {
        let _ = writeln!(text, "This table is {note}.");
    }
    for column in table.columns() {
        let unit = if column.unit.is_empty() { String::new() } else { format!(" [{}]", column.unit) };
        let _ = writeln!(text, "\n{:name_width$}  {}{unit}", column.name, column.kind.sql());
        let _ = writeln!(text, "{:name_width$}  {}", "", column.about);
        let _ = writeln!(text, "{:name_width$}  {}. Source: {}.", "", null(column), column.source);
    }
    text
}

/// All tables in Markdown: the whole of formats/TABLES.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Tables\n\n\
         Generated from `formats/src/tables`; a test of the query crate compares. Names and types are a public\n\
         contract. NULL is never written for 0 or an empty text.\n",
    );
    for table in tables() {
        let _ = writeln!(text, "\n## {}\n\nOne row is {}.", table.name, table.row);
        if let Some(note) = note(table) {
            let _ = writeln!(text, "This table is {note}.");
        }
        text.push_str("\n| column | type | unit | what it says | NULL means | source |\n|---|---|---|---|---|---|\n");
        for column in table.columns() {
            let null = if column.null.is_empty() { "never" } else { column.null };
            let cells = [column.name, column.kind.sql(), column.unit, column.about, null, column.source].map(|cell| {
                // A bar would end the cell.
                cell.replace('|', "\\|")
            });
            let _ = writeln!(text, "| `{}` | {} |", cells[0], cells[1..].join(" | "));
        }
    }
    text
}

fn note(table: &Table) -> Option<&'static str> {
    if VIEWS.iter().any(|view| view.name == table.name) {
        Some("a view over the others")
    } else if table.on_request {
        Some("made only when asked for")
    } else {
        None
    }
}

fn null(column: &Column) -> String {
    if column.null.is_empty() { "Never NULL".to_owned() } else { format!("NULL: {}", column.null) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `REMORA_WRITE_TABLES_MD=1` writes the file instead.
    #[test]
    fn the_committed_document_is_the_generated_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../formats/TABLES.md");
        if std::env::var_os("REMORA_WRITE_TABLES_MD").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == markdown(),
            "formats/TABLES.md is not what formats/src/tables says; write it anew with\n  \
             REMORA_WRITE_TABLES_MD=1 cargo nextest run -p query the_committed_document"
        );
    }

    #[test]
    fn a_table_is_described_with_every_column() {
        for table in tables() {
            let text = describe(table);
            assert!(table.columns().all(|column| text.contains(column.about)), "{}", table.name);
            assert!(overview().contains(table.row));
        }
    }

    #[test]
    fn a_misspelt_table_names_the_nearest() {
        assert_eq!(table("HTTP").unwrap().name, "http");
        assert!(table("flow").unwrap_err().to_string().contains("flows"));
    }
}
