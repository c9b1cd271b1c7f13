//! `remora sql`: answers SQL over captures and datasets.

use super::Common;
use crate::{cache, inputs};
use anyhow::{Context, bail};
use clap::Args;
use query::output::{Format, Printer};
use query::{Catalogue, is_dataset, schema};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Answer SQL over captures and datasets.
///
/// Captures are dissected on the fly, into a cache by content; only the tables the SQL names are made. Without SQL
/// a prompt opens (or statements are read from standard input in a pipe). The exit code is 0 with rows, 1 without,
/// 2 after an error.
#[derive(Args)]
#[command(after_help = "Examples:
  remora sql traffic.pcap \"select method, path, status, count(*) from http group by 1, 2, 3\"
  remora sql dataset/ \"select operation, status, latency_ms from calls order by latency_ms desc limit 10\"
  remora sql *.pcapng.zst --format ndjson -e \"select * from dns where rcode = 'NXDOMAIN'\"")]
pub struct SqlArgs {
    /// Captures or datasets (files, folders, globs), and the SQL as the last argument.
    #[arg(required = true, value_name = "INPUT… [SQL]")]
    words: Vec<String>,
    /// The SQL, where it is not the last argument.
    #[arg(long, short, env = "REMORA_SQL", value_name = "SQL")]
    execute: Option<String>,
    /// File with the SQL.
    #[arg(long, short, env = "REMORA_SQL_FILE", value_name = "FILE", conflicts_with = "execute")]
    file: Option<PathBuf>,
    /// How rows are written.
    #[arg(long, env = "REMORA_FORMAT", value_enum, default_value_t = FormatArg::Table, value_name = "FORMAT")]
    format: FormatArg,
    /// File to write to [default: standard output].
    #[arg(long, short, env = "REMORA_OUTPUT", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Descriptor set or .proto file that names the fields of gRPC messages; may be given several times.
    #[arg(long, env = "REMORA_PROTOS", value_delimiter = ',', value_name = "FILE")]
    protos: Vec<PathBuf>,
}

/// How rows are written.
#[derive(clap::ValueEnum, Debug, Clone, Copy)]
pub enum FormatArg {
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

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Csv => Format::Csv,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Parquet => Format::Parquet,
            FormatArg::Table => Format::Table,
        }
    }
}

/// What is meant.
pub struct SqlPlan {
    inputs: Vec<String>,
    /// None opens a prompt.
    sql: Option<String>,
    format: Format,
    output: Option<PathBuf>,
    protos: Vec<PathBuf>,
    common: Common,
}

impl SqlArgs {
    /// Tells inputs from SQL.
    pub fn resolve(mut self, common: &Common) -> anyhow::Result<SqlPlan> {
        let mut sql = self.execute;
        if let Some(file) = &self.file {
            sql = Some(std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?);
        }
        // SQL has white space; a file of that name would be an input.
        let last_is_sql =
            self.words.last().is_some_and(|last| last.contains(char::is_whitespace) && !Path::new(last).exists());
        if sql.is_none() && last_is_sql {
            sql = self.words.pop();
        }
        if self.words.is_empty() {
            bail!("no input; name captures or a dataset before the SQL");
        }
        Ok(SqlPlan {
            inputs: self.words,
            sql,
            format: self.format.into(),
            output: self.output,
            protos: self.protos,
            common: common.clone(),
        })
    }
}

/// Runs the statements.
pub fn run(plan: SqlPlan, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    let sql = match &plan.sql {
        Some(sql) => sql.clone(),
        None if std::io::stdin().is_terminal() => return prompt(&plan, out),
        None => {
            let mut sql = String::new();
            std::io::stdin().read_to_string(&mut sql)?;
            sql
        }
    };
    let catalogue = open(&plan, Some(&sql))?;
    let mut rows = 0;
    for statement in statements(&sql) {
        rows += match &plan.output {
            Some(path) => {
                let file =
                    std::fs::File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
                answer(&catalogue, statement, plan.format, file)?
            }
            None => answer(&catalogue, statement, plan.format, &mut *out)?,
        };
    }
    if !plan.common.quiet
        && let Some(lost) = catalogue.loss(&sql)
    {
        eprintln!("remora: note: {lost}");
    }
    Ok(if rows > 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn answer(catalogue: &Catalogue, sql: &str, format: Format, out: impl Write + Send) -> anyhow::Result<u64> {
    let mut printer = Printer::new(format, out);
    let rows = catalogue.answer(sql, |batch| printer.batch(batch))?;
    printer.finish()?;
    Ok(rows)
}

/// Datasets as they are; captures through the cache. Without SQL all tables are made.
fn open(plan: &SqlPlan, sql: Option<&str>) -> anyhow::Result<Catalogue> {
    let (datasets, captures): (Vec<String>, Vec<String>) =
        plan.inputs.iter().cloned().partition(|input| is_dataset(Path::new(input)));
    let mut folders: Vec<PathBuf> = datasets.into_iter().map(PathBuf::from).collect();
    if !captures.is_empty() {
        let tables = cache::tables_for(sql);
        for source in inputs::sources(&captures)? {
            folders.push(cache::dataset(source, &tables, &plan.protos, &plan.common)?);
        }
    }
    Ok(Catalogue::open(&folders, plan.common.memory_max_mib, plan.common.threads())?)
}

/// Statements, split at semicolons outside of quotes.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let pieces = sql.split(move |c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        c == ';' && quote.is_none()
    });
    pieces.map(str::trim).filter(|statement| !statement.is_empty())
}

/// Reads statements at a prompt until its end.
fn prompt(plan: &SqlPlan, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    let catalogue = open(plan, None)?;
    let mut editor = rustyline::DefaultEditor::new()?;
    let history = cache::folder(&plan.common).map(|folder| folder.join("history"));
    if let Some(history) = &history {
        let _ = editor.load_history(history);
    }
    writeln!(out, "Statements end with ';'. \\d lists tables, \\d TABLE describes one, \\q ends.")?;
    let mut waiting = String::new();
    while let Ok(line) = editor.readline(if waiting.is_empty() { "remora> " } else { "   ...> " }) {
        if waiting.is_empty() && line.starts_with('\\') {
            let _ = editor.add_history_entry(&line);
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["\\q"] => break,
                ["\\d"] => write!(out, "{}", schema::overview())?,
                ["\\d", table] => match schema::table(table) {
                    Ok(table) => write!(out, "{}", schema::describe(table))?,
                    Err(error) => eprintln!("{error}"),
                },
                _ => eprintln!("\\d, \\d TABLE and \\q are what there is"),
            }
            continue;
        }
        waiting.push_str(&line);
        waiting.push('\n');
        if !line.trim_end().ends_with(';') {
            continue;
        }
        let sql = std::mem::take(&mut waiting);
        let _ = editor.add_history_entry(sql.trim());
        for statement in statements(&sql) {
            if let Err(error) = answer(&catalogue, statement, plan.format, &mut *out) {
                eprintln!("{error}");
            }
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        let found: Vec<_> = super::statements("select ';' ; select \"a;b\";; ").collect();
        assert_eq!(found, ["select ';'", "select \"a;b\""]);
    }
}
