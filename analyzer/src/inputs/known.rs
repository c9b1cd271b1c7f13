//! Contents of large files that were hashed before: a file that did not change since is not read again to be known.
//!
//! A file is the same when device, inode, length and both times are: no program sets the time of the last change of
//! an inode. A file that changed a moment ago could change again within one tick of that clock, and is not noted.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files that are worth a note: hashing smaller ones takes less than ten milliseconds.
const BYTES_MIN: u64 = 8 << 20;

/// Files that are remembered: 128 KiB of lines.
const FILES_MAX: usize = 1000;

/// Age of the last change from which on no later one can have the same time.
const SETTLED: Duration = Duration::from_secs(2);

/// The notes of a cache folder.
pub struct Known {
    path: PathBuf,
}

impl Known {
    /// In the cache at `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("known-files.txt") }
    }

    /// Digest of a file, in hex: noted, or made by `hash`.
    ///
    /// # Errors
    /// What `hash` says. Notes that cannot be read or written are none.
    pub fn content(&self, file: &File, hash: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
        let before = file.metadata()?;
        if before.len() < BYTES_MIN || !before.is_file() {
            return hash();
        }
        let key = key(&before);
        let notes = fs::read_to_string(&self.path).unwrap_or_default();
        let noted = notes.lines().find_map(|line| line.strip_prefix(&key)?.strip_prefix(' '));
        if let Some(content) = noted.filter(|content| content.len() == 64) {
            return Ok(content.to_owned());
        }
        let content = hash()?;
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(before.ctime().try_into().unwrap_or_default());
        let settled = changed.elapsed().is_ok_and(|age| age > SETTLED);
        if settled && self::key(&file.metadata()?) == key {
            let _ = self.note(&notes, &format!("{key} {content}"));
        }
        Ok(content)
    }

    /// Adds a line, and forgets the oldest where there are too many.
    fn note(&self, notes: &str, line: &str) -> io::Result<()> {
        let skip = (notes.lines().count() + 1).saturating_sub(FILES_MAX);
        let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        for line in notes.lines().skip(skip).chain([line]) {
            writeln!(file, "{line}")?;
        }
        file.persist(&self.path)?;
        Ok(())
    }
}

fn key(file: &Metadata) -> String {
    let (changed, modified) = ((file.ctime(), file.ctime_nsec()), (file.mtime(), file.mtime_nsec()));
    format!("{} {} {} {changed:?} {modified:?}", file.dev(), file.ino(), file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_did_not_change_is_hashed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        fs::write(&path, vec![0; BYTES_MIN as usize]).unwrap();
        let known = Known::new(folder.path());
        let ask = |content: &str| known.content(&File::open(&path).unwrap(), || Ok(content.repeat(64))).unwrap();
        // A moment ago is too new to be noted.
        assert_eq!(ask("a"), "a".repeat(64));
        while File::open(&path).unwrap().metadata().unwrap().ctime() + 3 > now_s() {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(ask("b"), "b".repeat(64));
        assert_eq!(ask("c"), "b".repeat(64));
        fs::write(&path, vec![1; BYTES_MIN as usize]).unwrap();
        assert_eq!(ask("d"), "d".repeat(64));
        assert_eq!(fs::read_to_string(&known.path).unwrap().lines().count(), 1);
    }

    fn now_s() -> i64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
    }
}
