//! Copies a recording into a folder, proving it on the way.
//!
//! The copy has the layout of a store: it can be listed, verified and dissected like one. Files come under
//! another name and are renamed when their hash is right; signatures come after their files, then seals, and
//! `close.json` last, as they do from the recorder, so that an interrupted copy looks like a recording that has not ended.

use super::hashed::{Hashed, Sealed};
use super::plain::Along;
use super::proof::{Looked, at_once, ledgers, prove, sealed};
use super::verify::ProofKeys;
use super::{Recorded, SnapshotError};
use crate::keys::Keys;
use formats::chain::{Content, Fault, Found, Sound};
use formats::store::FileName;
use indicatif::ProgressBar;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Marks a file that is not whole yet.
const PART: &str = ".part";

/// What a download did.
#[derive(Debug)]
pub struct Downloaded {
    /// The proof, or the first thing that is wrong with the recording in its store. What is not as it was
    /// sealed is not kept.
    pub proof: Result<Sound, Fault>,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Bytes that were there before.
    pub kept_bytes: u64,
}

/// Copies a recording to its place below `into`, as it is stored, proving also its signatures and what is in its encrypted
/// files if there are `keys`; what comes in is counted on `bar`.
///
/// # Errors
/// [`SnapshotError`] when the store or the disk fails. Started anew, it goes on where it ended.
pub async fn download(
    recorded: &Recorded,
    into: &Path,
    keys: &ProofKeys,
    bar: &ProgressBar,
) -> Result<Downloaded, SnapshotError> {
    // Made of checked names only.
    let folder = into.join(recorded.id.folder());
    fs::create_dir_all(&folder).map_err(local(&folder))?;
    let ledgers = ledgers(recorded, bar).await?;
    let sealed = sealed(&ledgers);
    let others = recorded.files.iter().filter(|(name, _)| !Found::is_ledger(name)).cloned();
    let fetched = at_once(others.map(|(name, bytes)| {
        let wanted = name.parse().ok().and_then(|name: FileName| Some((*sealed.get(&name)?, name)));
        let (recorded, folder, bar, keys) = (recorded.clone(), folder.clone(), bar.clone(), keys.secret.clone());
        async move {
            let Some((sealed, wanted)) = wanted else {
                // It is not evidence, and not worth a copy.
                bar.inc(bytes);
                return Ok((Looked::passed_by(name), 0, 0));
            };
            let (found, fetched_bytes, kept_bytes) = fetch(&recorded, &folder, &wanted, bytes, sealed, &bar).await?;
            let along = tokio::task::block_in_place(|| plain(&folder, &wanted, &keys))?;
            Ok((Looked::into(&wanted, found, along), fetched_bytes, kept_bytes))
        }
    }))
    .await?;
    let fetched_bytes = fetched.iter().map(|(_, fetched, _)| fetched).sum();
    let kept_bytes = fetched.iter().map(|(.., kept)| kept).sum();
    let looked = fetched.into_iter().map(|(looked, ..)| looked).collect();
    let proof = prove(recorded, ledgers.clone(), looked, &keys.public);
    // By name: signatures, then seals in order, then `close.json`.
    for signatures in [true, false] {
        for file in &ledgers {
            if let (Content::Ledger(bytes), Ok(name)) = (&file.content, file.name.parse::<FileName>())
                && name.is_signature() == signatures
            {
                put(&folder.join(name.to_string()), bytes)?;
            }
        }
    }
    Ok(Downloaded { proof: proof?, fetched_bytes, kept_bytes })
}

/// What is in a file that was fetched, where it is there and encrypted, and there is a key.
fn plain(folder: &Path, name: &FileName, keys: &Keys) -> Result<Option<Along>, SnapshotError> {
    let place = folder.join(name.to_string());
    let Some(mut along) = Along::begin(&name.to_string(), keys)?.filter(|_| place.exists()) else { return Ok(None) };
    let mut stored = File::open(&place).map_err(local(&place))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match stored.read(&mut piece).map_err(local(&place))? {
            0 => return Ok(Some(along)),
            bytes => along.add(piece.get(..bytes).unwrap_or_default())?,
        }
    }
}

/// Fetches one file, unless it is there. What is in the store, bytes fetched, and bytes that were there.
async fn fetch(
    recorded: &Recorded,
    folder: &Path,
    name: &FileName,
    bytes: u64,
    sealed: Sealed,
    bar: &ProgressBar,
) -> Result<(Sealed, u64, u64), SnapshotError> {
    let place = folder.join(name.to_string());
    let there = tokio::task::block_in_place(|| hash_of(&place))?;
    if there.is_some_and(|there| there.sum() == sealed) && bytes == sealed.0 {
        bar.inc(bytes);
        return Ok((sealed, 0, bytes));
    }
    let mut part = Part::resume(&place, bytes)?;
    let mut kept_bytes = part.hashed.bytes;
    bar.inc(kept_bytes);
    part.fill(recorded, name, bytes, bar).await?;
    let mut fetched_bytes = part.hashed.bytes.saturating_sub(kept_bytes);
    if kept_bytes > 0 && part.hashed.sum() != sealed {
        // The part may have been of another file, or damaged here: only a whole read accuses the store.
        part.restart()?;
        kept_bytes = 0;
        part.fill(recorded, name, bytes, &ProgressBar::hidden()).await?;
        fetched_bytes = fetched_bytes.saturating_add(part.hashed.bytes);
    }
    let found = part.hashed.sum();
    match found == sealed {
        true => part.keep(&place)?,
        false => part.discard()?,
    }
    Ok((found, fetched_bytes, kept_bytes))
}

/// A file that is not whole yet.
struct Part {
    path: PathBuf,
    file: File,
    hashed: Hashed,
}

impl Part {
    /// Takes up what an earlier download left, if it can be the begin of a file of `bytes`.
    fn resume(place: &Path, bytes: u64) -> Result<Self, SnapshotError> {
        let mut path = place.as_os_str().to_owned();
        path.push(PART);
        let path = PathBuf::from(path);
        let hashed = tokio::task::block_in_place(|| hash_of(&path))?.unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(local(&path))?;
        let mut part = Self { path, file, hashed };
        if part.hashed.bytes > bytes {
            part.restart()?;
        }
        Ok(part)
    }

    fn restart(&mut self) -> Result<(), SnapshotError> {
        self.hashed = Hashed::default();
        self.file.set_len(0).map_err(local(&self.path))
    }

    /// Appends what is missing to `bytes`.
    async fn fill(
        &mut self,
        recorded: &Recorded,
        name: &FileName,
        bytes: u64,
        bar: &ProgressBar,
    ) -> Result<(), SnapshotError> {
        if self.hashed.bytes >= bytes {
            return Ok(());
        }
        let (from, location) = (self.hashed.bytes, recorded.location(name));
        let append = |piece: &[u8]| {
            self.file.write_all(piece).map_err(local(&self.path))?;
            self.hashed.add(piece);
            bar.inc(piece.len() as u64);
            Ok(())
        };
        recorded.store.read(&location, from, append).await
    }

    fn keep(self, place: &Path) -> Result<(), SnapshotError> {
        self.file.sync_all().map_err(local(&self.path))?;
        name(&self.path, place)
    }

    fn discard(self) -> Result<(), SnapshotError> {
        fs::remove_file(&self.path).map_err(local(&self.path))
    }
}

/// What is in a file; none if there is none.
fn hash_of(path: &Path) -> Result<Option<Hashed>, SnapshotError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(local(path))?,
    };
    let (mut hashed, mut piece) = (Hashed::default(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece).map_err(local(path))? {
            0 => return Ok(Some(hashed)),
            bytes => hashed.add(piece.get(..bytes).unwrap_or_default()),
        }
    }
}

/// Writes a file whole, or not at all.
fn put(place: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut part = place.as_os_str().to_owned();
    part.push(PART);
    let part = PathBuf::from(part);
    let written = File::create(&part).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(local(place))?;
    name(&part, place)
}

/// Gives a whole file its name, and waits until the disk has it: after a power cut nothing that comes later is there without it.
fn name(part: &Path, place: &Path) -> Result<(), SnapshotError> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let named = fs::rename(part, place).and_then(|()| File::open(folder)?.sync_all());
    named.map_err(local(place))
}

fn local(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    |source| SnapshotError::Local { path: path.to_owned(), source }
}
