//! What a simulated disk holds: files and folders as they are seen, and as they are durable.

use crate::simulation::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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
    /// One of so many files and folders cannot be read.
    pub read_fails_one_of: Option<u64>,
    /// One of so many changes fails, and changes nothing: also syncs of folders.
    pub change_fails_one_of: Option<u64>,
}

/// What is on the disk, and what goes wrong.
#[derive(Debug)]
pub struct State {
    pub random: Random,
    pub faults: Faults,
    pub is_dead: bool,
    /// Whether anything was lost that the disk had said it keeps, or that it had taken and could read until a sync failed.
    pub betrayed: bool,
    pub inodes: BTreeMap<u64, Inode>,
    pub inodes_made: u64,
    pub live: BTreeMap<PathBuf, Node>,
    pub durable: BTreeMap<PathBuf, Node>,
    pub locked: BTreeSet<PathBuf>,
    /// Folders of somebody else, who lets nobody in.
    pub guarded: BTreeSet<PathBuf>,
    /// What was done in folders and not synced: the folder, and what stands under which names since.
    pending: Vec<(PathBuf, Names)>,
}

/// What stands under which names since; none where nothing does.
type Names = Vec<(PathBuf, Option<Node>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    File(u64),
    Folder,
}

#[derive(Debug, Default, Clone)]
pub struct Inode {
    pub live: Vec<u8>,
    durable: Vec<u8>,
    /// What the disk has said it keeps.
    pub promised: Vec<u8>,
    /// Where a failed sync lost bytes.
    lost: Option<std::ops::Range<usize>>,
}

pub fn killed() -> io::Error {
    io::Error::other("the process is dead")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::NotFound, path.display().to_string())
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
    pub fn new(random: Random) -> Self {
        Self {
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
        }
    }

    /// Nothing is left but what is durable.
    pub fn cut_power(&mut self) {
        // In each folder a beginning of what was done in it; or any of it, for nobody promises an order.
        let in_order = self.random.chance(1, 2);
        let mut kept: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for (folder, names) in std::mem::take(&mut self.pending) {
            let (goes_on, is_kept) = (kept.entry(folder).or_insert(true), self.random.chance(2, 3));
            *goes_on &= is_kept || !in_order;
            if is_kept && *goes_on {
                apply(&mut self.durable, names);
            }
        }
        self.live = self.durable.clone();
        let there: BTreeSet<Node> = self.live.values().copied().collect();
        for (number, inode) in &mut self.inodes {
            let bytes = inode.after_power_cut(&mut self.random);
            // Longer than promised it was before a sync that lied.
            let is_kept = bytes.starts_with(&inode.promised) && inode.durable.len() <= inode.promised.len();
            self.betrayed |= there.contains(&Node::File(*number)) && !is_kept;
            *inode = Inode { live: bytes.clone(), promised: bytes.clone(), durable: bytes, lost: None };
        }
    }

    pub fn used_bytes(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(inode) => self.inodes.get(inode).map_or(0, |inode| inode.live.len() as u64),
            Node::Folder => 0,
        };
        self.live.values().map(bytes).sum()
    }

    pub fn alive(&self) -> io::Result<()> {
        if self.is_dead { Err(killed()) } else { Ok(()) }
    }

    /// Begins an operation that changes something; true when the process dies in it.
    pub fn change(&mut self) -> io::Result<bool> {
        self.alive()?;
        if self.faults.read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.faults.change_fails_one_of.is_some_and(|of| self.random.chance(1, of)) {
            return Err(io::Error::other("the disk could not do it"));
        }
        if let Some(left) = &mut self.faults.dies_in {
            *left = left.saturating_sub(1);
            self.is_dead = *left == 0;
        }
        Ok(self.is_dead)
    }

    /// An operation in a folder: done whole or not at all.
    pub fn in_folder(&mut self, names: Names) -> io::Result<()> {
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
    pub fn make_durable(&mut self, folder: &Path) {
        let (synced, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(of, _)| of == folder);
        self.pending = others;
        synced.into_iter().for_each(|(_, names)| apply(&mut self.durable, names));
    }

    pub fn file(&self, path: &Path) -> io::Result<u64> {
        self.alive()?;
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    pub fn read_metadata(&mut self) -> io::Result<()> {
        self.may_fail(self.faults.look_fails_one_of)
    }

    pub fn read_content(&mut self) -> io::Result<()> {
        self.may_fail(self.faults.read_fails_one_of)
    }

    fn may_fail(&mut self, fails_one_of: Option<u64>) -> io::Result<()> {
        let fails = fails_one_of.is_some_and(|of| self.random.chance(1, of));
        if fails { Err(io::Error::other("the disk could not read")) } else { Ok(()) }
    }

    pub fn folder(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        match self.live.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    pub fn sync(&mut self, inode: u64, may_lie: bool) -> io::Result<()> {
        let dies = self.change()?;
        if dies && self.random.chance(1, 2) {
            return Err(killed());
        }
        let fails = self.faults.sync_fails_one_of.is_some_and(|of| self.random.chance(1, of));
        let lies = may_lie && self.faults.sync_lies_one_of.is_some_and(|of| self.random.chance(1, of));
        let evicts = fails && self.random.chance(1, 2);
        let Some(file) = self.inodes.get_mut(&inode) else { return Err(killed()) };
        if fails && !lies {
            let lost = file.durable.len().min(file.live.len())..file.live.len();
            if evicts {
                file.live[lost.clone()].fill(0);
                self.betrayed = true;
            }
            file.durable = file.live.clone();
            file.lost = Some(lost);
            return Err(io::Error::other("the disk could not write"));
        }
        if !lies {
            file.durable = file.live.clone();
        }
        file.promised = file.live.clone();
        if dies { Err(killed()) } else { Ok(()) }
    }

    pub fn write(&mut self, inode: u64, at: usize, bytes: &[u8]) -> io::Result<usize> {
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
