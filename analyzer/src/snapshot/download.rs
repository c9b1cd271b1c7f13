//! Copies a recording into a folder, proving it on the way.
//!
//! The copy has the layout of a store: it can be listed, verified and dissected like one. Files come under
//! another name and are renamed when their hash is right; signatures come after their files, then seals, and
//! `close.json` last, as they do from the recorder, so that an interrupted copy looks like a recording that has not ended.

use super::plain::Along;
use super::verify::{ProofKeys, ledger, prove};
use super::{FILES_AT_ONCE, Recorded, SnapshotError};
use crate::keys::Keys;
use formats::chain::{Content, Fault, Found, Sound};
use formats::hash::Hash256;
use formats::seal::{Seal, SealedFile};
use formats::store::FileName;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
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
    let mut ledgers = Vec::new();
    for (name, bytes) in recorded.files.iter().filter(|(name, _)| Found::is_ledger(name)) {
        ledgers.push(Found { name: name.clone(), content: ledger(recorded, name, *bytes).await? });
        bar.inc(*bytes);
    }
    let sealed = sealed_files(&ledgers);
    let others = recorded.files.iter().filter(|(name, _)| !Found::is_ledger(name)).cloned();
    let fetched: Vec<(Fetched, Option<Found>)> = stream::iter(others)
        .map(|(name, bytes)| {
            let wanted = name.parse().ok().and_then(|name: FileName| sealed.get(&name).cloned());
            let (recorded, folder, bar, keys) = (recorded.clone(), folder.clone(), bar.clone(), keys.secret.clone());
            tokio::spawn(async move {
                let fetched = fetch(&recorded, &folder, name, bytes, wanted, &bar).await?;
                let plain = tokio::task::block_in_place(|| plain(&folder, &fetched.found, &keys))?;
                Ok((fetched, plain))
            })
        })
        .buffered(FILES_AT_ONCE)
        .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
        .try_collect()
        .await?;
    let fetched_bytes = fetched.iter().map(|(file, _)| file.fetched_bytes).sum();
    let kept_bytes = fetched.iter().map(|(file, _)| file.kept_bytes).sum();
    let files = fetched.into_iter().flat_map(|(file, plain)| [Some(file.found), plain]);
    let found: Vec<Found> = files.flatten().chain(ledgers).collect();
    let proof = prove(recorded, &found, &keys.public);
    // By name: signatures, then seals in order, then `close.json`.
    for signatures in [true, false] {
        for file in &found {
            if let (Content::Ledger(bytes), Ok(name)) = (&file.content, file.name.parse::<FileName>())
                && name.is_signature() == signatures
            {
                put(&folder.join(name.to_string()), bytes)?;
            }
        }
    }
    Ok(Downloaded { proof, fetched_bytes, kept_bytes })
}

/// What every readable seal says of its files.
fn sealed_files(ledgers: &[Found]) -> BTreeMap<FileName, SealedFile> {
    let seals = ledgers.iter().filter_map(|file| match &file.content {
        Content::Ledger(bytes) => Seal::from_bytes(bytes).ok(),
        Content::Hashed { .. } => None,
    });
    seals.flat_map(|seal| seal.files).map(|file| (file.name.clone(), file)).collect()
}

struct Fetched {
    found: Found,
    fetched_bytes: u64,
    kept_bytes: u64,
}

/// What is in a file that was fetched, where it is encrypted and there is a key.
fn plain(folder: &Path, file: &Found, keys: &Keys) -> Result<Option<Found>, SnapshotError> {
    // A name that we would write ourselves stays in the folder.
    let Ok(name) = file.name.parse::<FileName>() else { return Ok(None) };
    let place = folder.join(name.to_string());
    let Some(mut along) = Along::begin(&file.name, keys)?.filter(|_| place.exists()) else { return Ok(None) };
    let mut stored = File::open(&place).map_err(local(&place))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match stored.read(&mut piece).map_err(local(&place))? {
            0 => return along.finish().map(Some),
            bytes => along.add(piece.get(..bytes).unwrap_or_default())?,
        }
    }
}

/// Fetches one file, unless it is there.
async fn fetch(
    recorded: &Recorded,
    folder: &Path,
    name: String,
    bytes: u64,
    wanted: Option<SealedFile>,
    bar: &ProgressBar,
) -> Result<Fetched, SnapshotError> {
    let Some(wanted) = wanted else {
        // Sealed by nobody: the chain says what that means. It is not evidence, and not worth a copy.
        bar.inc(bytes);
        let content = Content::Hashed { bytes, sha256: Hash256::of(b"") };
        return Ok(Fetched { found: Found { name, content }, fetched_bytes: 0, kept_bytes: 0 });
    };
    let place = folder.join(wanted.name.to_string());
    if tokio::task::block_in_place(|| hash_of(&place))?.is_some_and(|there| there.is(&wanted)) && bytes == wanted.bytes
    {
        bar.inc(bytes);
        let content = Content::Hashed { bytes: wanted.bytes, sha256: wanted.sha256 };
        return Ok(Fetched { found: Found { name, content }, fetched_bytes: 0, kept_bytes: wanted.bytes });
    }
    let mut part = Part::resume(&place, bytes)?;
    let mut kept_bytes = part.hashed.bytes;
    bar.inc(kept_bytes);
    part.fill(recorded, &name, bytes, bar).await?;
    let mut fetched_bytes = part.hashed.bytes.saturating_sub(kept_bytes);
    if kept_bytes > 0 && !part.hashed.is(&wanted) {
        // The part may have been of another file, or damaged here: only a whole read accuses the store.
        part.restart()?;
        kept_bytes = 0;
        part.fill(recorded, &name, bytes, &ProgressBar::hidden()).await?;
        fetched_bytes = fetched_bytes.saturating_add(part.hashed.bytes);
    }
    let content = Content::Hashed { bytes: part.hashed.bytes, sha256: part.hashed.sha256() };
    match part.hashed.is(&wanted) {
        true => part.keep(&place)?,
        false => part.discard()?,
    }
    Ok(Fetched { found: Found { name, content }, fetched_bytes, kept_bytes })
}

/// Bytes that went by.
#[derive(Clone, Default)]
struct Hashed {
    bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.hasher.update(piece);
    }

    fn sha256(&self) -> Hash256 {
        Hash256(self.hasher.clone().finalize().into())
    }

    fn is(&self, sealed: &SealedFile) -> bool {
        self.bytes == sealed.bytes && self.sha256() == sealed.sha256
    }
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
        name: &str,
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
        fs::rename(&self.path, place).map_err(local(place))
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
    written.and_then(|()| fs::rename(&part, place)).map_err(local(place))
}

fn local(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    |source| SnapshotError::Local { path: path.to_owned(), source }
}
