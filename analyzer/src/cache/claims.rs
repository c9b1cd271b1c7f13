//! Who uses what of the cache: nothing leaves it that somebody reads, in this process or another.
//!
//! Each process has a file that names what it uses and that it keeps locked as long as it lives. Whoever looks what is
//! there, or takes something away, does so alone.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Locked by whoever is alone.
const LOCK: &str = ".lock";

/// What a process uses, a name a line.
const USING: &str = ".using-";

/// What this process uses.
pub struct Claims {
    folder: PathBuf,
    lock: File,
    using: NamedTempFile,
}

impl Claims {
    /// None yet, in the cache at `folder`.
    ///
    /// # Errors
    /// What the disk says; also where it knows no locks.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
        // Alone: to others a file without a lock is that of a process that is gone.
        lock.lock()?;
        let using = tempfile::Builder::new().prefix(USING).tempfile_in(folder)?;
        using.as_file().lock()?;
        lock.unlock()?;
        Ok(Self { folder: folder.to_owned(), lock, using })
    }

    /// Does something while no other process claims or removes anything. It has to be quick.
    ///
    /// # Errors
    /// What the disk says.
    pub fn alone<T>(&self, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.lock.lock()?;
        let done = action();
        self.lock.unlock()?;
        done
    }

    /// Claims what is there under a name, for as long as this process lives. To be done alone.
    ///
    /// # Errors
    /// What the disk says.
    pub fn claim(&self, name: &str) -> io::Result<()> {
        writeln!(self.using.as_file(), "{name}")
    }

    /// What is used by any process, this one too; the files of those that are gone are removed. To be done alone.
    ///
    /// # Errors
    /// What the disk says.
    pub fn used(&self) -> io::Result<BTreeSet<String>> {
        let mut used = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(USING) {
                continue;
            }
            let is_own = entry.path() == self.using.path();
            match File::open(entry.path()).map(|file| file.try_lock_shared()) {
                Ok(Ok(())) if !is_own => fs::remove_file(entry.path())?,
                Ok(Ok(()) | Err(TryLockError::WouldBlock)) => {
                    used.extend(fs::read_to_string(entry.path())?.lines().map(str::to_owned));
                }
                Ok(Err(TryLockError::Error(error))) => return Err(error),
                // It ended a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_known_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Claims::open(folder.path()).unwrap(), Claims::open(folder.path()).unwrap());
        let used = |claims: &Claims| claims.alone(|| claims.used()).unwrap().into_iter().collect::<Vec<_>>();
        one.alone(|| one.claim("a")).unwrap();
        other.alone(|| other.claim("b").and_then(|()| other.claim("c"))).unwrap();
        assert_eq!(used(&one), ["a", "b", "c"]);
        drop(other);
        assert_eq!(used(&one), ["a"]);
        // As a process that is killed leaves it.
        fs::write(folder.path().join(".using-killed"), "d\n").unwrap();
        assert_eq!(used(&one), ["a"]);
        assert!(!folder.path().join(".using-killed").exists());
    }
}
