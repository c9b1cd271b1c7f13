//! Captures on this machine: files, folders, globs.

use super::capture::{Capture, Place};
use super::{COMPRESSED, ENDINGS, Found, recorded, seals, to_read};
use crate::keys::{Keys, is_decrypted};
use anyhow::{Context, bail};
use dissect::Origin;
use formats::seal::SEAL_BYTES_MAX;
use formats::store::FileName;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Adds the captures behind a path or pattern.
pub fn find(input: &Path, found: &mut Found) -> anyhow::Result<()> {
    let captures =
        paths(input, &mut found.warnings)?.into_iter().map(|path| capture(path, &mut found.warnings)).collect();
    found.add(captures);
    Ok(())
}

/// A capture with what lies beside it.
fn capture(path: PathBuf, warnings: &mut Vec<String>) -> Capture {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let (mut recipients, mut is_close) = (Vec::new(), false);
    let origin = recorded(&path).map_or_else(Origin::default, |(id, file)| {
        let mut origin = seals::origin(&id);
        is_close = file == FileName::Close;
        let place = |name: &FileName| path.with_file_name(name.to_string());
        let speakers = seals::speakers(&file, |name| place(name).exists());
        match seals::told(&id, &file, speakers, |name| read_ledger(&place(&name))) {
            Ok(told) => (origin.not_kept, recipients) = (told.not_kept, told.recipients),
            Err(error) => warnings.push(format!("{}: {error}", path.display())),
        }
        origin
    });
    let place = if is_close { Place::Nothing } else { Place::File(path) };
    Capture { name, origin, recipients, keys: Keys::default(), place }
}

/// A seal or `close.json`, no more of it than one can be long; none where there is none.
fn read_ledger(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(SEAL_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn paths(input: &Path, warnings: &mut Vec<String>) -> anyhow::Result<Vec<PathBuf>> {
    let shown = input.display();
    if input.is_dir() {
        let mut found = Vec::new();
        files_in(input, &mut found).with_context(|| format!("{shown}: folder cannot be read"))?;
        found = to_read(&shown.to_string(), found, |path| path, warnings);
        found.retain(|path| !is_decrypted(path, Path::exists));
        if found.is_empty() {
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
    let fit = glob::glob(&input.to_string_lossy());
    let mut found: Vec<PathBuf> =
        fit.map(|fit| fit.flatten().filter(|path| path.is_file()).collect()).unwrap_or_default();
    let all = found.clone();
    found.retain(|path| !is_decrypted(path, |plain| all.iter().any(|other| other == plain)));
    if found.is_empty() {
        bail!("{shown}: no such file or folder, and no file fits it as a pattern");
    }
    Ok(found)
}

fn files_in(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // A link to a folder may lead back up.
        if entry.file_type()?.is_dir() {
            files_in(&path, found)?;
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}
