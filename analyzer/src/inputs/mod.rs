//! What a command was pointed at becomes captures: files, folders, globs, standard input.

use anyhow::{Context, bail};
use dissect::{Input, Origin, Unit};
use formats::store::{RecordingId, TLS};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Endings of captures that are looked for in a folder; a file that is named is read whatever its ending.
const ENDINGS: [&str; 5] = [".pcap", ".pcapng", ".cap", ".dmp", ".ntar"];

/// Endings of compression behind these.
const COMPRESSED: [&str; 4] = ["", ".gz", ".zst", ".lz4"];

/// Captures that belong together: the segments of a recording, in order, or a file of its own.
pub struct Source {
    /// The files.
    pub paths: Vec<PathBuf>,
    origin: Origin,
}

impl Source {
    /// What the analyzer takes at a time.
    pub fn unit(self) -> Unit {
        let input = |path: PathBuf| {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            Input { name, origin: self.origin.clone(), open: Box::new(move || Ok(Box::new(File::open(path)?))) }
        };
        Unit { inputs: self.paths.into_iter().map(input).collect() }
    }
}

/// The captures behind `inputs`, and standard input for '-'.
///
/// # Errors
/// An input that is not there, or a folder or glob without captures.
pub fn units(inputs: &[String]) -> anyhow::Result<Vec<Unit>> {
    let mut units = Vec::new();
    for input in inputs {
        if input == "-" {
            let stdin =
                Input { name: "stdin".into(), origin: Origin::default(), open: Box::new(|| Ok(Box::new(io::stdin()))) };
            units.push(Unit { inputs: vec![stdin] });
        } else {
            units.extend(sources(std::slice::from_ref(input))?.into_iter().map(Source::unit));
        }
    }
    Ok(units)
}

/// The files behind `inputs`; segments of one recording stand together.
///
/// # Errors
/// As [`units`]; standard input is no file.
pub fn sources(inputs: &[String]) -> anyhow::Result<Vec<Source>> {
    let mut sources: Vec<Source> = Vec::new();
    for input in inputs {
        if input == "-" {
            bail!("standard input cannot be asked twice: dissect it first, with remora dissect - -o DATASET");
        }
        for path in paths(input)? {
            let origin = origin(&path);
            let same = |source: &&mut Source| {
                origin.recording.is_some() && source.origin == origin && source.paths[0].parent() == path.parent()
            };
            match sources.last_mut().filter(|source| same(source)) {
                Some(source) => source.paths.push(path),
                None => sources.push(Source { paths: vec![path], origin }),
            }
        }
    }
    Ok(sources)
}

/// What the path of a store says of a segment: `<cluster>/<window>/<start>/<node>/<file>`.
fn origin(path: &Path) -> Origin {
    let names: Vec<_> = path.iter().rev().take(5).map(|name| name.to_string_lossy()).collect();
    let in_store = names.iter().rev().map(AsRef::as_ref).collect::<Vec<&str>>().join("/");
    match RecordingId::parse_path(&in_store) {
        Ok((id, _)) => Origin {
            node: Some(id.node.as_str().to_owned()),
            window: Some(id.window.as_str().to_owned()),
            recording: Some(id.folder()),
        },
        Err(_) => Origin::default(),
    }
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
    // Plaintext of TLS lies beside the packets, and is not read yet.
    !name.ends_with(&format!(".{TLS}"))
        && ENDINGS.iter().any(|ending| COMPRESSED.iter().any(|packed| name.ends_with(&format!("{ending}{packed}"))))
}
