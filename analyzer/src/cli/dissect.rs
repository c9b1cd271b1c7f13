//! `remora dissect`: captures to a dataset.

use super::bar::Bar;
use super::redact::RedactArgs;
use crate::common::{Common, FAILED};
use crate::{cache, inputs, say};
use anyhow::bail;
use clap::Args;
use dissect::{Plan, Unit};
use formats::tables;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn captures into a dataset: a folder of Parquet tables.
///
/// Damage is counted and warned of, and the rest is read. The exit code is 0 when every input was read to its
/// end or its damage, 2 when one could not be read at all (the others still are).
#[derive(Args)]
pub struct DissectArgs {
    /// Captures or recordings: files, folders, globs, '-' for standard input, s3:// and other URLs. Plain or with
    /// gzip, zstd, lz4.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// Folder of the dataset; tables are added to what is there.
    #[arg(long, short, env = "REMORA_OUT", value_name = "DATASET")]
    out: PathBuf,
    /// Tables to make, separated by commas [default: all but 'packets' and 'spans'].
    #[arg(long, env = "REMORA_TABLES", value_delimiter = ',', value_name = "TABLE")]
    tables: Vec<String>,
    /// Most of a body that a row keeps, such as 65536 or 4MiB; 0 keeps none.
    #[arg(long, env = "REMORA_BODY_LIMIT", default_value_t = dissect::limits::BODY_BYTES_DEFAULT, value_name = "BYTES",
        value_parser = body_limit)]
    body_limit: usize,
    #[command(flatten)]
    redact: RedactArgs,
}

fn body_limit(text: &str) -> Result<usize, String> {
    let bytes = formats::size::bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "write 0, 65536, 64KiB or 4MiB".to_owned())
}

/// What is meant.
pub struct DissectPlan {
    /// Inputs that could not be read.
    failed: usize,
    units: Vec<Unit>,
    plan: Plan,
    quiet: bool,
}

impl DissectArgs {
    /// Checks names and finds the captures.
    pub fn resolve(self, common: &Common) -> anyhow::Result<DissectPlan> {
        let mut plan = Plan::new(self.out);
        if !self.tables.is_empty() {
            plan.tables = self.tables.iter().map(|name| table_name(name)).collect::<anyhow::Result<BTreeSet<_>>>()?;
        }
        plan.redaction = self.redact.with(common)?.redaction;
        if plan.redaction.is_some() {
            // It says by which rules.
            plan.tables.insert("captures");
        }
        plan.body_bytes_max = self.body_limit;
        plan.protos = common.protos()?;
        plan.threads = common.threads();
        let found = inputs::find(&self.inputs, &common.keys()?)?;
        if let Some(dataset) = found.datasets.first() {
            bail!("{dataset:?} is a dataset already");
        }
        found.warnings.iter().for_each(say::warning);
        found.failed.iter().for_each(say::error);
        // Only what a store holds needs the folder.
        let spool = cache::folder(common).unwrap_or_else(|_| std::env::temp_dir());
        let units = found.sources.iter().map(|source| source.unit(&spool)).collect();
        Ok(DissectPlan { failed: found.failed.len(), units, plan, quiet: common.quiet })
    }
}

fn table_name(name: &str) -> anyhow::Result<&'static str> {
    match tables::table(name.trim()) {
        Some(table) => Ok(table.name),
        None => {
            let known: Vec<_> = tables::TABLES.iter().map(|table| table.name).collect();
            bail!("no table is called '{name}'; there are {}", known.join(", "))
        }
    }
}

/// Dissects unit by unit.
pub fn run(plan: DissectPlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bar = Bar::new(plan.quiet);
    let (mut refused, mut packets, mut rows) = (plan.failed, 0, 0);
    for unit in plan.units {
        let report = dissect::pipeline::dissect(unit, &plan.plan, &bar)?;
        for error in &report.refused {
            refused += 1;
            bar.0.suspend(|| say::error(error));
        }
        for capture in &report.captures {
            packets += capture.packets;
            for damage in &capture.damage {
                let line = format!(
                    "{}: {} at byte {}: {} bytes gave no packet {}",
                    capture.capture, damage.kind, damage.at_byte, damage.bytes, damage.detail
                );
                bar.0.suspend(|| say::warning(line.trim_end()));
            }
        }
        rows += report.rows.iter().map(|(_, rows)| rows).sum::<u64>();
    }
    drop(bar);
    if !plan.quiet {
        writeln!(out, "{packets} packets, {rows} rows in {}", plan.plan.out.display())?;
    }
    Ok(if refused > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}
