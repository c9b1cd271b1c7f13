//! Tables made on the fly, kept by content: the same capture is dissected once.

use crate::cli::{self, Common};
use crate::inputs::Source;
use anyhow::{Context, bail};
use dissect::Plan;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes the cache keeps: what was used longest ago goes first.
const BYTES_MAX: u64 = 4 << 30;

/// Where the cache is: as asked, else below the user's cache folder.
pub fn folder(common: &Common) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let user =
        || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|folder| folder.join("remora"));
    common.cache.clone().or_else(user)
}

/// The tables a statement needs: those it names, those behind a view it names, and those that tell of loss.
pub fn tables_for(sql: Option<&str>) -> BTreeSet<&'static str> {
    let named = |table: &str| sql.is_none_or(|sql| query::loss::mentions(sql, table));
    let calls = sql.is_some_and(|sql| query::loss::mentions(sql, "calls"));
    let behind_calls = |table: &str| calls && matches!(table, "dns" | "http");
    let tables = formats::tables::TABLES
        .iter()
        .filter(|table| (sql.is_some() || !table.on_request) && (named(table.name) || behind_calls(table.name)));
    tables.map(|table| table.name).chain(["captures"]).collect()
}

/// The dataset of captures that belong together, dissected where it is not there yet.
///
/// Files of `protos` are part of what the tables are known by, but not what these import.
pub fn dataset(
    source: Source,
    tables: &BTreeSet<&'static str>,
    protos: &[PathBuf],
    common: &Common,
) -> anyhow::Result<PathBuf> {
    let Some(cache) = folder(common) else { bail!("no folder for the cache: set --cache, or HOME") };
    let mut key = Sha256::new();
    key.update(env!("CARGO_PKG_VERSION"));
    tables.iter().for_each(|table| key.update(format!("{table},")));
    for path in protos {
        hash(path, &mut key)?;
    }
    for path in &source.paths {
        hash(path, &mut key)?;
        // The rows name the capture and, in a store, where it lies.
        key.update(path.as_os_str().as_encoded_bytes());
    }
    let key: String = key.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let done = cache.join(key);
    if done.is_dir() {
        // Its age is the time of its last use.
        let _ = fs::File::open(&done).and_then(|folder| folder.set_modified(SystemTime::now()));
        return Ok(done);
    }
    fs::create_dir_all(&cache).with_context(|| format!("{}: the cache cannot be made", cache.display()))?;
    let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&cache)?;
    let mut plan = Plan::new(making.path());
    plan.tables.clone_from(tables);
    plan.threads = common.threads();
    plan.protos = cli::protos(protos)?;
    let report = dissect::pipeline::dissect(source.unit(), &plan, &())?;
    if let Some(refused) = report.refused.into_iter().next() {
        return Err(refused.into());
    }
    // Another run may have been quicker: its tables are the same.
    let made = making.keep();
    if fs::rename(&made, &done).is_err() {
        let _ = fs::remove_dir_all(&made);
    }
    make_room(&cache, &done);
    Ok(done)
}

fn hash(path: &Path, hash: &mut Sha256) -> anyhow::Result<()> {
    let mut file = fs::File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(|| format!("{}: cannot be read", path.display()))? {
            0 => return Ok(()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Removes what was used longest ago, until the bound holds; never what is about to be read.
fn make_room(cache: &Path, keep: &Path) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut kept: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter(|entry| {
            entry.path().is_dir() && entry.path() != keep && !entry.file_name().to_string_lossy().starts_with('.')
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, bytes_of(&entry.path()), entry.path())))
        .collect();
    kept.sort();
    let mut total: u64 = bytes_of(keep) + kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
    for (_, bytes, path) in kept {
        if total <= BYTES_MAX {
            return;
        }
        let _ = fs::remove_dir_all(path);
        total -= bytes;
    }
}

fn bytes_of(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() { bytes_of(&entry.path()) } else { entry.metadata().map_or(0, |file| file.len()) }
        })
        .sum()
}
