//! Captures on this machine: files, folders, globs.

use super::capture::{Capture, Place};
use super::seals::{self, Recording, Told};
use super::{COMPRESSED, ENDINGS, Found, recordings, to_read};
use crate::keys::{Keys, is_decrypted};
use anyhow::bail;
use formats::seal::SEAL_BYTES_MAX;
use std::collections::BTreeMap;
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Adds the captures behind a path or pattern.
pub fn find(input: &Path, found: &mut Found) -> anyhow::Result<()> {
    let paths = paths(input, found)?;
    let mut told = told(&paths, &mut found.warnings);
    let captures = paths.into_iter().map(|path| {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let (origin, recipients, is_close) = seals::origin(&path, told.remove(&path));
        let place = if is_close { Place::Nothing } else { Place::File(path) };
        Capture { name, origin, recipients, keys: Keys::default(), place }
    });
    let captures = captures.collect();
    found.add(captures);
    Ok(())
}

/// What lies beside captures of recordings says of them.
fn told(paths: &[PathBuf], warnings: &mut Vec<String>) -> BTreeMap<PathBuf, Told> {
    let mut told = BTreeMap::new();
    for (folder, (id, read)) in recordings(paths.iter().map(PathBuf::as_path)) {
        // What cannot be listed is told of each segment: its seal is not there.
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let there = names.filter_map(|name| name.to_str()?.parse().ok()).chain(read.iter().cloned()).collect();
        let recording = Recording { id, shown: folder.display().to_string(), there, read };
        let ledgers = recording.wanted().into_iter().map(|name| {
            let ledger = recording.ledger(&name, read_ledger(&folder.join(name.to_string())));
            (name, ledger)
        });
        let of_files = recording.told(&ledgers.collect(), warnings);
        told.extend(recording.read.iter().map(|file| folder.join(file.to_string())).zip(of_files));
    }
    told
}

/// A seal or `close.json`, no more of it than one can be long.
fn read_ledger(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SEAL_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn paths(input: &Path, Found { warnings, failed, .. }: &mut Found) -> anyhow::Result<Vec<PathBuf>> {
    let shown = input.display();
    if input.is_dir() {
        let before = failed.len();
        let mut found = files_in(input, failed);
        found = to_read(&shown.to_string(), found, |path| path, warnings);
        found.retain(|path| !is_decrypted(path, Path::exists));
        if found.is_empty() {
            if failed.len() > before {
                bail!("{}", failed.remove(before));
            }
            bail!(
                "{shown}: no capture in this folder (looked for {}, and with {})",
                ENDINGS.join(", "),
                COMPRESSED[1..].join(", ")
            );
        }
        found.sort();
        return Ok(found);
    }
    if input.exists() {
        return Ok(vec![input.to_owned()]);
    }
    let mut found = Vec::new();
    for fit in glob::glob(&input.to_string_lossy()).into_iter().flatten() {
        match fit {
            Ok(path) if path.is_file() => found.push(path),
            Ok(_) => {}
            Err(error) => failed.push(unreadable(error.path(), error.error())),
        }
    }
    let all = found.clone();
    found.retain(|path| !is_decrypted(path, |plain| all.iter().any(|other| other == plain)));
    if found.is_empty() {
        bail!("{shown}: no such file or folder, and no file fits it as a pattern");
    }
    Ok(found)
}

/// The files below a folder; of folders that cannot be read it is told that they failed, and the others are looked into.
fn files_in(folder: &Path, failed: &mut Vec<String>) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let entries = entries.unwrap_or_else(|error| {
            failed.push(unreadable(&folder, &error));
            Vec::new()
        });
        for entry in entries {
            let path = entry.path();
            // A link to a folder may lead back up.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

fn unreadable(folder: &Path, error: &io::Error) -> String {
    format!("{}: folder cannot be read: {error}", folder.display())
}
