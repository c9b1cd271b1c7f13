//! A store to send to: created and proved, and overwritten only where what is there is known to be our own, and damaged.

use super::folder::Folder;
use super::marks::{is_created, not_tried, set_created, try_first};
use super::options::options;
use super::probe::Probe;
use super::source::{ETags, Source, spool_error};
use super::turns::{Place, Turns};
use super::{Failing, Proof, Receipt, UploadError, s3};
use crate::disk::{Disk, SystemDisk};
use crate::limits;
use crate::schedule::StoreTarget;
use bytes::Bytes;
use formats::hash::Hash256;
use formats::said::said;
use formats::store::{FileName, PROBE};
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
        let local = url.to_file_path().ok();
        let objects: Arc<dyn ObjectStore> = if local.is_some() { Arc::new(Folder::default()) } else { objects.into() };
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
            local,
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
            not_tried(disk, file)?;
            return Err(UploadError::Taken { path: path.to_owned() });
        }
        let created = if is_small { created } else { self.create_in_parts(&location, &mut source, sealed).await? };
        // What we did not create ourselves is only proved by reading it.
        if let Some(Created(e_tag)) = &created
            && self.proof == Proof::StoreCompared
        {
            let proof = match source.e_tags.map(|sent| e_tag.as_ref().is_some_and(|e_tag| sent.is(e_tag))) {
                None => Proof::StoreCompared,
                Some(true) => Proof::ETag,
                Some(false) => return Err(UploadError::Uncompared { store: self.shown.clone() }),
            };
            return Ok(Receipt { path: path.to_owned(), bytes: source.bytes, sha256: sealed, proof });
        }
        let is_ours = created.is_some() || is_created(disk, file)?;
        let proved = match self.prove(path, size, sealed).await {
            // Damaged on its way, and nobody relied on it yet; or it holds nothing, of whoever it is.
            Err(UploadError::Conflict { found, .. }) if is_ours || found == Hash256::of(b"") => {
                let replaced = self.replace(&location, Source::open(disk, file)?, sealed, is_small).await;
                match replaced {
                    Ok(()) => self.prove(path, size, sealed).await,
                    Err(error) => Err(error),
                }
            }
            proved => proved,
        };
        if is_ours && created.is_some() == proved.is_err() {
            set_created(disk, file, proved.is_err())?;
        }
        proved
    }

    /// Reads back what is there.
    async fn prove(&self, path: &str, size: u64, sealed: Hash256) -> Result<Receipt, UploadError> {
        if let Some(folder) = &self.local {
            sync(&folder.join(path))?;
        }
        let (bytes, found) = self.read_back(&self.location(path), size).await?;
        match found == sealed {
            true => Ok(Receipt { path: path.to_owned(), bytes, sha256: found, proof: Proof::ReadBack }),
            false => Err(UploadError::Conflict { path: path.to_owned(), found, sealed }),
        }
    }

    /// Sends a file in place of what is there.
    async fn replace(
        &self,
        location: &StorePath,
        mut source: Source,
        sealed: Hash256,
        is_small: bool,
    ) -> Result<(), UploadError> {
        if !is_small {
            return self.put_in_parts(location, &mut source, sealed).await.map(drop);
        }
        let whole = async { self.put(location, source.whole(sealed)?.into()).await };
        self.turn(whole).await.map(drop)
    }

    /// That it owes an answer, where it takes too long.
    pub(super) fn silence(&self) -> Option<Failing> {
        let since = self.place.silent_since()?;
        Some(Failing { since, why: format!("store {}: no answer since then", self.shown) })
    }

    async fn ask_whether_it_compares(&self, path: &str) -> Result<bool, UploadError> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let location = self.location(&format!("{folder}/{}", FileName::segment(1, PROBE)));
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
        self.create(location, source.whole(sealed)?, is_first).await
    }

    async fn put(&self, location: &StorePath, payload: PutPayload) -> Result<Created, UploadError> {
        let put = self.place.ask(self.objects.put(location, payload)).await;
        put.map(|put| Created(put.e_tag)).map_err(|source| self.error(source))
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
            Err(object_store::Error::AlreadyExists { .. }) if self.proof == Proof::StoreCompared && !is_first => {
                self.put(location, payload).await.map(Some)
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(None),
            // A store without conditional writes: the look before is all there is. Nobody but this node
            // writes to this folder.
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                if self.exists(location).await? {
                    return Ok(None);
                }
                self.put(location, payload).await.map(Some)
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
        self.put_in_parts(location, source, sealed).await.map(Some)
    }

    async fn put_in_parts(
        &self,
        location: &StorePath,
        source: &mut Source,
        sealed: Hash256,
    ) -> Result<Created, UploadError> {
        let mut upload =
            self.place.ask(self.objects.put_multipart(location)).await.map_err(|source| self.error(source))?;
        let sent = self.send_parts(upload.as_mut(), source, sealed).await;
        if sent.is_err() {
            // The parts would stay, unseen and paid for. If this fails too, the first error says why.
            let _ = self.place.ask(upload.abort()).await;
        }
        sent
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

/// The name of a local file is durable only then, and so are bytes that object_store put there.
fn sync(path: &Path) -> Result<(), UploadError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced
        .and_then(|()| path.parent().map_or(Ok(()), |folder| SystemDisk.sync_folder(folder)))
        .map_err(|source| spool_error(path, source))
}

#[cfg(test)]
mod tests;
