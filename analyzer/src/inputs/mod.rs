//! What a command was pointed at becomes captures and datasets.
//!
//! Enters: files, folders, globs, `-` for standard input, snapshots, URLs of object stores. Leaves: [`Found`], the
//! [`Source`]s to dissect and the datasets to ask as they are. Refused: a word behind which there is nothing.

mod capture;
mod known;
mod local;
mod object;
mod seals;
mod stored;

pub use capture::{Capture, Source, Stored};

use crate::keys::{Keys, decrypted_name};
use crate::snapshot::{SnapshotError, Store, refuse_secrets};
use anyhow::bail;
use formats::store::{FileName, RecordingId, TLS};
use query::{Dataset, Lost};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Endings of captures that are looked for in a folder or store, with digits behind them too, as `tcpdump -C` numbers its files;
/// a file that is named is read whatever its ending.
const ENDINGS: [&str; 7] = [".pcap", ".pcapng", ".cap", ".dmp", ".ntar", ".snoop", ".erf"];

/// Endings of compression behind these.
const COMPRESSED: [&str; 4] = ["", ".gz", ".zst", ".lz4"];

/// Captures and datasets.
#[derive(Default)]
pub struct Found {
    /// Captures; those that belong together in one.
    pub sources: Vec<Source>,
    /// Tables that are there already.
    pub datasets: Vec<Dataset>,
    /// What could not be read beside a capture, and does not keep it from being read.
    pub warnings: Vec<String>,
    /// What could not be read at all; the rest is.
    pub failed: Vec<String>,
    /// What decrypts captures.
    keys: Keys,
}

impl Found {
    /// What recorders lost, as the seals beside the captures say; none where there are no seals.
    pub fn lost(&self) -> Option<Lost> {
        let captures = || self.sources.iter().flat_map(|source| &source.captures);
        let not_kept = captures().flat_map(|capture| &capture.origin.not_kept);
        // What is not there was recorded, and what was not wanted is not lost.
        let lost = not_kept.filter(|not_kept| !["filter", "store"].contains(&not_kept.stage));
        captures().any(|capture| !capture.origin.not_kept.is_empty()).then(|| {
            lost.fold(Lost::default(), |lost, not_kept| Lost {
                packets: lost.packets.saturating_add(not_kept.packets.unwrap_or(0)),
                times_uncounted: lost.times_uncounted + u64::from(not_kept.packets.is_none()),
            })
        })
    }

    /// Puts captures in the order they follow each other, the segments of a recording into one source.
    fn add(&mut self, captures: Vec<Capture>) {
        for mut capture in captures {
            capture.keys = self.keys.clone();
            let last = self.sources.last_mut().filter(|source| source.is_continued_by(&capture));
            match last {
                Some(source) => source.captures.push(capture),
                None => self.sources.push(Source { captures: vec![capture] }),
            }
        }
    }
}

/// Looks behind `inputs`; captures that are encrypted are read with `keys`.
///
/// # Errors
/// An input that is not there or holds nothing, standard input asked for twice, or a store that fails.
pub fn find(inputs: &[String], keys: &Keys) -> anyhow::Result<Found> {
    let mut found = Found { keys: keys.clone(), ..Found::default() };
    if inputs.iter().filter(|input| *input == "-").count() > 1 {
        bail!("standard input can be read once: '-' stands there twice");
    }
    for input in inputs {
        match kind(input)? {
            Kind::Stdin => found.add(vec![Capture::stdin()]),
            Kind::Local(path) if query::is_dataset(&path) => found.datasets.push(Dataset::Folder(path)),
            Kind::Local(path) => local::find(&path, &mut found)?,
            Kind::Store(store) => stored::find(input, &store, &mut found)?,
        }
    }
    Ok(found)
}

enum Kind {
    Local(PathBuf),
    Stdin,
    Store(Store),
}

/// Tells URLs from paths: a path may hold a colon, but no scheme that we know.
fn kind(input: &str) -> Result<Kind, SnapshotError> {
    if input == "-" {
        return Ok(Kind::Stdin);
    }
    refuse_secrets(input)?;
    match url::Url::parse(input) {
        Ok(url) if url.scheme() == "file" => {
            let refused =
                || SnapshotError::NoStore { store: input.to_owned(), reason: "no path of this machine".into() };
            url.to_file_path().map(Kind::Local).map_err(|()| refused())
        }
        // A drive letter is no scheme.
        Ok(url) if url.scheme().len() > 1 && input.contains("://") => Store::open(input).map(Kind::Store),
        _ => Ok(Kind::Local(input.into())),
    }
}

/// Whether a file looks like a capture by its name.
fn is_capture(name: &str) -> bool {
    let name = decrypted_name(name).unwrap_or(name).to_lowercase();
    // Plaintext of TLS lies beside the packets, and is not read yet.
    !name.ends_with(&format!(".{TLS}"))
        && COMPRESSED.iter().filter_map(|packed| name.strip_suffix(packed)).any(|name| {
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
            ENDINGS.iter().any(|ending| name.ends_with(ending))
        })
}

/// Of files below one folder or store, which is `place`, the captures; and `close.json` of recordings that have ended and none
/// of whose packets are there. A warning tells of those that are passed by, but for what lies beside packets in a recording,
/// and tables, and of captures beside recordings.
fn to_read<T>(place: &str, files: Vec<T>, path: impl Fn(&T) -> &Path, warnings: &mut Vec<String>) -> Vec<T> {
    let name = |file: &T| path(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = |file: &T| path(file).parent().unwrap_or(Path::new("")).to_owned();
    let has_packets: BTreeSet<PathBuf> = files.iter().filter(|file| is_capture(&name(file))).map(folder).collect();
    let is_empty = |file: &T| {
        let is_close = recorded(path(file)).is_some_and(|(_, file)| file == FileName::Close);
        is_close && !has_packets.contains(&folder(file))
    };
    let (read, passed): (Vec<T>, Vec<T>) =
        files.into_iter().partition(|file| is_capture(&name(file)) || is_empty(file));
    let is_strange = |name: &String| name.parse::<FileName>().is_err() && !name.ends_with(".parquet");
    let strange: Vec<String> = passed.iter().map(name).filter(is_strange).collect();
    if let (Some(first), false) = (strange.iter().min(), read.is_empty()) {
        warnings.push(format!(
            "{place}: files passed by: {}, as {first:?}, for their names do not end like a capture's; one that is named is read",
            strange.len()
        ));
    }
    let outside: Vec<&Path> = read.iter().map(&path).filter(|path| recorded(path).is_none()).collect();
    if let (Some(first), true) = (outside.iter().min(), outside.len() < read.len()) {
        warnings.push(format!(
            "{place}: captures that are of no recording, so that no seal speaks for them: {}, as {first:?}",
            outside.len()
        ));
    }
    read
}

/// The recordings that captures are of, by their folders, with the files of each.
fn recordings<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeMap<PathBuf, (RecordingId, Vec<FileName>)> {
    let mut recordings = BTreeMap::new();
    for path in paths {
        if let (Some((id, file)), Some(folder)) = (recorded(path), path.parent()) {
            recordings.entry(folder.to_owned()).or_insert_with(|| (id, Vec::new())).1.push(file);
        }
    }
    recordings
}

/// What the path of a store says of a segment: `<cluster>/<window>/<start>/<node>/<file>`.
fn recorded(path: &Path) -> Option<(RecordingId, FileName)> {
    let names: Vec<_> = path.iter().rev().take(5).map(|name| name.to_string_lossy()).collect();
    RecordingId::parse_path(&names.iter().rev().map(AsRef::as_ref).collect::<Vec<&str>>().join("/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths() {
        assert!(matches!(kind("-"), Ok(Kind::Stdin)));
        assert!(matches!(kind("s3://bucket/prefix"), Ok(Kind::Store(_))));
        for input in ["s3://key:secret@bucket/prefix", "s3://key:sec/ret@bucket"] {
            assert!(matches!(kind(input), Err(SnapshotError::Secret)), "{input}");
        }
        for (input, path) in [("a/b.pcap", "a/b.pcap"), ("c:b.pcap", "c:b.pcap"), ("file:///tmp/x%20y", "/tmp/x y")] {
            assert!(matches!(kind(input), Ok(Kind::Local(found)) if found == Path::new(path)), "{input}");
        }
    }

    #[test]
    fn what_is_passed_by_is_told() {
        let files = |names: &[&str]| names.iter().map(|name| Path::new("a/b").join(name)).collect::<Vec<_>>();
        let said = |names: &[&str]| {
            let mut warnings = Vec::new();
            let read = to_read("a", files(names), |path| path, &mut warnings);
            (read.len(), warnings.pop().unwrap_or_default())
        };
        let (read, warning) = said(&["d.pcap", "d.pcap1", "y.pcap.xz", "trace0"]);
        assert!(read == 2 && warning.contains("2, as \"trace0\""), "{warning}");
        let recording = ["000001.pcapng.zst", "000001.tls.pcapng.zst", "000001.seal.json", "close.json", "x.parquet"];
        assert_eq!(said(&recording), (1, String::new()));
        assert_eq!(said(&["nothing"]), (0, String::new()), "an error says it");
        let node = "../../prod/nightly/20261124T100000Z/node-1/000001.pcapng.zst";
        let (read, warning) = said(&[node, "../../prod/x.pcap"]);
        assert!(read == 2 && warning.contains("no recording") && warning.contains("prod/x.pcap"), "{warning}");
    }

    #[test]
    fn captures_are_known_by_their_ending() {
        for (name, want) in [
            ("000001.pcapng.zst", true),
            ("A.PCAP.GZ", true),
            ("000001.tls.pcapng.zst", false),
            ("000001.tls.pcapng.zst.age", false),
            ("000001.pcapng.zst.age", true),
            ("a.pcap.AGE", true),
            (".age", false),
            ("000001.seal.json", false),
            ("d.pcap1", true),
            ("d.pcapng00012.gz", true),
            ("x.snoop", true),
            ("x.erf.lz4", true),
            ("y.pcap.xz", false),
            ("trace0", false),
            ("12", false),
            ("pcap", false),
        ] {
            assert_eq!(is_capture(name), want, "{name}");
        }
    }
}
