//! Why a question has no answer, in the words of who asked it.

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Why SQL could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is not SQL; `excerpt` points at the place.
    #[error("syntax error{}: {message}{}", At(*.place), Below(.excerpt))]
    Syntax {
        /// What was expected and what was found.
        message: String,
        /// Line and column, both from 1.
        place: Option<(u64, u64)>,
        /// The line with a mark below the place; empty where the place is not known.
        excerpt: String,
    },
    /// A table that is not there.
    #[error("there is no table '{name}'{}; there are {}", DidYouMean(.nearest), .tables.join(", "))]
    NoSuchTable {
        /// As written.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
        /// All there are.
        tables: Vec<String>,
    },
    /// A column that none of the tables has.
    #[error("there is no column '{name}'{}{}", DidYouMean(.nearest), ThereAre(.columns))]
    NoSuchColumn {
        /// As written.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
        /// All that could stand there.
        columns: Vec<String>,
    },
    /// A statement that would change something.
    #[error("{what} is refused: tables are read, never changed; to keep an answer, write it with --output")]
    ReadOnly {
        /// The statement.
        what: String,
    },
    /// The memory given does not suffice.
    #[error("the query needs more than the {limit_mib} MiB it may hold (--memory-max-mib): {detail}")]
    OutOfMemory {
        /// The bound.
        limit_mib: u64,
        /// Who asked for how much.
        detail: String,
    },
    /// A file that is no whole Parquet.
    #[error("{}: {detail}; remove it, or make it anew", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A place that is no folder or store we know.
    #[error("'{place}' cannot be opened: {detail}")]
    Place {
        /// The folder or URL.
        place: String,
        /// Why.
        detail: String,
    },
    /// The answer could not be written down.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// Columns that the format asked for could not tell apart.
    #[error("the answer has several columns called '{}': give them names of their own with 'as'", .names.join("', '"))]
    SameNames {
        /// The names that are there more than once.
        names: Vec<String>,
    },
    /// The answer has no form of the kind asked for.
    #[error("{0}")]
    Form(String),
    /// A column of texts, compared with a number.
    #[error("'{value}' is a text and is compared with a number: quote the number, or cast the column with try_cast")]
    TextForNumber {
        /// The text that is no number.
        value: String,
    },
    /// A whole number that does not fit in 64 bits, or in the 32 of its column.
    #[error(
        "a whole number is too large for its type: {0}; cast to decimal(38,0) or double before it is computed with"
    )]
    TooLarge(String),
    /// Somebody did not want to wait for it.
    #[error("stopped")]
    Stopped,
    /// Anything else the engine says.
    #[error("{0}")]
    Engine(String),
}

struct At(Option<(u64, u64)>);
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, " at line {line}, column {column}"))
    }
}

struct Below<'a>(&'a str);
impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "\n{}", self.0) }
    }
}

struct DidYouMean<'a>(&'a Option<String>);
impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, ", did you mean '{name}'?"))
    }
}

struct ThereAre<'a>(&'a [String]);
impl fmt::Display for ThereAre<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str(": no table is asked")
        } else {
            write!(f, "; there are {}", self.0.join(", "))
        }
    }
}

impl QueryError {
    /// Says what went wrong while a statement was planned or run.
    pub(crate) fn new(error: DataFusionError, sql: &str, tables: &[String], limit_mib: u64) -> Self {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::new(*inner, sql, tables, limit_mib)
            }
            DataFusionError::Collection(mut errors) if !errors.is_empty() => {
                Self::new(errors.swap_remove(0), sql, tables, limit_mib)
            }
            DataFusionError::SQL(error, _) => syntax(&error, sql),
            DataFusionError::SchemaError(error, _) => schema(&error),
            DataFusionError::ResourcesExhausted(detail) => QueryError::OutOfMemory { limit_mib, detail },
            DataFusionError::IoError(error) => QueryError::Output(error),
            DataFusionError::Plan(message) => plan(message, tables),
            // Workers share their errors; the text is all that can be had of those.
            other => {
                let text = first_line(&other.strip_backtrace());
                if let Some(detail) = too_large(&text) {
                    return QueryError::TooLarge(detail.to_owned());
                }
                match between(&text, "Cannot cast string '", "' to value of") {
                    Some(value) => QueryError::TextForNumber { value: value.to_owned() },
                    None => QueryError::Engine(text),
                }
            }
        }
    }
}

/// What the engine's kernels say of numbers that do not fit: of operators, and of a sum that is to be BIGINT again.
fn too_large(text: &str) -> Option<&str> {
    let of_operator = text.rsplit_once("Overflow happened on: ").map(|(_, numbers)| numbers);
    of_operator.or_else(|| between(text, "value of ", " is out of range Int64"))
}

fn plan(message: String, tables: &[String]) -> QueryError {
    // The engine has no variant for this: its text is all there is to go by.
    if let Some(name) = between(&message, "table '", "' not found") {
        let name = name.rsplit('.').next().unwrap_or(name);
        return QueryError::NoSuchTable {
            name: name.to_owned(),
            nearest: nearest(name, tables.iter().map(String::as_str)),
            tables: tables.to_vec(),
        };
    }
    if let Some(what) = ["DML", "DDL"].iter().find_map(|kind| message.strip_prefix(&format!("{kind} not supported: ")))
    {
        return QueryError::ReadOnly { what: what.to_owned() };
    }
    QueryError::Engine(first_line(&message))
}

fn schema(error: &SchemaError) -> QueryError {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return QueryError::Engine(error.to_string());
    };
    // Of a table with an alias only its own columns could have been meant.
    let of_relation = |column: &&Column| field.relation.is_none() || column.relation == field.relation;
    let mut columns: Vec<String> = valid_fields.iter().filter(of_relation).map(|column| column.name.clone()).collect();
    if columns.is_empty() {
        columns = valid_fields.iter().map(Column::flat_name).collect();
    }
    // Of joined tables many have the same.
    let mut known = BTreeSet::new();
    columns.retain(|column| known.insert(column.clone()));
    let name = if columns.iter().any(|column| column.contains('.')) { field.flat_name() } else { field.name.clone() };
    QueryError::NoSuchColumn { nearest: nearest(&name, columns.iter().map(String::as_str)), name, columns }
}

fn syntax(error: &ParserError, sql: &str) -> QueryError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "nested too deeply".to_owned(),
    };
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return QueryError::Syntax { message: text, place: None, excerpt: String::new() };
    };
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        let digits = |text: &str| text.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok();
        Some((digits(line)?, digits(column)?))
    });
    let excerpt = place.map(|(line, column)| excerpt(sql, line, column)).unwrap_or_default();
    QueryError::Syntax { message: message.to_owned(), place, excerpt }
}

/// The line of the place with a mark below it.
fn excerpt(sql: &str, line: u64, column: u64) -> String {
    /// Text shown before and after the place: a generated statement may be one line of a megabyte.
    const AROUND_CHARS: usize = 60;
    let line = usize::try_from(line).ok().and_then(|line| sql.lines().nth(line.checked_sub(1)?));
    let (Some(line), Ok(column)) = (line, usize::try_from(column)) else { return String::new() };
    let before = column.saturating_sub(1);
    let skipped = before.saturating_sub(AROUND_CHARS);
    let shown: String = line.chars().skip(skipped).take(2 * AROUND_CHARS).collect();
    format!("  {}\n  {}^", shown.replace('\t', " "), " ".repeat(before - skipped))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end)?.0)
}

fn first_line(text: &str) -> String {
    // What follows is for those who build the engine.
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split("This issue was likely caused by a bug").next().unwrap_or(text);
    let known = ["Error during planning: ", "Execution error: ", "Arrow error: ", "External error: "];
    let mut text = text.trim();
    while let Some(rest) = known.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text.to_owned()
}

/// The most similar name, where one is similar enough to have been meant.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    /// Names less alike than this are a coincidence.
    const ALIKE_MIN: f64 = 0.7;
    let name = name.to_lowercase();
    names
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_may_have_been_meant() {
        for (name, names, want) in [
            ("staus", vec!["state", "status", "stream_id"], Some("status")),
            ("HOST", vec!["host", "path"], Some("host")),
            ("flow", vec!["flows", "http"], Some("flows")),
            ("zzz", vec!["host", "path"], None),
            ("x", vec![], None),
        ] {
            assert_eq!(nearest(name, names.into_iter()).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(excerpt("select\nfrom from x", 2, 6), "  from from x\n       ^");
        assert_eq!(excerpt("select", 9, 1), "");
        let long = format!("{}x", " ".repeat(1000));
        assert!(excerpt(&long, 1, 1001).ends_with(&format!("{}^", " ".repeat(60))));
    }
}
