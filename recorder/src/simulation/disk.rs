//! A disk in memory that keeps what was synced, and of the rest what chance leaves.
//!
//! Of each folder a power cut leaves a beginning of what was done in it since it was synced; of each file what was
//! synced, and a beginning of what was appended since, whose end may be zeroes. A sync that fails has lost what it
//! should have kept, and the next one does not say so again, as on Linux.

use super::random::Random;
use crate::disk::{Disk, DiskFile, Entry, Lock, Look};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// What goes wrong from now on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The process dies in so many operations.
    pub dies_in: Option<u64>,
    /// Bytes there is room for.
    pub capacity: Option<u64>,
    pub read_only: bool,
    /// One of so many syncs fails.
    pub sync_fails_one_of: Option<u64>,
    /// One of so many syncs of a segment does nothing, and says that all is well.
    pub sync_lies_one_of: Option<u64>,
    /// One of so many looks at a file or folder does not tell whether it is there, and as many locks fail.
    pub look_fails_one_of: Option<u64>,
}

#[derive(Debug)]
struct State {
    random: Random,
    faults: Faults,
    is_dead: bool,
    /// Whether anything was lost that the disk had said it has.
    betrayed: bool,
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    locked: BTreeSet<PathBuf>,
    /// Folders of somebody else, who lets nobody in.
    guarded: BTreeSet<PathBuf>,
    /// What was done in folders and not synced: the folder, and what stands under which names since.
    pending: Vec<(PathBuf, Names)>,
}

/// What stands under which names since; none where nothing does.
type Names = Vec<(PathBuf, Option<Node>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(u64),
    Folder,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Where a failed sync lost bytes.
    lost: Option<std::ops::Range<usize>>,
}

fn killed() -> io::Error {
    io::Error::other("the process is dead")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::NotFound, path.display().to_string())
}

impl SimDisk {
    pub fn new(random: Random) -> Self {
        let state = State {
            random,
            faults: Faults::default(),
            is_dead: false,
            betrayed: false,
            inodes: BTreeMap::new(),
            inodes_made: 0,
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            locked: BTreeSet::new(),
            guarded: BTreeSet::new(),
            pending: Vec::new(),
        };
        Self(Arc::new(Mutex::new(state)))
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
        let state = &mut *self.state();
        // In each folder a beginning of what was done in it, in order.
        let mut kept: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for (folder, names) in std::mem::take(&mut state.pending) {
            let goes_on = kept.entry(folder).or_insert(true);
            *goes_on &= state.random.chance(2, 3);
            if *goes_on {
                apply(&mut state.durable, names);
            }
        }
        state.live = state.durable.clone();
        for inode in state.inodes.values_mut() {
            let bytes = inode.after_power_cut(&mut state.random);
            *inode = Inode { live: bytes.clone(), durable: bytes, lost: None };
        }
    }
}

impl Inode {
    fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let mut durable = self.durable.clone();
        if let Some(lost) = self.lost.clone() {
            durable.iter_mut().skip(lost.start).take(lost.len()).for_each(|byte| *byte = 0);
        }
        let Some(appended) = self.live.strip_prefix(&self.durable[..]).filter(|_| self.lost.is_none()) else {
            return durable;
        };
        let reached = random.below(appended.len() as u64 + 1) as usize;
        durable.extend_from_slice(&appended[..reached]);
        if reached > 0 && random.chance(1, 3) {
            let torn = 1 + random.below(reached.min(512) as u64) as usize;
            let start = durable.len() - torn;
            durable[start..].fill(0);
        }
        durable
    }
}

fn apply(tree: &mut BTreeMap<PathBuf, Node>, names: Names) {
    for (path, node) in names {
        match node {
            Some(node) => drop(tree.insert(path, node)),
            // A folder that is gone is gone with what was removed from it before.
            None => tree.retain(|other, _| !other.starts_with(&path)),
        }
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(inode) => self.inodes.get(inode).map_or(0, |inode| inode.live.len() as u64),
            Node::Folder => 0,
        };
        self.live.values().map(bytes).sum()
    }

    fn alive(&self) -> io::Result<()> {
        if self.is_dead { Err(killed()) } else { Ok(()) }
    }

    /// Begins an operation that changes something; true when the process dies in it.
    fn change(&mut self) -> io::Result<bool> {
        self.alive()?;
        if self.faults.read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        if let Some(left) = &mut self.faults.dies_in {
            *left = left.saturating_sub(1);
            self.is_dead = *left == 0;
        }
        Ok(self.is_dead)
    }

    /// An operation in a folder: done whole or not at all.
    fn in_folder(&mut self, names: Names) -> io::Result<()> {
        let dies = self.change()?;
        if dies && self.random.chance(1, 2) {
            return Err(killed());
        }
        let folder = names.first().and_then(|(path, _)| path.parent()).map(Path::to_owned).unwrap_or_default();
        apply(&mut self.live, names.clone());
        self.pending.push((folder, names));
        if dies { Err(killed()) } else { Ok(()) }
    }

    /// What was done in a folder is there to stay.
    fn make_durable(&mut self, folder: &Path) {
        let (synced, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(of, _)| of == folder);
        self.pending = others;
        synced.into_iter().for_each(|(_, names)| apply(&mut self.durable, names));
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        self.alive()?;
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn read_metadata(&mut self) -> io::Result<()> {
        let fails_one_of = self.faults.look_fails_one_of;
        let fails = fails_one_of.is_some_and(|of| self.random.chance(1, of));
        if fails { Err(io::Error::other("the disk could not read")) } else { Ok(()) }
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        match self.live.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn sync(&mut self, inode: u64, may_lie: bool) -> io::Result<()> {
        let dies = self.change()?;
        if dies && self.random.chance(1, 2) {
            return Err(killed());
        }
        let fails = self.faults.sync_fails_one_of.is_some_and(|of| self.random.chance(1, of));
        let lies = may_lie && self.faults.sync_lies_one_of.is_some_and(|of| self.random.chance(1, of));
        let evicts = fails && self.random.chance(1, 2);
        let Some(file) = self.inodes.get_mut(&inode) else { return Err(killed()) };
        if lies {
            self.betrayed = true;
        } else if fails {
            let lost = file.durable.len().min(file.live.len())..file.live.len();
            if evicts {
                file.live[lost.clone()].fill(0);
            }
            file.durable = file.live.clone();
            file.lost = Some(lost);
            self.betrayed = true;
            return Err(io::Error::other("the disk could not write"));
        } else {
            file.durable = file.live.clone();
        }
        if dies { Err(killed()) } else { Ok(()) }
    }

    fn write(&mut self, inode: u64, at: usize, bytes: &[u8]) -> io::Result<usize> {
        let dies = self.change()?;
        let room = self.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()));
        let mut taken = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        // A part may be written, whatever comes.
        if dies || self.random.chance(1, 20) {
            taken = self.random.below(taken as u64 + 1) as usize;
        }
        let Some(file) = self.inodes.get_mut(&inode) else { return Err(killed()) };
        file.live.resize(file.live.len().max(at + taken), 0);
        file.live[at..at + taken].copy_from_slice(&bytes[..taken]);
        match taken {
            _ if dies => Err(killed()),
            0 if room == 0 => Err(ErrorKind::StorageFull.into()),
            0 => self.write(inode, at, bytes),
            taken => Ok(taken),
        }
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
        let inode = self.state().file(path)?;
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
        let state = self.state();
        state.folder(folder)?;
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
