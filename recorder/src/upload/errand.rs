//! What waits for one store: sent in order, and given up where that has to be.

use super::ages::Ages;
use super::bound::{InTransit, give_up};
use super::progress::{Failing, Progress};
use super::source::spool_error;
use super::store::Store;
use super::{Receipt, UploadError};
use crate::schedule::StoreTarget;
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::Seal;
use formats::store::{FileName, RecordingId};
use futures::FutureExt;
use jiff::Timestamp;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use tokio::sync::watch;

/// What all stores are sent from, and where it is told.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    pub spool: Spool,
    pub in_transit: InTransit,
    /// What may wait for how long; none for as long as it takes.
    pub ages: Option<Ages>,
    pub progress: watch::Sender<Progress>,
}

impl Errand {
    /// Sends what waits in these recordings, all for one store. One that cannot be sent does not keep the others back.
    ///
    /// # Errors
    /// The first failure; what follows it in that recording stays for the next time.
    pub async fn send(
        self,
        target: Option<StoreTarget>,
        store: Result<Store, UploadError>,
        recordings: Vec<RecordingId>,
    ) -> Result<(), UploadError> {
        let sent = match store {
            Err(error) => self.told(&target, Err(error)),
            Ok(store) => self.send_all(&target, &store, &recordings).await,
        };
        if sent.is_ok() {
            self.progress.send_if_modified(|progress| !matches!(progress.stores.insert(target, None), Some(None)));
        }
        self.give_up_older(&recordings).map_err(|source| spool_error(Path::new("spool"), source))?;
        sent
    }

    /// Gives up what has waited for too long, whatever room there is.
    fn give_up_older(&self, recordings: &[RecordingId]) -> std::io::Result<()> {
        let Some(ages) = &self.ages else { return Ok(()) };
        for (id, sequence) in ages.over(&self.spool, recordings)? {
            let segment = (&id, sequence);
            give_up(&self.spool, &self.in_transit, &self.progress, segment, "waited too long for its store")?;
        }
        Ok(())
    }

    async fn send_all(
        &self,
        target: &Option<StoreTarget>,
        store: &Store,
        recordings: &[RecordingId],
    ) -> Result<(), UploadError> {
        let mut sent = Ok(());
        for id in recordings {
            // A bug in one, ours or of who talks to the store, must not keep the others waiting for ever.
            let this = AssertUnwindSafe(self.send_recording(id, store)).catch_unwind().await;
            let this = this.unwrap_or_else(|panic| Err(UploadError::bug(id, panic.as_ref())));
            let is_there = || !self.spool.target(id).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            sent = sent.and(self.told(target, unless_gone(this, is_there)));
        }
        sent
    }

    fn told(&self, target: &Option<StoreTarget>, sent: Result<(), UploadError>) -> Result<(), UploadError> {
        if let Err(error) = &sent {
            self.progress.send_modify(|progress| {
                progress.failures += 1;
                let store = progress.stores.entry(target.clone()).or_default();
                let since = store.as_ref().map_or_else(Timestamp::now, |failing| failing.since);
                *store = Some(Failing { since, why: error.to_string() });
            });
        }
        sent
    }

    async fn send_recording(&self, id: &RecordingId, store: &Store) -> Result<(), UploadError> {
        let folder = self.spool.folder(id);
        let in_spool = |source| spool_error(&folder, source);
        // Looked for first: behind a close no segment follows, so what waits now is all there will be.
        let is_closed = self.spool.disk().exists(&self.spool.path(id, &FileName::Close)).map_err(in_spool)?;
        let waiting = self.spool.waiting(id).map_err(in_spool)?;
        if is_closed || !waiting.is_empty() {
            // Renamed into place is not there to stay: a power cut must not take back what the store has seen, for
            // what is then written in its place would be something else.
            self.spool.disk().sync_folder(&folder).map_err(in_spool)?;
        }
        for sequence in waiting {
            let _in_transit = self.in_transit.begin(id, sequence);
            let sent = self.send_segment(id, sequence, store).await;
            let seal = self.spool.path(id, &FileName::seal(sequence));
            unless_gone(sent, || matches!(self.spool.disk().exists(&seal), Ok(false)))?;
        }
        if is_closed && let Some(close) = self.spool.close(id).map_err(in_spool)? {
            let name = FileName::Close;
            let path = self.spool.path(id, &name);
            close.map_err(|_| UploadError::Damaged { path: path.clone() })?;
            let bytes = self.spool.disk().read(&path).map_err(|source| spool_error(&path, source))?;
            self.send_signature(id, &name, store).await?;
            store.send(self.spool.disk().as_ref(), &id.path(&name), &path, Hash256::of(&bytes)).await?;
            self.spool.done(id).map_err(in_spool)?;
            self.progress.send_modify(|progress| progress.recordings += 1);
            tracing::info!(recording = %id, "recording stored");
        }
        Ok(())
    }

    /// Whether the ledger says, or will say, that a file is not stored.
    fn is_given_up(&self, id: &RecordingId, seal: &Seal, path: &Path) -> std::io::Result<bool> {
        if self.spool.is_forgotten(id, seal.sequence)? {
            return Ok(true);
        }
        if self.spool.disk().exists(path)? {
            return Ok(false);
        }
        if !self.spool.disk().exists(&self.spool.path(id, &FileName::seal(seal.sequence)))? {
            return Err(ErrorKind::NotFound.into());
        }
        if !self.spool.told_of(id)?.contains(&seal.sequence) {
            tracing::error!(recording = %id, file = %path.display(), "somebody removed it from the spool: given up");
            self.give_up_damaged(id, seal)?;
        }
        Ok(true)
    }

    fn give_up_damaged(&self, id: &RecordingId, seal: &Seal) -> std::io::Result<()> {
        self.spool.give_up_damaged(id, seal)?;
        self.progress.send_modify(|progress| progress.given_up += seal.counts.written);
        Ok(())
    }

    /// Sends the signature of a seal or close, if it has one: the same key and bytes give the same signature, so that
    /// what a crash left in the store is no conflict.
    async fn send_signature(&self, id: &RecordingId, signed: &FileName, store: &Store) -> Result<(), UploadError> {
        let name = signed.signature();
        let path = self.spool.path(id, &name);
        match self.spool.disk().read(&path) {
            Ok(bytes) => {
                store.send(self.spool.disk().as_ref(), &id.path(&name), &path, Hash256::of(&bytes)).await.map(drop)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(spool_error(&path, source)),
        }
    }

    async fn send_segment(&self, id: &RecordingId, sequence: u32, store: &Store) -> Result<(), UploadError> {
        let name = FileName::seal(sequence);
        let seal_path = self.spool.path(id, &name);
        let seal_bytes = self.spool.disk().read(&seal_path).map_err(|source| spool_error(&seal_path, source))?;
        let seal = Seal::from_bytes(&seal_bytes).map_err(|_| UploadError::Damaged { path: seal_path.clone() })?;
        let has_receipt = self.spool.has_receipt(id, sequence).map_err(|source| spool_error(&seal_path, source))?;
        let is_whole = has_receipt || self.send_files(id, &seal, store).await?;
        self.send_signature(id, &name, store).await?;
        let receipt =
            store.send(self.spool.disk().as_ref(), &id.path(&name), &seal_path, Hash256::of(&seal_bytes)).await?;
        self.spool.sent(id, &seal).map_err(|source| spool_error(&seal_path, source))?;
        tracing::debug!(recording = %id, sequence, proof = ?receipt.proof, "segment stored");
        self.progress.send_modify(|progress| {
            // A seal without its files is of what was given up, or tells of losses alone.
            progress.segments += u64::from(is_whole && !seal.files.is_empty());
            progress.bytes += receipt.bytes;
        });
        Ok(())
    }

    /// Sends what a seal is of, and remembers it once all of it is stored: what is removed here then is not lost. Whether it is
    /// all.
    async fn send_files(&self, id: &RecordingId, seal: &Seal, store: &Store) -> Result<bool, UploadError> {
        let mut is_whole = true;
        for file in &seal.files {
            let path = self.spool.path(id, &file.name);
            if self.is_given_up(id, seal, &path).map_err(|source| spool_error(&path, source))? {
                tracing::warn!(recording = %id, file = %file.name, "given up before it was stored");
                is_whole = false;
                continue;
            }
            match store.send(self.spool.disk().as_ref(), &id.path(&file.name), &path, file.sha256).await {
                Ok(Receipt { bytes, .. }) => self.progress.send_modify(|progress| progress.bytes += bytes),
                Err(UploadError::Damaged { path }) => {
                    // It will never again be what was sealed; the rest of the recording must not wait for it.
                    tracing::error!(recording = %id, file = %path.display(), "damaged in the spool: given up");
                    self.give_up_damaged(id, seal).map_err(|source| spool_error(&path, source))?;
                    is_whole = false;
                }
                Err(error) => return Err(error),
            }
        }
        if is_whole {
            let in_spool = |source| spool_error(&self.spool.folder(id), source);
            self.spool.keep_receipt(id, seal.sequence).map_err(in_spool)?;
        }
        Ok(is_whole)
    }
}

/// What came of it, but no failure where another process with the same spool was faster: what it sends is not there any more.
fn unless_gone(sent: Result<(), UploadError>, is_gone: impl Fn() -> bool) -> Result<(), UploadError> {
    match sent {
        Err(UploadError::Spool { source, .. }) if source.kind() == ErrorKind::NotFound && is_gone() => Ok(()),
        sent => sent,
    }
}
