//! Empties the spool into the stores, oldest first, for as long as it takes.

use super::UploadError;
use super::bound::{Bound, InTransit};
use super::store::{Receipt, Store, spool_error};
use crate::schedule::{SpoolFull, StoreTarget};
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::{Seal, Volume};
use formats::store::{FileName, RecordingId};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often the spool is looked at when everything is stored.
const IDLE: Duration = Duration::from_millis(500);
/// First wait after a failure; each further one doubles it. object_store itself has tried for up to
/// three minutes by then.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait after a failure: how late a store that is back is noticed.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Sends what waits in a spool.
#[derive(Debug)]
pub struct Sender {
    spool: Spool,
    stores: HashMap<StoreTarget, Store>,
    in_transit: InTransit,
    age_max: Option<Duration>,
    progress: watch::Sender<Progress>,
}

/// What a sender has done since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments stored.
    pub segments: u64,
    /// Recordings stored completely, `close.json` and all.
    pub recordings: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Packets in segments that were given up.
    pub given_up: Volume,
    /// What the last failure was; none after a success.
    pub failing: Option<String>,
}

impl Sender {
    /// A sender for `spool`.
    pub fn new(spool: Spool) -> Self {
        Self {
            spool,
            stores: HashMap::new(),
            in_transit: InTransit::default(),
            age_max: None,
            progress: watch::Sender::default(),
        }
    }

    /// Uses `store` for what goes to `target`, in place of the one its URL names.
    pub fn with_store(mut self, target: StoreTarget, store: Store) -> Self {
        self.stores.insert(target, store);
        self
    }

    /// Gives up segments that have waited for longer than `age_max`, once a try to send them has failed.
    pub fn with_age_max(self, age_max: Option<Duration>) -> Self {
        Self { age_max, ..self }
    }

    /// The bound of this spool; it leaves alone what is being sent.
    pub fn bound(&self, bytes_max: u64, full: SpoolFull) -> Bound {
        Bound::new(self.spool.clone(), bytes_max, full, self.in_transit.clone(), self.progress.clone())
    }

    /// What was done so far, to watch.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Sends until `stop` is true, waiting longer after each failure.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut back_off = BACK_OFF_MIN;
        self.resume();
        loop {
            let sweep = tokio::select! {
                // Whoever holds the other end is gone: nobody could stop us later.
                _ = stop.wait_for(|stop| *stop) => return,
                sweep = self.sweep() => sweep,
            };
            let pause = match sweep {
                Ok(()) => {
                    back_off = BACK_OFF_MIN;
                    IDLE
                }
                Err(error) => {
                    tracing::warn!(%error, retry_in_s = back_off.as_secs(), "upload failed");
                    let pause = back_off;
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                    pause
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes up what a crash left.
    fn resume(&self) {
        let recordings = self.spool.recordings().unwrap_or_default();
        for id in recordings {
            if let Err(error) = self.spool.tidy(&id) {
                tracing::warn!(recording = %id, %error, "spool could not be tidied");
            }
        }
    }

    /// Sends everything that waits now. A recording that cannot be sent does not keep the others back.
    ///
    /// # Errors
    /// The first failure; what follows it in that recording stays for the next sweep.
    pub async fn sweep(&mut self) -> Result<(), UploadError> {
        let recordings = self.spool.unsent().map_err(|source| spool_error(Path::new("spool"), source))?;
        let mut first_error = None;
        for id in recordings {
            let sent = self.send_recording(&id).await;
            self.in_transit.set(None);
            self.progress.send_modify(|progress| {
                progress.failing = sent.as_ref().err().map(ToString::to_string);
                progress.failures += u64::from(sent.is_err());
            });
            if let Err(error) = sent {
                first_error.get_or_insert(error);
            }
        }
        if let Some(age_max) = self.age_max {
            let given_up = Bound::give_up_older(&self.spool, age_max, SystemTime::now());
            given_up.map_err(|source| spool_error(Path::new("spool"), source))?;
        }
        first_error.map_or(Ok(()), Err)
    }

    async fn send_recording(&mut self, id: &RecordingId) -> Result<(), UploadError> {
        let folder = self.spool.folder(id);
        let in_spool = |source| spool_error(&folder, source);
        let target = match self.spool.target(id) {
            // Just being begun, or just gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            target => target.map_err(in_spool)?,
        };
        let store = match self.stores.get(&target) {
            Some(store) => store.clone(),
            None => {
                let store = Store::open(&target)?;
                self.stores.insert(target, store.clone());
                store
            }
        };
        // Looked for first: behind a close no segment follows, so what waits now is all there will be.
        let is_closed = self.spool.disk().exists(&self.spool.path(id, &FileName::Close));
        let waiting = self.spool.waiting(id).map_err(in_spool)?;
        if is_closed || !waiting.is_empty() {
            // Renamed into place is not there to stay: a power cut must not take back what the store has seen, for
            // what is then written in its place would be something else.
            self.spool.disk().sync_folder(&folder).map_err(in_spool)?;
        }
        for sequence in waiting {
            self.in_transit.set(Some((id.clone(), sequence)));
            self.send_segment(id, sequence, &store).await?;
        }
        if is_closed && let Some(close) = self.spool.close(id).map_err(in_spool)? {
            let name = FileName::Close;
            let path = self.spool.path(id, &name);
            close.map_err(|_| UploadError::Damaged { path: path.clone() })?;
            let bytes = self.spool.disk().read(&path).map_err(|source| spool_error(&path, source))?;
            self.send_signature(id, &name, &store).await?;
            store.send(self.spool.disk().as_ref(), &id.path(&name), &path, Hash256::of(&bytes)).await?;
            self.spool.done(id).map_err(in_spool)?;
            self.progress.send_modify(|progress| progress.recordings += 1);
            tracing::info!(recording = %id, "recording stored");
        }
        Ok(())
    }

    /// Whether the ledger says, or will say, that a file is not stored.
    fn is_given_up(&self, id: &RecordingId, seal: &Seal, path: &Path) -> std::io::Result<bool> {
        if self.spool.is_forgotten(id, seal.sequence) {
            return Ok(true);
        }
        if self.spool.disk().exists(path) {
            return Ok(false);
        }
        if !self.spool.told_of(id)?.contains(&seal.sequence) {
            tracing::error!(recording = %id, file = %path.display(), "somebody removed it from the spool: given up");
            self.spool.forget(id, seal)?;
        }
        Ok(true)
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(spool_error(&path, source)),
        }
    }

    async fn send_segment(&self, id: &RecordingId, sequence: u32, store: &Store) -> Result<(), UploadError> {
        let name = FileName::seal(sequence);
        let seal_path = self.spool.path(id, &name);
        let seal_bytes = self.spool.disk().read(&seal_path).map_err(|source| spool_error(&seal_path, source))?;
        let seal = Seal::from_bytes(&seal_bytes).map_err(|_| UploadError::Damaged { path: seal_path.clone() })?;
        let mut bytes = 0;
        for file in &seal.files {
            let path = self.spool.path(id, &file.name);
            if self.is_given_up(id, &seal, &path).map_err(|source| spool_error(&path, source))? {
                tracing::warn!(recording = %id, file = %file.name, "given up before it was stored");
                continue;
            }
            match store.send(self.spool.disk().as_ref(), &id.path(&file.name), &path, file.sha256).await {
                Ok(Receipt { bytes: stored, .. }) => bytes += stored,
                Err(UploadError::Damaged { path }) => {
                    // It will never again be what was sealed; the rest of the recording must not wait for it.
                    tracing::error!(recording = %id, file = %path.display(), "damaged in the spool: given up");
                    self.spool.forget(id, &seal).map_err(|source| spool_error(&path, source))?;
                    self.progress.send_modify(|progress| progress.given_up += seal.counts.written);
                }
                Err(error) => return Err(error),
            }
        }
        self.send_signature(id, &name, store).await?;
        let receipt =
            store.send(self.spool.disk().as_ref(), &id.path(&name), &seal_path, Hash256::of(&seal_bytes)).await?;
        self.spool.sent(id, &seal).map_err(|source| spool_error(&seal_path, source))?;
        tracing::debug!(recording = %id, sequence, bytes, proof = ?receipt.proof, "segment stored");
        self.progress.send_modify(|progress| {
            progress.segments += 1;
            progress.bytes += bytes + receipt.bytes;
        });
        Ok(())
    }
}
