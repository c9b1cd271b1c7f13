//! `remora schema`: the tables and their columns.

use clap::Args;
use query::schema;
use std::io::Write;
use std::process::ExitCode;

/// Show the tables, or a table's columns with types, units, sources and what NULL means.
#[derive(Args)]
pub struct SchemaArgs {
    /// The table [default: a line for each].
    table: Option<String>,
}

/// Prints them.
pub fn run(args: SchemaArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match args.table {
        None => write!(out, "{}", schema::overview())?,
        Some(name) => write!(out, "{}", schema::describe(schema::table(&name)?))?,
    }
    Ok(ExitCode::SUCCESS)
}
