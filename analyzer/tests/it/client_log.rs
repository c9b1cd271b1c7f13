//! Every case of `testdata/pcaps` that has its client's own log: the rows are what the client says it did.
//!
//! A line of `client.jsonl` is a row: the table, and columns with what they must hold. `<column>_sha256` is the hash
//! of what a column holds, for bodies too long to write down; `latency_ms` is the time as the client measured it,
//! which is never shorter than on the wire. A line `{"table":…,"only":"SQL condition"}` says which rows the log is about.

use crate::slt::{REMORA, cases, input};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Row = Map<String, Value>;

/// What a log says of one table.
#[derive(Default)]
struct Said {
    only: Option<String>,
    rows: Vec<Row>,
}

#[test]
fn the_rows_are_what_the_client_did() {
    let mut compared = 0;
    for case in cases().iter().filter(|case| case.join("client.jsonl").is_file()) {
        let cache = tempfile::tempdir().unwrap();
        for (table, said) in log(&case.join("client.jsonl")) {
            let condition = said.only.as_deref().unwrap_or("true");
            let mut found = ask(&input(case), cache.path(), &format!("select * from {table} where {condition}"));
            for wanted in &said.rows {
                let at = found.iter().position(|row| is_it(row, wanted));
                let at = at.unwrap_or_else(|| {
                    let left: Vec<_> = found.iter().map(|row| shown(row, wanted)).collect();
                    panic!("{}: no row of {table} is {wanted:?}; left are\n{}", case.display(), left.join("\n"))
                });
                found.swap_remove(at);
                compared += 1;
            }
            assert!(found.is_empty(), "{}: {table} has rows the client knows nothing of: {found:?}", case.display());
        }
    }
    eprintln!("{compared} rows compared");
}

fn log(path: &Path) -> BTreeMap<String, Said> {
    let mut tables: BTreeMap<String, Said> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut row: Row =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
        let table =
            row.remove("table").and_then(|table| table.as_str().map(str::to_owned)).expect("a line names its table");
        let said = tables.entry(table).or_default();
        match row.remove("only") {
            Some(only) => said.only = only.as_str().map(str::to_owned),
            None => said.rows.push(row),
        }
    }
    tables
}

fn ask(input: &Path, cache: &Path, sql: &str) -> Vec<Row> {
    let mut command = Command::new(REMORA);
    command.args(["sql", "--quiet", "--format", "ndjson", "--execute", sql, "--cache"]).arg(cache).arg(input);
    let run = command.output().unwrap();
    assert_ne!(run.status.code(), Some(2), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8(run.stdout).unwrap();
    lines.lines().map(|line| without_nulls(serde_json::from_str(line).unwrap())).collect()
}

/// What clients log leaves out what is not there.
fn without_nulls(row: Row) -> Row {
    let kept = row.into_iter().filter(|(_, value)| !value.is_null());
    let inner = kept.map(|(name, value)| {
        let value = match value {
            Value::Object(inner) => Value::Object(without_nulls(inner)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::Object(inner) => Value::Object(without_nulls(inner)),
                    other => other,
                })
                .collect(),
            other => other,
        };
        (name, value)
    });
    inner.collect()
}

/// Whether a row holds all that is wanted of it.
fn is_it(row: &Row, wanted: &Row) -> bool {
    wanted.iter().all(|(name, wanted)| {
        // Of certificates and persisted documents the hash is a column itself.
        let of_column = name.strip_suffix("_sha256").filter(|_| wanted.is_string() && !row.contains_key(name));
        if let Some(column) = of_column {
            return wanted.as_str() == Some(&hash(row.get(column)));
        }
        let held = row.get(name).unwrap_or(&Value::Null);
        match (name.as_str(), held, wanted) {
            ("latency_ms", Value::Number(held), Value::Number(wanted)) => held.as_f64() <= wanted.as_f64(),
            // JSON text is compared by what it says.
            (_, Value::String(held), Value::Object(_) | Value::Array(_)) => {
                serde_json::from_str::<Value>(held).is_ok_and(|held| held == *wanted)
            }
            _ => held == wanted,
        }
    })
}

fn shown(row: &Row, wanted: &Row) -> String {
    let part: Row = row
        .iter()
        .filter(|(name, _)| wanted.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(part).to_string()
}

/// SHA-256 of a text or of binary, which JSON has in hexadecimal.
fn hash(held: Option<&Value>) -> String {
    let text = held.and_then(Value::as_str).unwrap_or_default();
    let hexadecimal = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes: Vec<u8> = if hexadecimal {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    } else {
        text.as_bytes().to_vec()
    };
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
