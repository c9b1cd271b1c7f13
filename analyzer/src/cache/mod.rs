//! Tables made on the fly, kept by content: the same capture is dissected once.

mod claims;

use claims::Claims;

use crate::common::Common;
use crate::inputs::Source;
use crate::say;
use anyhow::{Context, bail};
use dissect::read::Interface;
use dissect::{Plan, Progress, Protos};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Beside the tables: the captures that could not be read, a line for each.
const REFUSED: &str = "refused.txt";

/// Beside them too: the interfaces of each capture, which lead from a packet's row back to how it was captured.
const INTERFACES: &str = "interfaces.json";

/// And the files there are, a line for each with its length: what a power cut or somebody else took away is made anew.
const FILES: &str = "files.txt";

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

/// Where the cache is: as asked, else below the user's cache folder. It is made, for its owner alone.
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
    // Tables of what was encrypted lie there in plain.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("{}: the cache cannot be made", folder.display()))?;
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

/// The cache, and what this process uses of it.
pub struct Cache {
    folder: PathBuf,
    claims: Claims,
    common: Common,
}

impl Cache {
    /// Opens it, where [`folder`] says.
    ///
    /// # Errors
    /// No such place, or one that cannot be written or locked.
    pub fn open(common: &Common) -> anyhow::Result<Self> {
        let folder = folder(common)?;
        let claims = Claims::open(&folder)
            .with_context(|| format!("{}: no use as a cache (--cache names another)", folder.display()))?;
        Ok(Self { folder, claims, common: common.clone() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The dataset of captures that belong together, dissected where it is not there yet. It stays until the cache is
    /// dropped.
    ///
    /// # Errors
    /// What the disk says, and captures of which not one could be read, unless their seals have all that is asked.
    pub fn dataset(&self, source: &Source, needs: &Needs, progress: &dyn Progress) -> anyhow::Result<Made> {
        let protos = self.common.protos()?;
        let name = self.name(source, needs, protos.as_ref())?;
        if let Some(made) = self.kept(&name)? {
            return Ok(made);
        }
        let making = self.making()?;
        let mut plan = Plan::new(making.path());
        plan.tables.clone_from(&needs.tables);
        plan.digests = needs.digests;
        plan.threads = self.common.threads();
        plan.protos = protos;
        plan.redaction.clone_from(&self.common.redaction);
        let mut report = dissect::pipeline::dissect(source.unit(&self.folder), &plan, progress)?;
        let asks_seals = needs.tables.iter().all(|table| matches!(*table, "captures" | "coverage"));
        let seals_answer = asks_seals && !report.files.is_empty();
        if !report.refused.is_empty() && report.captures.is_empty() && !seals_answer {
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
        let lines: String = files(making.path())?.iter().map(|(path, bytes)| format!("{bytes} {path}\n")).collect();
        fs::write(making.path().join(FILES), lines)?;
        let folder = self.folder.join(&name);
        self.claims.alone(|| {
            self.claims.claim(&name)?;
            // Another run may have been quicker: its tables are the same.
            if folder.is_dir() { Ok(()) } else { fs::rename(making.path(), &folder) }
        })?;
        self.make_room()?;
        Ok(made(folder))
    }

    /// What tells tables from all others: what was asked for, and of what.
    fn name(&self, source: &Source, needs: &Needs, protos: Option<&Protos>) -> anyhow::Result<String> {
        let mut key = Sha256::new();
        key.update(env!("CARGO_PKG_VERSION"));
        needs.tables.iter().for_each(|table| key.update(format!("{table},")));
        key.update(if needs.digests { "with digests," } else { "" });
        if let Some(redaction) = &self.common.redaction {
            key.update(format!("redacted by {},", redaction.label()));
        }
        if let Some(protos) = protos {
            key.update(protos.encoded());
        }
        source.identify(&mut key, &self.folder)?;
        Ok(key.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Tables that are there already, as whole as they were made.
    fn kept(&self, name: &str) -> io::Result<Option<Made>> {
        let folder = self.folder.join(name);
        let gone = self.making()?;
        self.claims.alone(|| {
            if !folder.is_dir() {
                return Ok(None);
            }
            if !is_whole(&folder) {
                fs::rename(&folder, gone.path().join(name))?;
                return Ok(None);
            }
            self.claims.claim(name)?;
            // Its age is the time of its last use.
            let _ = fs::File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now()));
            Ok(Some(made(folder.clone())))
        })
    }

    /// A folder for what is not finished, or about to be removed: what is in it when it is dropped goes too.
    fn making(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix(MAKING).tempdir_in(&self.folder)
    }

    /// Removes what was used longest ago, until the bound holds; never what somebody uses, nor what we did not make.
    fn make_room(&self) -> io::Result<()> {
        let mut there: Vec<(SystemTime, u64, String)> = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let Ok(used) = entry.metadata().and_then(|entry| entry.modified()) else { continue };
            if name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                let bytes = files(&path).unwrap_or_default().iter().map(|(_, bytes)| bytes).sum();
                there.push((used, bytes, name));
            } else if name.starts_with(MAKING) && used.elapsed().is_ok_and(|age| age > ABANDONED_AFTER) {
                let _ = fs::remove_dir_all(path);
            }
        }
        there.sort();
        let bytes_max = self.common.cache_max_mib << 20;
        let mut total: u64 = there.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= bytes_max {
            return Ok(());
        }
        let gone = self.making()?;
        let removed = self.claims.alone(|| {
            let used = self.claims.used()?;
            let mut removed = 0;
            for (_, bytes, name) in there.iter().filter(|(.., name)| !used.contains(name)) {
                if total <= bytes_max {
                    break;
                }
                // Another process may have been quicker.
                removed += u64::from(fs::rename(self.folder.join(name), gone.path().join(name)).is_ok());
                total -= bytes;
            }
            Ok(removed)
        })?;
        if removed > 0 {
            say::note(format_args!(
                "tables of {removed} captures left the cache, which keeps {} MiB (--cache-max-mib)",
                self.common.cache_max_mib
            ));
        }
        Ok(())
    }
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

/// Whether the files are there that were, as long as they were.
fn is_whole(folder: &Path) -> bool {
    let is_there = |line: &str| {
        let (bytes, path) = line.split_once(' ')?;
        let file = fs::metadata(folder.join(path)).ok()?;
        (Some(file.len()) == bytes.parse().ok()).then_some(())
    };
    fs::read_to_string(folder.join(FILES)).is_ok_and(|files| files.lines().all(|line| is_there(line).is_some()))
}

/// The files below a folder, by their paths from there on, and their lengths.
fn files(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            match entry.metadata()? {
                inner if inner.is_dir() => folders.push(path),
                file => found.push((path.to_string_lossy().into_owned(), file.len())),
            }
        }
    }
    Ok(found)
}
