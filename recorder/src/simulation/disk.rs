//! A disk in memory that keeps what was synced, and of the rest what chance leaves.
//!
//! Of each folder a power cut leaves a beginning of what was done in it since it was synced, or any part of that; of each file
//! what was synced, and a beginning of what was appended since, whose end may be zeroes. A sync that fails has lost what it
//! should have kept, and the next one does not say so again, as on Linux.

mod state;

pub use state::Faults;

use super::random::Random;
use crate::disk::{Disk, DiskFile, Entry, Lock, Look};
use state::{Inode, Node, State, killed};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(State::new(random))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic with the disk in hand")
    }

    pub fn set(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub fn faults(&self) -> Faults {
        self.state().faults
    }

    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Whether the disk has lost what it had promised to keep.
    pub fn has_betrayed(&self) -> bool {
        self.state().betrayed
    }

    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let files = state.live.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Whether a file is there in truth, whatever the disk says.
    pub fn exists(&self, path: &Path) -> bool {
        self.state().live.contains_key(path)
    }

    /// Lets nobody into a folder any more.
    pub fn guard(&self, folder: &Path) {
        self.state().guarded.insert(folder.to_owned());
    }

    /// The process is dead; another one finds what it left.
    pub fn restart(&self) {
        let mut state = self.state();
        state.is_dead = false;
        state.faults = Faults::default();
    }

    /// Nothing is left but what is durable.
    pub fn cut_power(&self) {
        self.state().cut_power();
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.folder(path.parent().unwrap_or(path))?;
        state.inodes_made += 1;
        let inode = state.inodes_made;
        // As if what was there was removed first: O_TRUNC is as little durable as that.
        state.inodes.insert(inode, Inode::default());
        state.in_folder(vec![(path.to_owned(), Some(Node::File(inode)))])?;
        Ok(Box::new(SimFile::new(self, inode, path)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let mut state = self.state();
        let inode = state.file(path)?;
        state.read_content()?;
        Ok(Box::new(SimFile::new(self, inode, path)))
    }

    fn change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().file(path)?;
        Ok(Box::new(SimFile::new(self, inode, path)))
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let mut state = self.state();
        state.read_metadata()?;
        let bytes = match state.live.get(path) {
            Some(Node::Folder) => 0,
            _ => state.file(path).map(|inode| state.inodes[&inode].live.len() as u64)?,
        };
        Ok(Look { bytes, changed: None })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.folder(folder)?;
        state.read_content()?;
        if state.guarded.contains(folder) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        // What is in a folder stands behind it.
        let below = state.live.range(folder.to_owned()..).take_while(|(path, _)| path.starts_with(folder));
        let inside = below.filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, node): (&PathBuf, &Node)| {
            Some(Entry { name: path.file_name()?.to_owned(), is_folder: *node == Node::Folder })
        };
        Ok(inside.filter_map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.file(from)?;
        state.in_folder(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(inode)))])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(path)?;
        state.in_folder(vec![(path.to_owned(), None)])
    }

    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        let missing: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
        for folder in missing.into_iter().rev() {
            if state.folder(&folder).is_err() {
                let dies = state.change()?;
                // The folder above is synced for it.
                state.make_durable(folder.parent().unwrap_or(&folder));
                state.live.insert(folder.clone(), Node::Folder);
                state.durable.insert(folder, Node::Folder);
                if dies {
                    return Err(killed());
                }
            }
        }
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        if !self.list(folder)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.state().in_folder(vec![(folder.to_owned(), None)])
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        state.folder(folder)?;
        let dies = state.change()?;
        if dies && state.random.chance(1, 2) {
            return Err(killed());
        }
        state.make_durable(folder);
        if dies { Err(killed()) } else { Ok(()) }
    }

    fn lock(&self, folder: &Path) -> io::Result<Option<Lock>> {
        let mut state = self.state();
        state.folder(folder)?;
        state.read_metadata()?;
        let is_free = state.locked.insert(folder.to_owned());
        Ok(is_free.then(|| Lock::new(Held { disk: self.clone(), folder: folder.to_owned() })))
    }
}

struct Held {
    disk: SimDisk,
    folder: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.folder);
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    at: usize,
    is_segment: bool,
}

impl SimFile {
    fn new(disk: &SimDisk, inode: u64, path: &Path) -> Self {
        let is_segment = path.to_string_lossy().contains(".pcapng");
        Self { disk: disk.clone(), inode, at: 0, is_segment }
    }
}

impl Read for SimFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        state.alive()?;
        let Some(file) = state.inodes.get(&self.inode) else { return Err(killed()) };
        let rest = file.live.get(self.at..).unwrap_or_default();
        let bytes = rest.len().min(into.len());
        into[..bytes].copy_from_slice(&rest[..bytes]);
        self.at += bytes;
        Ok(bytes)
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let written = self.disk.state().write(self.inode, self.at, bytes)?;
        self.at += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SimFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(at) = to else { return Err(ErrorKind::Unsupported.into()) };
        self.at = at as usize;
        Ok(at)
    }
}

impl DiskFile for SimFile {
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let dies = state.change()?;
        if let Some(file) = state.inodes.get_mut(&self.inode) {
            file.live.resize(bytes as usize, 0);
        }
        if dies { Err(killed()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.state().sync(self.inode, self.is_segment)
    }
}
