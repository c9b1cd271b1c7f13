//! The folder where segments wait for the store: the seal room fills it, the upload room empties it.
//!
//!     <spool>/<cluster>/<window>/<start>/<node>/     as in the store
//!         store.json            where it goes; written first, never uploaded
//!         000003.pcapng.zst     …                    the files of a segment
//!         000003.seal.json.minisig                   where there is a key, before the seal it signs
//!         000003.seal.json                           renamed into place after them: now it may be uploaded
//!         000002.sent.json                           a seal that is stored, its files with it; kept until the
//!                                                    recording is, to continue the chain after a crash
//!         000001.forgotten                           its files were given up; the next seal, or close.json, says so
//!         close.json.minisig, close.json             renamed into place last
//!
//! Every step is one rename or one removal, so that a crash leaves the state before it or after it.
//! Names that are none of these belong to who is still writing them.

use crate::schedule::StoreTarget;
use formats::seal::{Close, Seal, SealError, Volume};
use formats::signature::SecretKey;
use formats::store::{FileName, Name, RecordingId};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Suffix of a seal that is stored.
pub const SENT: &str = "sent.json";
/// Suffix of the mark that the files of a segment were given up.
pub const FORGOTTEN: &str = "forgotten";
/// Where a recording goes.
const STORE: &str = "store.json";

/// A spool folder.
#[derive(Debug, Clone)]
pub struct Spool {
    root: PathBuf,
    signer: Option<Arc<SecretKey>>,
}

impl Spool {
    /// The spool in `root`, which is made if it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned(), signer: None })
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
        if folder.join(STORE).exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} has begun before", folder.display())));
        }
        fs::create_dir_all(&folder)?;
        write_durably(&folder.join(STORE), &serde_json::to_vec(target)?)?;
        Ok(folder)
    }

    /// Where a recording goes.
    pub fn target(&self, id: &RecordingId) -> io::Result<StoreTarget> {
        Ok(serde_json::from_slice(&fs::read(self.folder(id).join(STORE))?)?)
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
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.descend(&entry.path(), depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// Bytes of all files in it.
    pub fn used_bytes(&self) -> io::Result<u64> {
        sum(&self.root)
    }

    /// Bytes of all files of a window's recordings.
    pub fn used_bytes_of(&self, window: &Name) -> io::Result<u64> {
        let mut bytes = 0;
        for cluster in fs::read_dir(&self.root)? {
            bytes += sum(&cluster?.path().join(window.as_str())).or_else(gone(0))?;
        }
        Ok(bytes)
    }

    /// Numbers of the segments of a recording that are sealed and not stored, in order.
    pub fn waiting(&self, id: &RecordingId) -> io::Result<Vec<u32>> {
        self.numbered(id, formats::store::SEAL)
    }

    fn numbered(&self, id: &RecordingId, wanted: &str) -> io::Result<Vec<u32>> {
        let mut numbers = BTreeSet::new();
        for entry in fs::read_dir(self.folder(id)).map(Some).or_else(gone(None))?.into_iter().flatten() {
            let name = entry?.file_name();
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
        fs::read(self.path(id, &FileName::seal(sequence))).map(|bytes| Seal::from_bytes(&bytes))
    }

    /// The path of a file of a recording.
    pub fn path(&self, id: &RecordingId, file: &FileName) -> PathBuf {
        self.folder(id).join(file.to_string())
    }

    /// Writes a seal or `close.json` durably, before it its signature: what is there is signed.
    pub fn put_ledger(&self, id: &RecordingId, name: &FileName, bytes: &[u8]) -> io::Result<()> {
        let signature = self.path(id, &name.signature());
        match &self.signer {
            Some(signer) => write_durably(&signature, &signer.sign(bytes, &id.path(name)))?,
            // Left by an attempt that had a key, and of other bytes.
            None => fs::remove_file(&signature).or_else(gone(()))?,
        }
        write_durably(&self.path(id, name), bytes)
    }

    /// A segment and its seal are stored: forgets the files, keeps the seal under another name.
    pub fn sent(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        let sent = FileName::segment(seal.sequence, SENT);
        // First the rename: a crash between the two leaves files that nobody waits for, not a seal without files.
        // Another process with the same spool may have been faster; what is stored is stored.
        fs::rename(self.path(id, &FileName::seal(seal.sequence)), self.path(id, &sent)).or_else(gone(()))?;
        sync_folder(&self.folder(id)).or_else(gone(()))?;
        fs::remove_file(self.path(id, &FileName::seal(seal.sequence).signature())).or_else(gone(()))?;
        self.remove_files(id, seal)
    }

    /// Gives up the files of a segment that waits, and marks it for the next seal to tell.
    pub fn forget(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        let mark = FileName::segment(seal.sequence, FORGOTTEN);
        write_durably(&self.path(id, &mark), &serde_json::to_vec(&seal.counts.written)?)?;
        self.remove_files(id, seal)
    }

    /// Bytes that the files of a segment take here: none once they are stored or given up.
    pub fn bytes_of(&self, id: &RecordingId, seal: &Seal) -> u64 {
        let bytes = |file| fs::metadata(self.path(id, file)).map_or(0, |file| file.len());
        seal.files.iter().map(|file| bytes(&file.name)).sum()
    }

    fn remove_files(&self, id: &RecordingId, seal: &Seal) -> io::Result<()> {
        seal.files.iter().try_for_each(|file| fs::remove_file(self.path(id, &file.name)).or_else(gone(())))
    }

    /// Whether the files of a segment were given up and no seal has told it yet.
    pub fn is_forgotten(&self, id: &RecordingId, sequence: u32) -> bool {
        self.path(id, &FileName::segment(sequence, FORGOTTEN)).exists()
    }

    /// Segments that were given up and that no seal has told of, with the packets in them: for the next seal,
    /// or `close.json`. Call [`Spool::told`] when that is in place.
    pub fn untold(&self, id: &RecordingId) -> io::Result<(Vec<u32>, Volume)> {
        let numbers = self.numbered(id, FORGOTTEN)?;
        let mut sum = Volume::default();
        for &sequence in &numbers {
            let bytes = fs::read(self.path(id, &FileName::segment(sequence, FORGOTTEN)))?;
            sum += serde_json::from_slice::<Volume>(&bytes)?;
        }
        Ok((numbers, sum))
    }

    /// A seal or `close.json` that tells of these is in place.
    pub fn told(&self, id: &RecordingId, forgotten: &[u32]) -> io::Result<()> {
        let mark = |sequence: u32| self.path(id, &FileName::segment(sequence, FORGOTTEN));
        forgotten.iter().try_for_each(|&sequence| fs::remove_file(mark(sequence)).or_else(gone(())))
    }

    /// `close.json` of a recording that has ended, amended by what was given up since it was written.
    /// It has not left the node, so nobody has seen it without.
    pub fn close(&self, id: &RecordingId) -> io::Result<Option<Result<Close, SealError>>> {
        let path = self.path(id, &FileName::Close);
        let Some(bytes) = fs::read(&path).map(Some).or_else(gone(None))? else { return Ok(None) };
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

    /// A recording is stored, `close.json` and all: nothing of it stays here.
    pub fn done(&self, id: &RecordingId) -> io::Result<()> {
        let folder = self.folder(id);
        fs::remove_dir_all(&folder).or_else(gone(()))?;
        // The folder of the run, if nothing else is in it. Those above are for the next run.
        folder.parent().map(fs::remove_dir);
        Ok(())
    }

    /// After a crash: removes files whose seal says that they are stored.
    pub fn tidy(&self, id: &RecordingId) -> io::Result<()> {
        let sent = self.numbered(id, SENT)?;
        for entry in fs::read_dir(self.folder(id))? {
            let entry = entry?;
            match entry.file_name().to_str().map(str::parse) {
                Some(Ok(FileName::Segment { sequence, suffix }))
                    if sent.contains(&sequence) && suffix != SENT && suffix != FORGOTTEN =>
                {
                    fs::remove_file(entry.path())?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn sum(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => sum(&entry.path()).or_else(gone(0))?,
            false => entry.metadata().map(|file| file.len()).or_else(gone(0))?,
        };
    }
    Ok(bytes)
}

/// Whoever else empties the spool was faster: no error.
fn gone<T>(instead: T) -> impl FnOnce(io::Error) -> io::Result<T> {
    |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(instead),
        _ => Err(error),
    }
}

/// Writes a file so that it is there whole, or not at all, whatever happens.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut open = path.as_os_str().to_owned();
    open.push(".open");
    let mut file = File::create(&open)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&open, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes renames in a folder survive a crash.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
