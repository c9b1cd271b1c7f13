//! `remora flows` and `remora calls`: a table or view as people read it.

use super::answer::{OutputArgs, Session, answer};
use super::place;
use super::redact::RedactArgs;
use crate::cache::Needs;
use crate::common::Common;
use crate::say;
use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use jiff::Timestamp;
use query::QueryError;
use query::output::{Format, Printer};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Rows shown to people where they ask for no other number.
const ROWS_SHOWN: u64 = 1000;

/// Longest text of a cell on a terminal; in a pipe and in a file texts are whole.
const CELL_CHARS_MAX: usize = 60;

/// What both commands take.
#[derive(Args)]
pub struct ListingArgs {
    /// Captures, recordings or datasets: files, folders, globs, '-' for standard input, s3:// and other URLs.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// Only rows for which this SQL condition holds.
    #[arg(long, short = 'w', env = "REMORA_WHERE", value_name = "CONDITION")]
    r#where: Option<String>,
    /// Most rows; 0 for all [default: 1000 as table, all in other formats].
    #[arg(long, env = "REMORA_LIMIT", value_name = "N")]
    limit: Option<u64>,
    /// When to use colours.
    #[arg(long, env = "REMORA_COLOR", value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    #[command(flatten)]
    redact: RedactArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// When to use colours.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Color {
    /// Always.
    Always,
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Never.
    Never,
}

/// What a view shows.
pub struct View {
    /// Its table.
    pub table: &'static str,
    /// How its rows are ordered.
    pub order: &'static str,
    /// What people see of it.
    pub columns: &'static [Column],
}

/// A column as people see it.
pub struct Column {
    /// Above it.
    pub title: &'static str,
    /// The value, in SQL.
    pub sql: &'static str,
    /// What the value is.
    pub form: Form,
}

/// How a value is written for people.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Bytes.
    Bytes,
    /// A number.
    Count,
    /// Milliseconds.
    Duration,
    /// Something to look at.
    Note,
    /// Text, coloured by the column `ok` that follows it and is not shown itself.
    Status,
    /// Whether the status before is a good one.
    StatusIsGood,
    /// As it is.
    Text,
    /// Microseconds since the Unix epoch.
    Time,
}

/// What is meant.
pub struct ListingPlan {
    inputs: Vec<String>,
    view: &'static View,
    condition: Option<String>,
    limit: Option<u64>,
    is_colored: bool,
    output: OutputArgs,
    common: Common,
}

impl ListingArgs {
    /// Decides on colours and the number of rows.
    pub fn resolve(self, view: &'static View, common: &Common) -> anyhow::Result<ListingPlan> {
        let is_terminal = self.output.output.is_none() && std::io::stdout().is_terminal();
        // https://no-color.org: present and not empty, whatever its value.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_colored = match self.color {
            Color::Always => true,
            Color::Auto => is_terminal && !no_color && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            Color::Never => false,
        };
        let usual = (self.output.form()? == Format::Table).then_some(ROWS_SHOWN);
        Ok(ListingPlan {
            inputs: self.inputs,
            view,
            condition: self.r#where,
            limit: self.limit.or(usual).filter(|&limit| limit > 0),
            is_colored,
            common: self.redact.with(common)?,
            output: self.output,
        })
    }
}

/// Shows the rows.
pub fn run(plan: ListingPlan, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    let View { table, order, columns } = plan.view;
    let is_for_people = plan.output.form()? == Format::Table;
    let selected = match is_for_people {
        true => {
            let numbered = columns.iter().enumerate().map(|(at, column)| format!("{} as c{at}", column.sql));
            numbered.collect::<Vec<_>>().join(", ")
        }
        false => "*".to_owned(),
    };
    // On a line of its own: the condition may end in a comment.
    let condition = plan.condition.as_ref().map(|condition| format!(" where ({condition}\n)")).unwrap_or_default();
    // One more, to know whether there are more.
    let limit = plan.limit.map(|limit| format!(" limit {}", limit.saturating_add(u64::from(is_for_people))));
    let sql = format!("select {selected} from {table}{condition} order by {order}{}", limit.unwrap_or_default());
    let session = Session::open(&plan.inputs, Needs::of(&sql), &plan.output, &plan.common)?;
    let rows = match (&plan.output.output, is_for_people) {
        (_, false) => answer(session.catalogue(), &sql, &plan.output, out)?,
        (None, true) => show(&plan, &session, &sql, out)?,
        (Some(path), true) => place::write(path, |file| show(&plan, &session, &sql, file))?,
    };
    session.say_what_lacks(&sql);
    Ok(session.exit(rows))
}

/// Writes rows for people, as they come; returns how many there were.
fn show(plan: &ListingPlan, session: &Session, sql: &str, out: impl Write) -> anyhow::Result<u64> {
    let is_terminal = plan.output.output.is_none() && std::io::stdout().is_terminal();
    let mut lines = Lines {
        columns: plan.view.columns,
        widths: Vec::new(),
        is_colored: plan.is_colored,
        cell_chars_max: if is_terminal { CELL_CHARS_MAX } else { usize::MAX },
        out,
    };
    let mut left = plan.limit.unwrap_or(u64::MAX);
    let rows = session.catalogue().answer(sql, |batch| {
        let mut json = Vec::new();
        let mut printer = Printer::new(Format::Ndjson, &mut json);
        printer.batch(batch)?;
        printer.finish()?;
        let rows: Vec<Value> = json
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(|error| QueryError::Form(error.to_string())))
            .collect::<Result<_, _>>()?;
        let shown = usize::try_from(left).unwrap_or(usize::MAX).min(rows.len());
        left -= shown as u64;
        Ok(lines.write(rows.get(..shown).unwrap_or_default())?)
    })?;
    if plan.limit.is_some_and(|limit| rows > limit) {
        say::note("there are more; --limit 0 shows all");
    }
    Ok(rows)
}

/// Aligned lines below a head.
struct Lines<W> {
    columns: &'static [Column],
    /// Widest cell so far, by column; empty before the head.
    widths: Vec<usize>,
    is_colored: bool,
    cell_chars_max: usize,
    out: W,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, rows: &[Value]) -> std::io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let cells: Vec<Vec<String>> = rows.iter().map(|row| self.cells(row)).collect();
        let is_first = self.widths.is_empty();
        if is_first {
            self.widths = self.columns.iter().map(|column| column.title.chars().count()).collect();
        }
        for (at, width) in self.widths.iter_mut().enumerate() {
            let widest = cells.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
            *width = (*width).max(widest.unwrap_or_default());
        }
        if is_first {
            let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
            self.line(&titles, |_| Some(BOLD))?;
        }
        let columns = self.columns;
        for row in &cells {
            self.line(row, |at| color(columns, row, at))?;
        }
        Ok(())
    }

    fn cells(&self, row: &Value) -> Vec<String> {
        let values = self.columns.iter().enumerate().map(|(at, column)| (column.form, row.get(format!("c{at}"))));
        values.map(|(form, value)| cell(form, value.unwrap_or(&Value::Null), self.cell_chars_max)).collect()
    }

    fn line(&mut self, cells: &[String], color: impl Fn(usize) -> Option<&'static str>) -> std::io::Result<()> {
        let mut line = String::new();
        for (at, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            if column.form == Form::StatusIsGood {
                continue;
            }
            let width = self.widths.get(at).copied().unwrap_or_default();
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let is_number = matches!(column.form, Form::Bytes | Form::Count | Form::Duration);
            let (left, right) = if is_number { (padding.as_str(), "") } else { ("", padding.as_str()) };
            let (on, off) = match color(at).filter(|_| self.is_colored && !cell.is_empty()) {
                Some(color) => (color, RESET),
                None => ("", ""),
            };
            line.push_str(&format!("{left}{on}{cell}{off}{right}  "));
        }
        writeln!(self.out, "{}", line.trim_end())
    }
}

// ECMA-48 §8.3.117.
const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

fn color(columns: &[Column], row: &[String], at: usize) -> Option<&'static str> {
    match columns.get(at)?.form {
        Form::Note => Some(YELLOW),
        Form::Status => Some(match row.get(at + 1).map(String::as_str) {
            Some("true") => GREEN,
            Some("false") => RED,
            _ => YELLOW,
        }),
        Form::Time => Some(FAINT),
        _ => None,
    }
}

/// A value as people read it.
fn cell(form: Form, value: &Value, chars_max: usize) -> String {
    if value.is_null() {
        return if matches!(form, Form::Note | Form::StatusIsGood) { String::new() } else { "-".to_owned() };
    }
    let number = || value.as_i64().unwrap_or_default();
    match form {
        Form::Bytes => HumanBytes(number().unsigned_abs()).to_string(),
        Form::Count => number().to_string(),
        Form::Duration => duration(value.as_f64().unwrap_or_default()),
        Form::StatusIsGood => value.to_string(),
        Form::Time => time(number()),
        Form::Note | Form::Status | Form::Text => text(value.as_str().unwrap_or_default(), chars_max),
    }
}

/// One line, with nothing that moves a terminal's cursor, cut where it is too long.
fn text(text: &str, chars_max: usize) -> String {
    let harmless = |c: char| if c.is_control() { '\u{2426}' } else { c };
    match text.char_indices().nth(chars_max) {
        Some(_) => text.chars().take(chars_max - 1).map(harmless).chain(['…']).collect(),
        None => text.chars().map(harmless).collect(),
    }
}

fn time(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| "-".to_owned(), |time| time.strftime("%F %T%.3f").to_string())
}

/// Three digits that matter.
fn duration(ms: f64) -> String {
    // Bounds are where the next digit would be rounded up to.
    match ms.abs() {
        short if short < 0.9995 => format!("{:.0} µs", ms * 1e3),
        short if short < 9.995 => format!("{ms:.2} ms"),
        short if short < 99.95 => format!("{ms:.1} ms"),
        short if short < 999.5 => format!("{ms:.0} ms"),
        long if long < 9_995.0 => format!("{:.2} s", ms / 1e3),
        long if long < 59_950.0 => format!("{:.1} s", ms / 1e3),
        long if long < 3_599_500.0 => {
            let s = (ms / 1e3).round();
            format!("{:.0}m {:02.0}s", (s / 60.0).trunc(), s % 60.0)
        }
        _ => {
            let minutes = (ms / 60e3).round();
            format!("{:.0}h {:02.0}m", (minutes / 60.0).trunc(), minutes % 60.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_digits_that_matter() {
        for (ms, want) in [
            (0.0, "0 µs"),
            (0.3404, "340 µs"),
            (1.234, "1.23 ms"),
            (12.34, "12.3 ms"),
            (123.4, "123 ms"),
            (1234.0, "1.23 s"),
            (12_345.0, "12.3 s"),
            (0.9996, "1.00 ms"),
            (99.96, "100 ms"),
            (999.6, "1.00 s"),
            (59_970.0, "1m 00s"),
            (125_000.0, "2m 05s"),
            (7_500_000.0, "2h 05m"),
            (-0.02, "-20 µs"),
        ] {
            assert_eq!(duration(ms), want);
        }
    }

    #[test]
    fn texts_cannot_move_the_cursor() {
        assert_eq!(text("a\x1b[2Jb\r\n", 99), "a␦[2Jb␦␦");
        assert_eq!(text("abcdef", 4), "abc…");
        assert_eq!(text("abcd", 4), "abcd");
        assert_eq!(text("äöüß", usize::MAX), "äöüß");
    }
}
