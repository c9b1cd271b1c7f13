//! `--redact`: what nobody is to read in the rows.

use crate::common::Common;
use crate::inputs::Found;
use anyhow::{Context, bail};
use clap::Args;
use dissect::limits::REDACT_RULES_BYTES_MAX;
use dissect::redact::{BUILTIN, Redaction};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which rules to follow.
#[derive(Args, Debug, Clone, Default)]
pub struct RedactArgs {
    /// Replace by '[redacted]' what the rules of this YAML file name (headers, cookies, parameters, fields of JSON,
    /// Redis keys), or what nearly everybody hides with 'builtin'; may be given several times. What a rule cannot be
    /// applied to, as a JSON body that is cut, is left out. 'anomalies' of the room 'redact' tell what was hidden.
    #[arg(long, env = "REMORA_REDACT", value_delimiter = ',', value_name = "FILE|builtin")]
    redact: Vec<PathBuf>,
}

impl RedactArgs {
    /// The flags of every command, with these rules.
    ///
    /// # Errors
    /// Files that are not there, or rules that cannot be followed.
    pub fn with(&self, common: &Common) -> anyhow::Result<Common> {
        if self.redact.is_empty() {
            return Ok(common.clone());
        }
        let mut rules = Redaction::default();
        for path in &self.redact {
            let shown = path.display();
            let text = if path == Path::new("builtin") {
                BUILTIN.to_owned()
            } else {
                read(path).with_context(|| format!("{shown}: cannot be read"))?
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            rules.add(&name, &text).with_context(|| shown.to_string())?;
        }
        Ok(Common { redaction: Some(Arc::new(rules)), ..common.clone() })
    }
}

/// One byte more than there may be: then its length is refused.
fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(REDACT_RULES_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Rows that are there already cannot be redacted any more.
///
/// # Errors
/// A dataset among the inputs, where there are rules.
pub fn refuse_datasets(found: &Found, common: &Common) -> anyhow::Result<()> {
    match found.datasets.first() {
        Some(dataset) if common.redaction.is_some() => bail!(
            "{dataset:?} is a dataset: its rows are as they were made; redact while dissecting the captures (remora \
             dissect --redact)"
        ),
        _ => Ok(()),
    }
}
