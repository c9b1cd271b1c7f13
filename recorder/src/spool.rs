//! The folder where segments wait for the store: the seal room fills it, the upload room empties it.
//!
//!     <spool>/<cluster>/<window>/<start>/<node>/     as in the store
//!         store.json            where it goes; written first, and removed first: without it nothing is owed
//!         trigger.json          what set it off, for `close.json`; of recordings of what was kept ready
//!         000003.pcapng.zst     …                    the files of a segment
//!         000003.seal.json.minisig                   where there is a key, before the seal it signs
//!         000003.seal.json                           renamed into place after them: now it may be uploaded
//!         000002.sent.json                           a seal that is stored, its files with it; kept until the
//!                                                    recording is, to continue the chain after a crash
//!         1.room …              room for what ends it, on a disk that is full by then
//!         created               names the file that was created in the store and could not be proved: it may be replaced
//!         unsent                nothing of it was sent yet to a store that nobody can read; `tried` from then on
//!         000002.receipt                             its files are in the store, its seal is not yet: they may go
//!         000001.forgotten                           its files were given up; the next seal, or close.json, says so
//!         close.json.minisig, close.json             renamed into place last
//!         pinned.json                                somebody wants it kept here: none of its files is removed
//!         stored.json                                all of it is stored; only of those that are pinned
//!
//! Beside them `.starts/<window>` keeps which starts were taken, so that a clock that is set back gives none twice; and what
//! became of the latest run, so that the next start of the recorder goes on with what is wanted of it, and with nothing else.
//!
//! Every step is one rename or one removal, so that a crash leaves the state before it or after it.
//! Names that are none of these belong to who is still writing them.

mod forgotten;
mod pins;
mod starts;
mod stored;
#[cfg(test)]
pub(crate) mod tests;
mod used;

use crate::disk::{Disk, Entry, SystemDisk, at, gone};
use crate::schedule::{Starts, StoreTarget};
use crate::sync::lock;
use forgotten::Unwritten;
use formats::seal::{Close, Seal, SealError, Trigger};
use formats::signature::SecretKey;
use formats::store::{FileName, Name, RecordingId, Start};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

/// Suffix of a seal that is stored.
pub const SENT: &str = "sent.json";
/// Suffix of the mark that the files of a segment were given up.
const FORGOTTEN: &str = "forgotten";
/// Suffix of the mark that the files of a segment are in the store.
const RECEIPT: &str = "receipt";
/// What set a recording off.
const TRIGGER: &str = "trigger.json";
/// Somebody wants a recording kept here.
const PINNED: &str = "pinned.json";
/// A recording that is kept here is stored.
const STORED: &str = "stored.json";
/// What windows keep ready, a folder each: no recording, for no cluster has a name like that.
const READY: &str = ".ready";
/// Where a recording goes.
const STORE: &str = "store.json";
/// Nothing of a recording was sent yet. Made when it begins: a disk that is full by then lets it still be renamed.
pub(crate) const UNSENT: &str = "unsent";

/// Files that make room for a seal of the last segment, one of what no segment tells, and the close, each with its signature,
/// on a disk that is full by then: what was lost on it would else be lost to the ledger too.
const ROOM: [&str; 6] = ["1.room", "2.room", "3.room", "4.room", "5.room", "6.room"];

/// A spool folder.
#[derive(Debug, Clone)]
pub struct Spool {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    signer: Option<Arc<SecretKey>>,
    starts: Starts,
    /// Held while what is remembered of a window is written.
    keeping: Arc<Mutex<()>>,
    /// Held while files are removed, and while a recording is pinned: what is pinned is there.
    pins: Arc<Mutex<()>>,
    /// What failed recordings have lost and could not write down, by their folder: told once they are recovered.
    untold: Arc<Mutex<HashMap<PathBuf, Vec<Unwritten>>>>,
    /// Recordings that are stored and could not be removed.
    unremoved: Arc<Mutex<BTreeSet<RecordingId>>>,
    /// What cannot be read, of which that was told.
    passed_over: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Spool {
    /// The spool in `root`, which is made if it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        Self::open_on(Arc::new(SystemDisk), root)
    }

    /// The spool in `root` of that disk.
    pub fn open_on(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        disk.create_folders(root)?;
        let starts = starts::read(disk.as_ref(), root)?;
        let root = root.to_owned();
        let (keeping, pins, untold, unremoved, passed_over) = Default::default();
        Ok(Self { root, disk, signer: None, starts, keeping, pins, untold, unremoved, passed_over })
    }

    /// Where it lies.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Signs what is sealed and closed from here on.
    pub fn signed_by(self, signer: Option<SecretKey>) -> Self {
        Self { signer: signer.map(Arc::new), ..self }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a recording.
    pub fn folder(&self, id: &RecordingId) -> PathBuf {
        self.root.join(id.folder())
    }

    /// Makes the folder of a recording that begins, and notes where it goes.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when that recording has begun before.
    pub fn begin(&self, id: &RecordingId, target: &StoreTarget) -> io::Result<PathBuf> {
        let folder = self.folder(id);
        if self.is_begun(id)? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} has begun before", folder.display())));
        }
        self.disk.create_folders(&folder).map_err(at(&folder))?;
        let described = serde_json::to_vec(target)?;
        let mark = || if target.write_only { self.disk.write_durably(&folder.join(UNSENT), b"") } else { Ok(()) };
        let store = || self.disk.write_durably(&folder.join(STORE), &described);
        let begun = self.remember_start(id).and_then(|()| mark().and_then(|()| store()).map_err(at(&folder)));
        // Better without than not at all.
        ROOM.iter().try_for_each(|name| self.disk.create(&folder.join(name))?.write_all(b"\n")).ok();
        if begun.is_err() {
            self.remove(id).ok(); // What is left then is removed at the next start.
        }
        begun.map(|()| folder)
    }

    /// Makes the folder of a recording that was triggered, or finds it begun.
    pub fn set_off(&self, id: &RecordingId, trigger: &Trigger, target: &StoreTarget) -> io::Result<()> {
        let folder = self.folder(id);
        self.disk.create_folders(&folder)?;
        self.disk.write_durably(&folder.join(TRIGGER), &serde_json::to_vec(trigger)?)?;
        if self.is_begun(id)? { Ok(()) } else { self.begin(id, target).map(drop) }
    }

    /// What set a recording off, if that is known.
    pub fn trigger(&self, id: &RecordingId) -> io::Result<Option<Trigger>> {
        let Some(bytes) = self.disk.read(&self.folder(id).join(TRIGGER)).map(Some).or_else(gone(None))? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Where windows keep the past ready.
    pub fn ready_root(&self) -> PathBuf {
        self.root.join(READY)
    }

    /// Where a window keeps the past ready.
    pub fn ready_folder(&self, window: &Name) -> PathBuf {
        self.ready_root().join(window.as_str())
    }

    /// Where a recording goes.
    pub fn target(&self, id: &RecordingId) -> io::Result<StoreTarget> {
        Ok(serde_json::from_slice(&self.disk.read(&self.folder(id).join(STORE))?)?)
    }

    /// Every recording that has begun and is not stored completely, oldest first.
    pub fn recordings(&self) -> io::Result<Vec<RecordingId>> {
        let mut found = Vec::new();
        self.descend(&self.root, 0, &mut found)?;
        found.sort_by(|a, b| (a.start, &a.window).cmp(&(b.start, &b.window)));
        Ok(found)
    }

    fn descend(&self, folder: &Path, depth: u32, found: &mut Vec<RecordingId>) -> io::Result<()> {
        if depth == 4 {
            let inside = folder.strip_prefix(&self.root).ok().and_then(Path::to_str);
            // What is not ours to name is not ours to touch.
            found.extend(inside.and_then(|inside| RecordingId::parse_folder(inside).ok()));
            return Ok(());
        }
        let entries = self.disk.list(folder).or_else(gone(Vec::new()))?;
        for Entry { name, .. } in entries.into_iter().filter(|entry| entry.is_folder) {
            // What is not ours to name may not be ours to read either: each new volume has its lost+found.
            let is_ours = if depth == 2 { is_a::<Start>(&name) } else { is_a::<Name>(&name) };
            let below = folder.join(name);
            if is_ours && let Err(error) = self.descend(&below, depth + 1, found) {
                self.pass_over(&below, &error);
            }
        }
        Ok(())
    }

    /// Tells, once, that something cannot be read: what can must not wait for it.
    fn pass_over(&self, path: &Path, error: &io::Error) {
        if lock(&self.passed_over).insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "cannot be read: passed over until it can");
        }
    }

    /// Numbers of the segments of a recording that are sealed and not stored, in order.
    pub fn waiting(&self, id: &RecordingId) -> io::Result<Vec<u32>> {
        self.numbered(id, formats::store::SEAL)
    }

    fn numbered(&self, id: &RecordingId, wanted: &str) -> io::Result<Vec<u32>> {
        let mut numbers = BTreeSet::new();
        for Entry { name, .. } in self.disk.list(&self.folder(id)).or_else(gone(Vec::new()))? {
            match name.to_str().map(str::parse) {
                Some(Ok(FileName::Segment { sequence, suffix })) if suffix == wanted => {
                    numbers.insert(sequence);
                }
                _ => {}
            }
        }
        Ok(numbers.into_iter().collect())
    }

    /// The seal of a segment that waits.
    pub fn seal(&self, id: &RecordingId, sequence: u32) -> io::Result<Result<Seal, SealError>> {
        self.disk.read(&self.path(id, &FileName::seal(sequence))).map(|bytes| Seal::from_bytes(&bytes))
    }

    /// The path of a file of a recording.
    pub fn path(&self, id: &RecordingId, file: &FileName) -> PathBuf {
        self.folder(id).join(file.to_string())
    }

    /// Writes a seal or `close.json` durably, before it its signature: what is there is signed.
    pub fn put_ledger(&self, id: &RecordingId, name: &FileName, bytes: &[u8]) -> io::Result<()> {
        let signature = self.path(id, &name.signature());
        match &self.signer {
            Some(signer) => self.write_with_room(id, &signature, &signer.sign(bytes, &id.path(name)))?,
            // Left by an attempt that had a key, and of other bytes.
            None => self.disk.remove(&signature).or_else(gone(()))?,
        }
        self.write_with_room(id, &self.path(id, name), bytes)
    }

    fn write_with_room(&self, id: &RecordingId, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let written = self.disk.write_durably(path, bytes);
        let is_full = written.as_ref().is_err_and(is_full);
        let room = || ROOM.iter().find(|name| self.disk.remove(&self.folder(id).join(name)).is_ok());
        if is_full && room().is_some() { self.write_with_room(id, path, bytes) } else { written }
    }

    /// `close.json` of a recording that has ended, amended by what was given up since it was written.
    /// It has not left the node, so nobody has seen it without.
    pub fn close(&self, id: &RecordingId) -> io::Result<Option<Result<Close, SealError>>> {
        let path = self.path(id, &FileName::Close);
        let Some(bytes) = self.disk.read(&path).map(Some).or_else(gone(None))? else { return Ok(None) };
        let mut close = match Close::from_bytes(&bytes) {
            Ok(close) => close,
            Err(error) => return Ok(Some(Err(error))),
        };
        let (mut forgotten, volume) = self.untold(id)?;
        if !forgotten.is_empty() {
            close.forgotten.append(&mut forgotten);
            close.forgotten_volume += volume;
            self.put_ledger(id, &FileName::Close, &close.to_bytes())?;
            self.told(id, &close.forgotten)?;
        }
        Ok(Some(Ok(close)))
    }

    /// Whether a recording has begun here, and is not done.
    pub fn is_begun(&self, id: &RecordingId) -> io::Result<bool> {
        self.disk.exists(&self.folder(id).join(STORE))
    }
}

/// Whether a disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether it can be the name of such a thing.
fn is_a<T: FromStr>(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<T>().is_ok())
}
