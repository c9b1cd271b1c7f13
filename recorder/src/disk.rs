//! The file system, as far as the spool needs one: what is written here survives a crash, or is known not to.
//!
//! Refused: to guess. What was not synced may be gone after a power cut, a rename until its folder was synced.

use formats::hash::Hash256;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// A new file to write, in place of one that was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there, to read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// A file that is there, to read and change.
    fn change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Size and last change of a file or folder.
    fn look(&self, path: &Path) -> io::Result<Look>;

    /// What is in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Gives a file another name, in place of one that was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it; when this returns they are there to stay.
    fn create_folders(&self, folder: &Path) -> io::Result<()>;

    /// Removes a folder with nothing in it.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes what was created, renamed and removed in a folder survive a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Keeps others from a folder until the lock is dropped; none if somebody else keeps us from it.
    fn lock(&self, folder: &Path) -> io::Result<Option<Lock>>;

    /// Whether there is a file or folder of that name. Where the disk cannot tell, that is an error: nobody may take it for no.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.look(path).map(|_| true).or_else(gone(false))
    }

    /// The first of these that is there.
    fn first_of(&self, paths: &[PathBuf]) -> io::Result<Option<PathBuf>> {
        for path in paths {
            if self.exists(path)? {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Writes a file so that it is there whole, or not at all, whatever happens.
    fn write_durably(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let open = while_open(path);
        let mut file = self.create(&open)?;
        file.write_all(bytes)?;
        file.sync()?;
        self.rename(&open, path)?;
        path.parent().map_or(Ok(()), |folder| self.sync_folder(folder))
    }
}

/// Behind the name of a file that is being written.
const OPEN: &str = ".open";
/// Longest name of a file, of nearly every file system [bytes].
const NAME_BYTES_MAX: usize = 255;

/// What a file is called until it is whole. Where its own name leaves no room for more, the hash of that stands for it.
fn while_open(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let mut open = match name.len() + OPEN.len() <= NAME_BYTES_MAX {
        true => name.to_owned(),
        false => Hash256::of(name.as_encoded_bytes()).to_string().into(),
    };
    open.push(OPEN);
    path.with_file_name(open)
}

/// Has an error of the system name the file or folder.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What is not there, perhaps because somebody else was faster, is no error.
pub(crate) fn gone<T>(instead: T) -> impl FnOnce(io::Error) -> io::Result<T> {
    |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(instead),
        _ => Err(error),
    }
}

/// A file that can be changed.
pub trait DiskFile: Read + Write + Seek + Send {
    /// Cuts it there.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes its bytes survive a power cut; its name needs [`Disk::sync_folder`].
    fn sync(&mut self) -> io::Result<()>;
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, if that is known.
    pub changed: Option<SystemTime>,
}

/// A file or folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Keeps others from a folder, until it is dropped or the process dies.
pub struct Lock(#[expect(dead_code, reason = "held until it is dropped")] Box<dyn Send>);

impl Lock {
    /// Locks a folder of this machine; none if somebody else has.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        SystemDisk.lock(folder)
    }

    /// A lock that `held` keeps.
    pub fn new(held: impl Send + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // What was on the wire is for nobody but who records it, before it is encrypted above all.
        Ok(Box::new(File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().read(true).write(true).open(path)?))
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let metadata = fs::metadata(path)?;
        Ok(Look { bytes: metadata.len(), changed: metadata.modified().ok() })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let entry = |entry: fs::DirEntry| Ok(Entry { is_folder: entry.file_type()?.is_dir(), name: entry.file_name() });
        fs::read_dir(folder)?.map(|found| found.and_then(entry)).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Each new name stands in the folder above.
        let above = missing.iter().rev().filter_map(|folder| folder.parent());
        above.filter(|folder| !folder.as_os_str().is_empty()).try_for_each(|folder| self.sync_folder(folder))
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, folder: &Path) -> io::Result<Option<Lock>> {
        let folder = File::open(folder)?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Lock::new(folder))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (spool, file) = (folder.path().join("spool"), folder.path().join("spool/file"));
        SystemDisk.create_folders(&spool).unwrap();
        SystemDisk.create(&file).unwrap();
        assert_eq!([spool, file].map(|path| fs::metadata(path).unwrap().mode() & 0o777), [0o700, 0o600]);
    }
}
