//! Tables made on the fly, kept by content: the same capture is dissected once.

use crate::common::Common;
use crate::inputs::Source;
use anyhow::{Context, bail};
use dissect::read::Interface;
use dissect::{Plan, Progress};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Beside the tables: the captures that could not be read, a line for each.
const REFUSED: &str = "refused.txt";

/// Beside them too: the interfaces of each capture, which lead from a packet's row back to how it was captured.
const INTERFACES: &str = "interfaces.json";

/// What is not finished carries this name; older than [`ABANDONED_AFTER`], nobody will finish it.
const MAKING: &str = ".making-";
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Tables of one source.
pub struct Made {
    /// Where they are.
    pub folder: PathBuf,
    /// Captures that could not be read, and why.
    pub refused: Vec<String>,
}

/// Where the cache is: as asked, else below the user's cache folder. It is made.
///
/// # Errors
/// No such place, or one that cannot be made.
pub fn folder(common: &Common) -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let user =
        || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|folder| folder.join("remora"));
    let Some(folder) = common.cache.clone().or_else(user) else {
        bail!("no folder for the cache: set --cache, or HOME")
    };
    fs::create_dir_all(&folder).with_context(|| format!("{}: the cache cannot be made", folder.display()))?;
    Ok(folder)
}

/// What is to be made of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The tables.
    pub tables: BTreeSet<&'static str>,
    /// With the captures' SHA-256, which takes longer than a small table does.
    digests: bool,
}

impl Needs {
    /// What a statement needs: the tables it names, those behind a view it names, and the captures, which tell of loss.
    pub fn of(sql: &str) -> Self {
        let named = query::named(sql);
        let (asks_calls, digests) = (named.contains("calls"), named.contains("captures"));
        let tables = named.into_iter().filter(|name| formats::tables::table(name).is_some());
        let tables = tables.chain(query::behind_calls().filter(|_| asks_calls)).chain(["captures"]).collect();
        Self { tables, digests }
    }

    /// All but what is made on request.
    pub fn usual() -> Self {
        let usual = formats::tables::TABLES.iter().filter(|table| !table.on_request);
        Self { tables: usual.map(|table| table.name).collect(), digests: true }
    }

    /// Whether it has all of `other`.
    pub fn has(&self, other: &Self) -> bool {
        other.tables.is_subset(&self.tables) && self.digests >= other.digests
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.digests |= other.digests;
    }
}

/// The dataset of captures that belong together, dissected where it is not there yet.
///
/// Files of `protos` are part of what the tables are known by, but not what these import.
///
/// # Errors
/// What the disk says, and captures of which not one could be read.
pub fn dataset(source: &Source, needs: &Needs, common: &Common, progress: &dyn Progress) -> anyhow::Result<Made> {
    let cache = folder(common)?;
    let mut key = Sha256::new();
    key.update(env!("CARGO_PKG_VERSION"));
    needs.tables.iter().for_each(|table| key.update(format!("{table},")));
    key.update(if needs.digests { "with digests," } else { "" });
    if let Some(redaction) = &common.redaction {
        key.update(format!("redacted by {},", redaction.label()));
    }
    for path in &common.protos {
        key.update(fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?);
    }
    source.identify(&mut key, &cache)?;
    let key: String = key.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let done = cache.join(key);
    if done.is_dir() {
        // Its age is the time of its last use.
        let _ = fs::File::open(&done).and_then(|folder| folder.set_modified(SystemTime::now()));
        return Ok(made(done));
    }
    let making = tempfile::Builder::new().prefix(MAKING).tempdir_in(&cache)?;
    let mut plan = Plan::new(making.path());
    plan.tables.clone_from(&needs.tables);
    plan.digests = needs.digests;
    plan.threads = common.threads();
    plan.protos = common.protos()?;
    plan.redaction.clone_from(&common.redaction);
    let mut report = dissect::pipeline::dissect(source.unit(&cache), &plan, progress)?;
    if !report.refused.is_empty() && report.captures.is_empty() {
        // It says by itself why.
        bail!("{}", report.refused.remove(0));
    }
    if !report.refused.is_empty() {
        let lines: String = report.refused.iter().map(|refused| format!("{refused}\n")).collect();
        fs::write(making.path().join(REFUSED), lines)?;
    }
    if needs.tables.contains("packets") {
        let interfaces: Vec<(&str, &[Interface])> =
            report.captures.iter().map(|capture| (&*capture.capture, &*capture.interfaces)).collect();
        fs::write(making.path().join(INTERFACES), serde_json::to_vec(&interfaces)?)?;
    }
    // Another run may have been quicker: its tables are the same.
    let making = making.keep();
    if fs::rename(&making, &done).is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    make_room(&cache, &done, common);
    Ok(made(done))
}

impl Made {
    /// The interfaces of each capture, by name; of none where `packets` was not made.
    pub fn interfaces(&self) -> BTreeMap<String, Vec<Interface>> {
        let text = fs::read(self.folder.join(INTERFACES)).unwrap_or_default();
        let interfaces: Vec<(String, Vec<Interface>)> = serde_json::from_slice(&text).unwrap_or_default();
        interfaces.into_iter().collect()
    }
}

fn made(folder: PathBuf) -> Made {
    let refused = fs::read_to_string(folder.join(REFUSED)).unwrap_or_default();
    Made { folder, refused: refused.lines().map(str::to_owned).collect() }
}

/// Removes what was used longest ago, until the bound holds; never what is about to be read.
fn make_room(cache: &Path, keep: &Path, common: &Common) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in entries.filter(|entry| entry.path() != keep) {
        let Ok(used) = entry.metadata().and_then(|folder| folder.modified()) else { continue };
        let unfinished = entry.file_name().to_string_lossy().starts_with(MAKING);
        if !unfinished {
            kept.push((used, bytes_of(&entry.path()), entry.path()));
        } else if used.elapsed().is_ok_and(|age| age > ABANDONED_AFTER) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    kept.sort();
    let bytes_max = common.cache_max_mib << 20;
    let mut total: u64 = bytes_of(keep) + kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
    let mut removed = 0;
    for (_, bytes, path) in kept {
        if total <= bytes_max {
            break;
        }
        let _ = fs::remove_dir_all(path);
        total -= bytes;
        removed += 1;
    }
    if removed > 0 && !common.quiet {
        eprintln!(
            "remora: note: tables of {removed} captures left the cache, which keeps {} MiB (--cache-max-mib)",
            common.cache_max_mib
        );
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
