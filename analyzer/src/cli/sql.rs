//! `remora sql`: answers SQL over captures and datasets.

use super::answer::{OutputArgs, Session, answer};
use super::prompt;
use super::redact::RedactArgs;
use super::statements::statements;
use crate::cache::Needs;
use crate::common::Common;
use anyhow::{Context, bail};
use clap::Args;
use query::output::Format;
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
    #[arg(long, short, env = "REMORA_SQL_FILE", value_name = "FILE", conflicts_with = "execute")]
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

impl SqlArgs {
    /// Tells inputs from SQL.
    pub fn resolve(mut self, common: &Common) -> anyhow::Result<SqlPlan> {
        let mut sql = self.execute;
        if let Some(file) = &self.file {
            sql = Some(std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?);
        }
        if sql.is_none() && self.words.last().is_some_and(|last| is_sql(last)) {
            sql = self.words.pop();
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
    if !plan.output.takes_several()? && statements(&sql).count() > 1 {
        bail!(
            "one file takes the answer of one statement; there are several (as table, CSV or NDJSON answers may follow one another on standard output)"
        );
    }
    let session = Session::open(&plan.inputs, Needs::of(&sql), &plan.output, &plan.common)?;
    let mut rows = 0;
    for statement in statements(&sql) {
        rows += answer(session.catalogue(), statement, &plan.output, out)?;
    }
    session.say_what_lacks(&sql);
    Ok(session.exit(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_told_from_inputs() {
        assert!(is_sql("select 1"));
        assert!(!is_sql("traffic.pcap"));
    }
}
