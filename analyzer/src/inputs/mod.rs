//! What a command was pointed at becomes captures: files, folders, globs, standard input.

use anyhow::{Context, bail};
use dissect::{Input, Origin, Unit};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Endings of captures that are looked for in a folder; a file that is named is read whatever its ending.
const ENDINGS: [&str; 5] = [".pcap", ".pcapng", ".cap", ".dmp", ".ntar"];

/// Endings of compression behind these.
const COMPRESSED: [&str; 4] = ["", ".gz", ".zst", ".lz4"];

/// The captures behind `inputs`, one unit each.
///
/// # Errors
/// An input that is not there, or a folder or glob without captures.
pub fn units(inputs: &[String]) -> anyhow::Result<Vec<Unit>> {
    let mut units = Vec::new();
    for input in inputs {
        if input == "-" {
            units.push(Unit {
                inputs: vec![Input {
                    name: "stdin".into(),
                    origin: Origin::default(),
                    open: Box::new(|| Ok(Box::new(io::stdin()))),
                }],
            });
            continue;
        }
        for path in paths(input)? {
            units.push(Unit { inputs: vec![file(path)] });
        }
    }
    Ok(units)
}

/// A capture in a file.
pub fn file(path: PathBuf) -> Input {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Input { name, origin: Origin::default(), open: Box::new(move || Ok(Box::new(File::open(path)?))) }
}

/// The files behind `inputs`.
///
/// # Errors
/// As [`units`]; standard input is no file.
pub fn files(inputs: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if input == "-" {
            bail!("standard input cannot be asked twice: dissect it first, with remora dissect - -o DATASET");
        }
        files.extend(paths(input)?);
    }
    Ok(files)
}

fn paths(input: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(input);
    if path.is_dir() {
        let mut found = Vec::new();
        captures_in(path, &mut found).with_context(|| format!("{input}: folder cannot be read"))?;
        if found.is_empty() {
            bail!("{input}: no capture in this folder (looked for {} and their compressed forms)", ENDINGS.join(", "));
        }
        found.sort();
        return Ok(found);
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let found: Vec<PathBuf> =
        glob::glob(input).map(|found| found.flatten().filter(|path| path.is_file()).collect()).unwrap_or_default();
    if found.is_empty() {
        bail!("{input}: no such file or folder, and no file fits it as a pattern");
    }
    Ok(found)
}

fn captures_in(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            captures_in(&path, found)?;
        } else if is_capture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_capture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.iter().any(|ending| COMPRESSED.iter().any(|packed| name.ends_with(&format!("{ending}{packed}"))))
}
