//! `remora sql`: answers SQL over captures and datasets.

use super::answer::{OutputArgs, Session, answer};
use super::prompt;
use super::redact::RedactArgs;
use crate::cache::Needs;
use crate::common::Common;
use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use query::output::Format;
use query::statements;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Answer SQL over captures, recordings and datasets.
///
/// Captures are dissected on the fly, into a cache by content; only the tables the SQL names are made. Without SQL
/// a prompt opens (or statements are read from standard input in a pipe). A note on standard error says when the
/// answer was touched by loss. The exit code is 0 with rows, 1 without, 2 after an error.
#[derive(Args)]
#[command(after_help = "Examples:
  remora sql traffic.pcap \"select method, path, status, count(*) from http group by 1, 2, 3\"
  remora sql dataset/ \"select operation, status, latency_ms from calls order by latency_ms desc limit 10\"
  remora sql s3://recordings/prod/nightly \"select stage, reason, sum(packets) from coverage group by 1, 2\"
  remora sql *.pcapng.zst --format ndjson -e \"select * from dns where rcode = 'NXDOMAIN'\"
  tcpdump -w - -c 100 | remora sql - \"select operation, status from calls\"")]
pub struct SqlArgs {
    /// Captures, recordings or datasets (files, folders, globs, '-' for standard input, s3:// and other URLs), and
    /// the SQL as the last argument.
    #[arg(required = true, value_name = "INPUT… [SQL]")]
    words: Vec<String>,
    /// The SQL, where it is not the last argument.
    #[arg(long, short, env = "REMORA_SQL", value_name = "SQL")]
    execute: Option<String>,
    /// File with the SQL.
    #[arg(long, short, env = "REMORA_SQL_FILE", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    redact: RedactArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is meant.
pub struct SqlPlan {
    inputs: Vec<String>,
    /// None opens a prompt.
    sql: Option<String>,
    output: OutputArgs,
    common: Common,
}

/// Which of `--execute` and `--file` were typed rather than set in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    execute: bool,
    file: bool,
}

/// What was typed of this command.
pub fn typed(matches: &ArgMatches) -> Typed {
    let typed = |name: &str| {
        let of_sql = matches.subcommand_matches("sql");
        of_sql.is_some_and(|of_sql| of_sql.value_source(name) == Some(ValueSource::CommandLine))
    };
    Typed { execute: typed("execute"), file: typed("file") }
}

impl SqlArgs {
    /// Tells inputs from SQL. What was typed is meant, whatever the environment says.
    pub fn resolve(mut self, common: &Common, typed: Typed) -> anyhow::Result<SqlPlan> {
        let is_typed = typed.execute || typed.file;
        let mut sql = None;
        if !is_typed && self.words.last().is_some_and(|last| is_sql(last)) {
            sql = self.words.pop();
        }
        let execute = self.execute.filter(|_| sql.is_none() && (typed.execute || !is_typed));
        let file = self.file.filter(|_| sql.is_none() && (typed.file || !is_typed));
        match (execute, file) {
            (Some(_), Some(_)) => bail!("the SQL stands in two places: give --execute or --file"),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(&file);
                sql = Some(text.with_context(|| format!("{}: cannot be read", file.display()))?);
            }
            (execute, None) => sql = sql.or(execute),
        }
        if self.words.is_empty() {
            bail!("no input; name captures or a dataset before the SQL");
        }
        if sql.is_none() && self.words.iter().any(|input| input == "-") {
            bail!("standard input is the capture: give the SQL as last argument, or with --file");
        }
        let common = self.redact.with(common)?;
        Ok(SqlPlan { inputs: self.words, sql, output: self.output, common })
    }
}

/// SQL has white space; a file of that name would be an input.
fn is_sql(word: &str) -> bool {
    word.contains(char::is_whitespace) && !Path::new(word).exists()
}

/// Runs the statements.
pub fn run(plan: SqlPlan, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    let sql = match plan.sql {
        Some(sql) => sql,
        None if std::io::stdin().is_terminal() => {
            if plan.output.output.is_some() || plan.output.form()? == Format::Parquet {
                bail!(
                    "a prompt takes several statements, and one file the answer of one: give the SQL as last argument"
                );
            }
            let session = Session::open(&plan.inputs, Needs::usual(), &plan.output, &plan.common)?;
            return prompt::run(session, &plan.output, &plan.common, out);
        }
        None => {
            let mut sql = String::new();
            std::io::stdin().read_to_string(&mut sql)?;
            sql
        }
    };
    // Some editors put a byte order mark in front.
    let sql = sql.trim_start_matches('\u{feff}');
    if !plan.output.takes_several()? && statements(sql).len() > 1 {
        bail!(
            "one file takes the answer of one statement; there are several (as table, CSV or NDJSON answers may follow one another on standard output)"
        );
    }
    let session = Session::open(&plan.inputs, Needs::of(sql), &plan.output, &plan.common)?;
    let mut rows = 0;
    for statement in statements(sql) {
        rows += answer(session.catalogue(), statement, &plan.output, out)?;
    }
    session.say_what_lacks(sql);
    Ok(session.exit(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn what_was_typed_is_meant() {
        let common = Cli::try_parse_from(["remora", "schema"]).unwrap().common;
        // With `-e` typed, else from the environment; so for `-f`.
        for (words, execute, file, typed, want) in [
            (&["a.pcap", "select 1"][..], Some("select 2"), Some("no file"), (false, false), "select 1"),
            (&["a.pcap"], Some("select 2"), Some("no file"), (true, false), "select 2"),
            (&["a.pcap"], Some("select 2"), Some("no file"), (false, true), "no file: cannot be read"),
            (&["a.pcap"], Some("select 2"), None, (false, false), "select 2"),
            (&["a.pcap", "select 1"], Some("select 2"), None, (true, false), "select 2"),
            (&["a.pcap"], Some("select 2"), Some("no file"), (true, true), "two places"),
            (&["a.pcap"], Some("select 2"), Some("no file"), (false, false), "two places"),
        ] {
            let args = SqlArgs {
                words: words.iter().map(|&word| word.to_owned()).collect(),
                execute: execute.map(str::to_owned),
                file: file.map(PathBuf::from),
                redact: RedactArgs::default(),
                output: OutputArgs::default(),
            };
            let typed = Typed { execute: typed.0, file: typed.1 };
            let said = match args.resolve(&common, typed) {
                Ok(plan) => plan.sql.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(want), "{words:?} {typed:?}: {said}");
        }
    }

    #[test]
    fn sql_is_told_from_inputs() {
        assert!(is_sql("select 1"));
        assert!(!is_sql("traffic.pcap"));
    }
}
