//! What `sql`, `flows`, `calls` and `carve` share: inputs opened as tables, answers written down.

use super::bar::Bar;
use super::place;
use super::redact::refuse_datasets;
use crate::cache::{Cache, Needs};
use crate::common::{Common, FAILED};
use crate::inputs::{self, Found};
use crate::say;
use anyhow::bail;
use clap::{Args, ValueEnum};
use formats::said::once;
use formats::tables::{TABLES, Table};
use query::output::{Format, Printer};
use query::{Catalogue, Dataset, behind_calls, named};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How an answer is written, and where.
#[derive(Args, Debug, Clone, Default)]
pub struct OutputArgs {
    /// How rows are written [default: by the ending of OUT, else table].
    #[arg(long, env = "REMORA_FORMAT", value_enum, value_name = "FORMAT")]
    pub format: Option<FormatArg>,
    /// File to write to [default: standard output].
    #[arg(long, short, env = "REMORA_OUTPUT", value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// How rows are written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
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

impl OutputArgs {
    /// The form meant.
    ///
    /// # Errors
    /// Parquet on a terminal, and an ending that promises what we do not write.
    pub fn form(&self) -> anyhow::Result<Format> {
        let ending = self.output.as_ref().and_then(|path| path.extension()).map(|ending| ending.to_ascii_lowercase());
        let by_ending = match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("csv") => Format::Csv,
            Some("json") => Format::Json,
            Some("jsonl" | "ndjson") => Format::Ndjson,
            Some("parquet") => Format::Parquet,
            None | Some("log" | "out" | "text" | "txt") => Format::Table,
            Some(_) if self.format.is_some() => Format::Table,
            Some(_) => bail!(
                "{}: we write .csv, .json, .ndjson, .parquet and text (.txt); --format says what another ending means",
                self.output.as_deref().unwrap_or(Path::new("")).display()
            ),
        };
        let form = self.format.map_or(by_ending, Format::from);
        if form == Format::Parquet && self.output.is_none() && std::io::stdout().is_terminal() {
            bail!("Parquet is nothing for a terminal: name a file with --output");
        }
        Ok(form)
    }

    /// Whether answers may follow one another. Several JSON arrays are no JSON, and several Parquet files no Parquet.
    ///
    /// # Errors
    /// As [`Self::form`].
    pub fn takes_several(&self) -> anyhow::Result<bool> {
        Ok(self.output.is_none() && !matches!(self.form()?, Format::Json | Format::Parquet))
    }
}

/// Inputs, opened as tables. More tables are made when a statement needs them.
pub struct Session {
    found: Found,
    needs: Needs,
    catalogue: Catalogue,
    /// Where the captures' tables are; none where there are no captures.
    cache: Option<Cache>,
    common: Common,
    refused: BTreeSet<String>,
}

impl Session {
    /// Finds the inputs and makes what is needed of those that are captures.
    ///
    /// # Errors
    /// Inputs that are not there, of which nothing can be read, or one that `output` would replace.
    pub fn open(inputs: &[String], needs: Needs, output: &OutputArgs, common: &Common) -> anyhow::Result<Self> {
        let mut found = inputs::find(inputs, &common.keys()?)?;
        refuse_datasets(&found, common)?;
        if let Some(output) = &output.output {
            place::refuse_input(&found, output)?;
        }
        found.warnings.iter().for_each(say::warning);
        found.failed.iter().for_each(say::error);
        let cache = if found.sources.is_empty() { None } else { Some(Cache::open(common)?) };
        if let Some(cache) = &cache {
            found.sources.iter_mut().try_for_each(|source| source.spool(cache.folder()))?;
        }
        let mut refused = found.failed.iter().cloned().collect();
        let catalogue = catalogue(&found, cache.as_ref(), &needs, common, &mut refused)?;
        Ok(Self { found, needs, catalogue, cache, common: common.clone(), refused })
    }

    /// The tables, with all that `sql` names.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with(&mut self, sql: &str) -> anyhow::Result<&Catalogue> {
        let needs = Needs::of(sql);
        if !self.needs.has(&needs) && !self.found.sources.is_empty() {
            self.needs.add(needs);
            let cache = self.cache.as_ref();
            self.catalogue = catalogue(&self.found, cache, &self.needs, &self.common, &mut self.refused)?;
        }
        Ok(&self.catalogue)
    }

    /// The tables as they are.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Says on standard error what an answer to `sql` lacks.
    pub fn say_what_lacks(&self, sql: &str) {
        if self.common.quiet {
            return;
        }
        lacking(sql, &self.found.datasets).iter().for_each(say::note);
        if let Some(lost) = self.catalogue.loss(sql, self.found.lost()) {
            say::note(lost);
        }
    }

    /// 0 with rows, 1 without; 2 when a capture or a folder could not be read, though the others answered.
    pub fn exit(&self, rows: u64) -> ExitCode {
        match rows {
            _ if !self.refused.is_empty() => ExitCode::from(FAILED),
            0 => ExitCode::from(1),
            _ => ExitCode::SUCCESS,
        }
    }
}

/// Of tables that a statement names and that datasets do not have: no rows may mean that nobody made them.
fn lacking(sql: &str, datasets: &[Dataset]) -> Vec<String> {
    let named = named(sql);
    let lack = |tables: &[&str]| {
        let lack = datasets.iter().filter(|dataset| !tables.iter().any(|table| dataset.has(table))).count();
        match (lack, datasets.len()) {
            (0, _) => None,
            (_, 1) => Some("the dataset has".to_owned()),
            (lack, all) => Some(format!("{lack} of {all} datasets have")),
        }
    };
    let of_table = |table: &Table| {
        let why = match table.on_request {
            true => format!("it is made on request, by remora dissect --tables {}", table.name),
            false => "it was not made, or has no rows".to_owned(),
        };
        lack(&[table.name]).map(|have| format!("{have} no '{}': {why}", table.name))
    };
    let tables = TABLES.iter().filter(|table| named.contains(table.name)).filter_map(of_table);
    let behind: Vec<&str> = behind_calls().collect();
    let calls = named.contains("calls").then(|| lack(&behind)).flatten();
    tables.chain(calls.map(|have| format!("{have} none of the tables behind 'calls': {}", behind.join(", ")))).collect()
}

fn catalogue(
    found: &Found,
    cache: Option<&Cache>,
    needs: &Needs,
    common: &Common,
    refused: &mut BTreeSet<String>,
) -> anyhow::Result<Catalogue> {
    let mut datasets = found.datasets.clone();
    let bar = Bar::new(common.quiet);
    let several = found.sources.len() + found.datasets.len() > 1;
    let mut failed = None;
    // There is one where there are sources.
    for (source, cache) in found.sources.iter().zip(cache.into_iter().cycle()) {
        let (made, said) = match cache.dataset(source, needs, &bar) {
            Ok(made) => (Some(made.folder), made.refused),
            Err(error) => {
                // Of the only input it is the error of the command.
                let said = several.then(|| once(error.chain())).into_iter().collect();
                failed = Some(error);
                (None, said)
            }
        };
        datasets.extend(made.map(Dataset::Folder));
        for error in said {
            if refused.insert(error.clone()) {
                bar.0.suspend(|| say::error(error));
            }
        }
    }
    drop(bar);
    match failed {
        Some(error) if datasets.is_empty() => Err(error),
        _ => Ok(Catalogue::open(&datasets, common.memory_max_mib, common.threads())?),
    }
}

/// Answers one statement into a file, or into `out`; returns how many rows there were.
///
/// # Errors
/// What is wrong with the SQL, the tables or the place; then a file that was there is as it was.
pub fn answer(
    catalogue: &Catalogue,
    sql: &str,
    output: &OutputArgs,
    out: &mut (impl Write + Send),
) -> anyhow::Result<u64> {
    let form = output.form()?;
    match &output.output {
        Some(path) => place::write(path, |file| print(catalogue, sql, form, std::future::pending(), file)),
        None => print(catalogue, sql, form, std::future::pending(), out),
    }
}

/// Answers one statement into `out`, until `stop` is ready; returns how many rows there were.
///
/// # Errors
/// What is wrong with the SQL, the tables or `out`.
pub fn print(
    catalogue: &Catalogue,
    sql: &str,
    form: Format,
    stop: impl Future<Output = ()>,
    out: impl Write + Send,
) -> anyhow::Result<u64> {
    let mut printer = Printer::new(form, out);
    let rows = catalogue.answer_until(sql, stop, |batch| printer.batch(batch))?;
    printer.finish()?;
    Ok(rows)
}
