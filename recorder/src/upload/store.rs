//! A store to send to: created, never overwritten, and proved.

use super::options::options;
use super::probe::Probe;
use super::source::{ETags, Source, spool_error};
use super::turns::{Place, Turns};
use super::{Failing, UploadError, s3};
use crate::disk::{Disk, SystemDisk};
use crate::limits;
use crate::schedule::StoreTarget;
use crate::spool::UNSENT;
use bytes::Bytes;
use formats::hash::Hash256;
use formats::said::said;
use futures::TryStreamExt;
use object_store::path::Path as StorePath;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A file is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its path in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash256,
    /// How we know.
    pub proof: Proof,
}

/// How we know that a file is in the store as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was read back: same size, same SHA-256.
    ReadBack,
    /// The credentials cannot read. The store compared every part with the SHA-256 we sent along before it said
    /// yes (`x-amz-checksum-sha256`), for it refuses what has another.
    StoreCompared,
    /// The credentials cannot read, and the store does not compare. The ETag that it gave is that of what was sent: it has the
    /// same MD5.
    ETag,
}

/// A store that is open.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The same without a second try: what is there already is then not what the first one brought.
    once: Arc<dyn ObjectStore>,
    prefix: StorePath,
    shown: String,
    proof: Proof,
    /// The folder, if it is one of this machine: it must be synced before we rely on it.
    local: Option<PathBuf>,
    place: Arc<Place>,
    /// Whether the store was seen to compare, where that is the proof.
    compares: Arc<OnceCell<bool>>,
}

/// What is said of a store that had its part for too long.
const SLOW: &str = "no answer for long, and other stores wait: it is tried again after those that are slow, too";

impl Store {
    /// Opens a store with the options of the environment (`AWS_…`, `AZURE_…`, `GOOGLE_…`).
    pub fn open(target: &StoreTarget) -> Result<Self, UploadError> {
        Self::open_with(target, std::env::vars_os())
    }

    /// Opens a store with that for its environment.
    pub fn open_with(
        target: &StoreTarget,
        environment: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<Self, UploadError> {
        let shown = target.url.to_string();
        let failed = |error: &(dyn Error + 'static)| UploadError::Store { store: shown.clone(), said: said(error) };
        let options = options(target, environment).map_err(|error| failed(&error))?;
        let (url, lock) = (target.url.url(), target.object_lock);
        let opened = match (lock, target.write_only) {
            (None, false) => object_store::parse_url_opts(url, options.clone()),
            (lock, _) => s3::open(url, options.clone(), lock, RetryConfig::default()),
        };
        let (objects, prefix) = opened.map_err(|error| failed(&error))?;
        let objects: Arc<dyn ObjectStore> = objects.into();
        let once = match target.write_only {
            true => {
                let once = s3::open(url, options, lock, RetryConfig { max_retries: 0, ..RetryConfig::default() });
                once.map_err(|error| failed(&error))?.0.into()
            }
            false => objects.clone(),
        };
        Ok(Self {
            objects,
            once,
            prefix,
            shown,
            proof: if target.write_only { Proof::StoreCompared } else { Proof::ReadBack },
            local: target.url.url().to_file_path().ok(),
            place: Place::new(Arc::default()),
            compares: Arc::default(),
        })
    }

    /// A store of the caller's making, who knows what it compares.
    pub fn over(objects: Arc<dyn ObjectStore>, prefix: StorePath) -> Self {
        let (shown, place) = (objects.to_string(), Place::new(Arc::default()));
        Self {
            shown,
            once: objects.clone(),
            objects,
            prefix,
            proof: Proof::ReadBack,
            local: None,
            place,
            compares: Arc::new(OnceCell::from(true)),
        }
    }

    /// The same, if its credentials can only write.
    #[cfg(test)]
    pub fn write_only(self) -> Self {
        Self { proof: Proof::StoreCompared, ..self }
    }

    /// The same, taking turns with other stores.
    pub(super) fn taking_turns(self, turns: &Arc<Turns>) -> Self {
        Self { place: Place::new(turns.clone()), ..self }
    }

    /// Sends `file` of `disk` to `path` below the store and proves that it is there.
    ///
    /// A file that is there already, from before a crash, is proved and not sent again; where nobody can read, it is sent
    /// again, if something of its recording was sent from here before.
    ///
    /// # Bounds
    /// A part of [`limits::PART_BYTES`] in memory, in its turn.
    /// # Errors
    /// [`UploadError::Conflict`] when something else is there, [`UploadError::Taken`] when nobody can tell, [`UploadError::Damaged`] when the file is no longer
    /// what `sealed` says, [`UploadError::Uncompared`] when nothing would prove it; the store's and the spool's own errors.
    pub async fn send(
        &self,
        disk: &dyn Disk,
        path: &str,
        file: &Path,
        sealed: Hash256,
    ) -> Result<Receipt, UploadError> {
        let location = self.location(path);
        let mut source = Source::open(disk, file)?;
        if self.proof == Proof::StoreCompared {
            let compares = self.compares.get_or_try_init(|| self.ask_whether_it_compares(path)).await?;
            source.e_tags = (!compares).then(ETags::default);
        }
        let size = disk.look(file).map_err(|source| spool_error(file, source))?.bytes;
        let is_first = self.proof == Proof::StoreCompared && try_first(disk, file)?;
        let is_small = size < limits::PART_BYTES as u64;
        let created = match is_small {
            true => self.turn(self.create_whole(&location, &mut source, sealed, is_first)).await?,
            // Parts take the place of what is there: whether something is, an empty file tells.
            false if is_first => self.create(&location, Bytes::new(), true).await?,
            false => Some(Created(None)),
        };
        if is_first && created.is_none() {
            mark(disk, file, TRIED, UNSENT)?;
            return Err(UploadError::Taken { path: path.to_owned() });
        }
        let created = if is_small { created } else { self.create_in_parts(&location, &mut source, sealed).await? };
        let receipt = |bytes, sha256, proof| Receipt { path: path.to_owned(), bytes, sha256, proof };
        // What we did not create ourselves is only proved by reading it.
        if let Some(Created(e_tag)) = created
            && self.proof == Proof::StoreCompared
        {
            return match source.e_tags.map(|sent| e_tag.is_some_and(|e_tag| sent.is(&e_tag))) {
                None => Ok(receipt(source.bytes, sealed, Proof::StoreCompared)),
                Some(true) => Ok(receipt(source.bytes, sealed, Proof::ETag)),
                Some(false) => Err(UploadError::Uncompared { store: self.shown.clone() }),
            };
        }
        if let Some(folder) = &self.local {
            sync(&folder.join(path))?;
        }
        let (bytes, found) = self.read_back(&location, size).await?;
        match found == sealed {
            true => Ok(receipt(bytes, found, Proof::ReadBack)),
            false => Err(UploadError::Conflict { path: path.to_owned(), found, sealed }),
        }
    }

    /// That it owes an answer, where it takes too long.
    pub(super) fn silence(&self) -> Option<Failing> {
        let since = self.place.silent_since()?;
        Some(Failing { since, why: format!("store {}: no answer since then", self.shown) })
    }

    async fn ask_whether_it_compares(&self, path: &str) -> Result<bool, UploadError> {
        let location = self.location(&format!("{path}.probe"));
        let asked = self.place.ask(Probe::ask(self.objects.as_ref(), &location)).await;
        asked.map_err(|source| self.error(source))
    }

    fn location(&self, path: &str) -> StorePath {
        path.split('/').fold(self.prefix.clone(), |location, part| location.join(part))
    }

    /// What holds a part in memory, when it is this store's turn.
    async fn turn<T>(&self, send: impl Future<Output = Result<T, UploadError>>) -> Result<T, UploadError> {
        let for_others = || UploadError::Store { store: self.shown.clone(), said: SLOW.to_owned() };
        self.place.take(send).await.unwrap_or_else(|| Err(for_others()))
    }

    async fn create_whole(
        &self,
        location: &StorePath,
        source: &mut Source,
        sealed: Hash256,
        is_first: bool,
    ) -> Result<Option<Created>, UploadError> {
        let content = source.part()?;
        // Whatever was not hashed as sealed must not become evidence.
        match source.hash() == sealed {
            true => self.create(location, content, is_first).await,
            false => Err(UploadError::Damaged { path: source.path.clone() }),
        }
    }

    /// What was said of it, if it was us who created it.
    async fn create(
        &self,
        location: &StorePath,
        content: Bytes,
        is_first: bool,
    ) -> Result<Option<Created>, UploadError> {
        let payload = PutPayload::from_bytes(content);
        let only_new = PutOptions::from(PutMode::Create);
        let objects = if is_first { &self.once } else { &self.objects };
        match self.place.ask(objects.put_opts(location, payload.clone(), only_new)).await {
            Ok(put) => Ok(Some(Created(put.e_tag))),
            // From before a crash, or the answer to it was lost; and nobody can read what it is. Sent again it is
            // compared again, and a store that keeps versions keeps also what was there.
            Err(object_store::Error::AlreadyExists { .. }) if self.proof == Proof::StoreCompared && !is_first => self
                .place
                .ask(self.objects.put(location, payload))
                .await
                .map(|put| Some(Created(put.e_tag)))
                .map_err(|source| self.error(source)),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(None),
            // A store without conditional writes: the look before is all there is. Nobody but this node
            // writes to this folder.
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                if self.exists(location).await? {
                    return Ok(None);
                }
                self.place
                    .ask(self.objects.put(location, payload))
                    .await
                    .map(|put| Some(Created(put.e_tag)))
                    .map_err(|source| self.error(source))
            }
            Err(source) => Err(self.error(source)),
        }
    }

    /// As [`Store::create`], for files of more than one part. Parts cannot be written conditionally; the seal
    /// that follows is, and it is the seal that makes the file evidence.
    async fn create_in_parts(
        &self,
        location: &StorePath,
        source: &mut Source,
        sealed: Hash256,
    ) -> Result<Option<Created>, UploadError> {
        if self.proof == Proof::ReadBack && self.exists(location).await? {
            return Ok(None);
        }
        let mut upload =
            self.place.ask(self.objects.put_multipart(location)).await.map_err(|source| self.error(source))?;
        let sent = self.send_parts(upload.as_mut(), source, sealed).await;
        if sent.is_err() {
            // The parts would stay, unseen and paid for. If this fails too, the first error says why.
            let _ = self.place.ask(upload.abort()).await;
        }
        sent.map(Some)
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        source: &mut Source,
        sealed: Hash256,
    ) -> Result<Created, UploadError> {
        while self.turn(self.send_part(upload, source)).await? {}
        if source.hash() != sealed {
            return Err(UploadError::Damaged { path: source.path.clone() });
        }
        let put = self.place.ask(upload.complete()).await.map_err(|source| self.error(source))?;
        if let Some(sent) = &mut source.e_tags {
            sent.in_parts = true;
        }
        Ok(Created(put.e_tag))
    }

    /// Sends the next part; false when there was none.
    async fn send_part(&self, upload: &mut dyn MultipartUpload, source: &mut Source) -> Result<bool, UploadError> {
        let part = source.part()?;
        if part.is_empty() {
            return Ok(false);
        }
        self.place
            .ask(upload.put_part(PutPayload::from_bytes(part)))
            .await
            .map(|()| true)
            .map_err(|source| self.error(source))
    }

    async fn exists(&self, location: &StorePath) -> Result<bool, UploadError> {
        match self.place.ask(self.objects.head(location)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            // Who may not read may not ask either.
            Err(object_store::Error::PermissionDenied { .. }) if self.proof == Proof::StoreCompared => Ok(false),
            Err(source) => Err(self.error(source)),
        }
    }

    /// Size and SHA-256 of what is there. Of what was sent in parts each is asked for by itself: no request takes longer.
    async fn read_back(&self, location: &StorePath, sent_bytes: u64) -> Result<(u64, Hash256), UploadError> {
        let part_bytes = limits::PART_BYTES as u64;
        let (mut bytes, mut hasher) = (0, Sha256::new());
        loop {
            let part = (sent_bytes > part_bytes).then(|| GetRange::Bounded(bytes..bytes + part_bytes));
            let asked = GetOptions { range: part, ..GetOptions::default() };
            let found =
                self.place.ask(self.objects.get_opts(location, asked)).await.map_err(|source| self.error(source))?;
            let (end, all_bytes) = (found.range.end, found.meta.size);
            let mut stream = found.into_stream();
            while let Some(chunk) = self.place.ask(stream.try_next()).await.map_err(|source| self.error(source))? {
                bytes += chunk.len() as u64;
                hasher.update(&chunk);
            }
            // Whatever came less than was said is missed by its hash.
            if end >= all_bytes || bytes < end {
                return Ok((bytes, Hash256(hasher.finalize().into())));
            }
        }
    }

    fn error(&self, source: object_store::Error) -> UploadError {
        UploadError::Store { store: self.shown.clone(), said: said(&source) }
    }
}

/// Something is in the store, and that is its ETag, if the store told.
struct Created(Option<String>);

/// What [`UNSENT`] is called once something of a recording was sent.
const TRIED: &str = "tried";

/// Renames the mark that stands beside a file, to stay.
fn mark(disk: &dyn Disk, file: &Path, from: &str, to: &str) -> Result<(), UploadError> {
    let renamed = disk.rename(&file.with_file_name(from), &file.with_file_name(to));
    let synced = renamed.and_then(|()| file.parent().map_or(Ok(()), |folder| disk.sync_folder(folder)));
    synced.map_err(|source| spool_error(file, source))
}

/// Whether nothing of the recording of this file was sent before; it counts as sent from here on. What has no mark may have
/// been.
fn try_first(disk: &dyn Disk, file: &Path) -> Result<bool, UploadError> {
    let is_first = disk.exists(&file.with_file_name(UNSENT)).map_err(|source| spool_error(file, source))?;
    if is_first {
        mark(disk, file, UNSENT, TRIED)?;
    }
    Ok(is_first)
}

/// object_store leaves a local file to the page cache.
fn sync(path: &Path) -> Result<(), UploadError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced
        .and_then(|()| path.parent().map_or(Ok(()), |folder| SystemDisk.sync_folder(folder)))
        .map_err(|source| spool_error(path, source))
}

#[cfg(test)]
mod tests;
