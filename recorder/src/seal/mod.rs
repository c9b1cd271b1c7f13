//! A finished segment becomes evidence: named, hashed, chained to the one before, and then untouched.
//!
//! Enters: [`Finished`] segments. Leaves: [`Seal`]s and, at the end, [`Close`], in the spool, for the upload room.
//! Refused: to seal what is not on the disk.
//!
//! Order, which recovery relies on: the segment is synced under its open name, then renamed, then its seal is
//! written durably. A seal that is there has its files. Where the recording is encrypted, what is renamed and sealed is the
//! encrypted segment, and the plain one is removed behind its seal: until then a crash finds it, and begins anew.

mod encrypt;

use crate::clock::Clock;
use crate::rotate::{Finished, OPEN, Untold};
use crate::spool::{self, Spool};
use formats::hash::Hash256;
use formats::seal::{
    self, Close, Counts, Encrypted, EndReason, Pause, Recovered, Seal, SealError, SealedFile, TlsCounts, VERSION,
};
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no seal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// A seal that was written before cannot be continued.
    #[error("{}: {source}", path.display())]
    Chain {
        /// The seal.
        path: PathBuf,
        /// What is wrong with it.
        source: SealError,
    },
    /// The spool cannot be read or written.
    #[error("could not seal in {}: {source}", folder.display())]
    Spool {
        /// The folder of the recording.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The chain of one recording: its seals so far.
#[derive(Debug)]
pub struct Chain {
    spool: Spool,
    id: RecordingId,
    configuration_sha256: Hash256,
    sequence: u32,
    previous_sha256: Option<Hash256>,
    counts: Counts,
    first_packet: Option<Timestamp>,
    last_packet: Option<Timestamp>,
    /// What seals said of the clock so far.
    said_of_clock: Option<seal::Clock>,
    pauses: Vec<Pause>,
    /// What to ask now; none for what was recorded before.
    clock: Option<Arc<dyn Clock>>,
}

/// Version of this program, as seals carry it.
const RECORDER: &str = env!("CARGO_PKG_VERSION");

impl Chain {
    /// The chain of a recording that begins, whose packets are timed by `clock`.
    pub fn new(spool: Spool, id: RecordingId, configuration_sha256: Hash256, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..Self::without_clock(spool, id, configuration_sha256) }
    }

    fn without_clock(spool: Spool, id: RecordingId, configuration_sha256: Hash256) -> Self {
        Self {
            spool,
            id,
            configuration_sha256,
            sequence: 0,
            previous_sha256: None,
            counts: Counts::default(),
            first_packet: None,
            last_packet: None,
            said_of_clock: None,
            pauses: Vec::new(),
            clock: None,
        }
    }

    /// The chain of a recording that was begun before, from the seals in the spool, sent or not.
    ///
    /// # Errors
    /// [`SealingError::Chain`] when one of them is damaged: then nothing can follow it.
    pub fn resume(spool: Spool, id: RecordingId) -> Result<Self, SealingError> {
        let mut chain = Self::without_clock(spool, id, Hash256::of(b""));
        loop {
            let paths = chain.seal_paths(chain.next_sequence());
            let path = chain.spool.disk().first_of(&paths).map_err(|source| chain.error(source))?;
            let Some(path) = path else { return Ok(chain) };
            let bytes = chain.spool.disk().read(&path).map_err(|source| chain.error(source))?;
            let seal = Seal::from_bytes(&bytes).map_err(|source| SealingError::Chain { path, source })?;
            chain.configuration_sha256 = seal.configuration_sha256;
            chain.remove_plain(&seal);
            chain.add(&seal, &bytes);
        }
    }

    /// What follows was made with that configuration, and timed by that clock.
    pub fn made_with(&mut self, configuration_sha256: Hash256, clock: Option<Arc<dyn Clock>>) {
        self.configuration_sha256 = configuration_sha256;
        self.clock = clock;
    }

    /// Number of the segment that comes next.
    pub fn next_sequence(&self) -> u32 {
        self.sequence + 1
    }

    /// Sums over all segments so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The recording.
    pub fn id(&self) -> &RecordingId {
        &self.id
    }

    /// Its folder in the spool.
    pub fn folder(&self) -> PathBuf {
        self.spool.folder(&self.id)
    }

    /// Seals a segment; the upload room may take it from here on.
    pub fn seal(&mut self, segment: Finished, recovered: Option<Recovered>) -> Result<Seal, SealingError> {
        let told = Untold { counts: segment.counts, targets: segment.targets.clone(), steps: segment.steps.clone() };
        self.put(Some(segment), told, recovered)
    }

    /// Seals what no segment tells, if there is anything: one without files. What cannot be sealed now the spool remembers, for
    /// whoever recovers the recording.
    pub fn seal_untold(&mut self, untold: Untold) -> Result<(), SealingError> {
        if untold.is_empty() {
            return Ok(());
        }
        let told_by = self.seal_paths(self.next_sequence());
        let sealed = self.put(None, untold.clone(), None);
        sealed.map(drop).inspect_err(|_| self.spool.keep_untold(&self.folder(), untold, told_by.to_vec()))
    }

    /// Where the seal with that number is, sent or not.
    pub fn seal_paths(&self, sequence: u32) -> [PathBuf; 2] {
        let sent = FileName::segment(sequence, spool::SENT);
        [FileName::seal(sequence), sent].map(|name| self.spool.path(&self.id, &name))
    }

    fn put(
        &mut self,
        segment: Option<Finished>,
        told: Untold,
        recovered: Option<Recovered>,
    ) -> Result<Seal, SealingError> {
        let to_keep = segment.as_ref().map(|segment| self.to_keep(segment)).transpose();
        let (open, file) = to_keep.map_err(|source| self.error(source))?.unzip();
        let (forgotten, spooled) = self.spool.untold(&self.id).map_err(|source| self.error(source))?;
        let mut counts = told.counts;
        counts.dropped.spool += spooled;
        let mut clock = self.clock.as_ref().and_then(|clock| clock.state());
        if let Some(clock) = &mut clock {
            told.steps.into_iter().for_each(|step| clock.step(step));
        }
        let seal = Seal {
            version: VERSION,
            recording: self.id.clone(),
            sequence: self.sequence + 1,
            files: file.into_iter().collect(),
            first_packet: segment.as_ref().and_then(|segment| segment.first_packet),
            last_packet: segment.as_ref().and_then(|segment| segment.last_packet),
            counts,
            targets: told.targets,
            tls: TlsCounts::default(),
            forgotten,
            clock,
            recorder: RECORDER.to_owned(),
            configuration_sha256: self.configuration_sha256,
            recovered,
            // Before the first it is no part of the recording.
            pause: segment.as_ref().and_then(|segment| segment.pause).filter(|_| self.sequence > 0),
            previous_sha256: self.previous_sha256,
        };
        let bytes = seal.to_bytes();
        self.put_durably(open.as_deref(), &seal, &bytes).map_err(|source| self.error(source))?;
        self.remove_plain(&seal);
        self.add(&seal, &bytes);
        Ok(seal)
    }

    /// Where the file is that is to be sealed, and what it will be called: the segment, or the same encrypted.
    fn to_keep(&self, segment: &Finished) -> io::Result<(PathBuf, SealedFile)> {
        match &self.spool.target(&self.id)?.encrypt_to[..] {
            [] => Ok((segment.path.clone(), segment.file.clone())),
            to => encrypt::encrypt(self.spool.disk().as_ref(), &self.folder(), segment, to),
        }
    }

    /// Removes the plain files of a seal whose encrypted ones are there to stay. One that stays is removed when the chain is
    /// resumed, or with the recording.
    fn remove_plain(&self, seal: &Seal) {
        for Encrypted { name, .. } in seal.files.iter().filter_map(|file| file.encrypted.as_ref()) {
            let whole = self.spool.path(&self.id, name);
            for path in [self.folder().join(format!("{name}{OPEN}")), whole] {
                match self.spool.disk().remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::error!(file = %path.display(), %error, "is encrypted, and stays on the node too");
                    }
                    _ => {}
                }
            }
        }
    }

    fn put_durably(&self, open: Option<&Path>, seal: &Seal, bytes: &[u8]) -> io::Result<()> {
        for (open, file) in open.iter().zip(&seal.files) {
            self.spool.disk().rename(open, &self.spool.path(&self.id, &file.name))?;
        }
        // Syncs the folder too, and with it the rename above.
        self.spool.put_ledger(&self.id, &FileName::seal(seal.sequence), bytes)?;
        self.spool.told(&self.id, &seal.forgotten)
    }

    /// Ends the recording.
    pub fn close(&self, reason: EndReason, ended: Timestamp) -> Result<Close, SealingError> {
        let close = Close {
            version: VERSION,
            recording: self.id.clone(),
            ended,
            reason,
            segments: self.sequence,
            first_packet: self.first_packet,
            last_packet: self.last_packet,
            counts: self.counts,
            tls: TlsCounts::default(),
            forgotten: Vec::new(), // The upload room adds what it gives up until this is stored.
            forgotten_volume: Default::default(),
            trigger: self.spool.trigger(&self.id).map_err(|source| self.error(source))?,
            clock: self.said_of_clock.clone(),
            pauses: self.pauses.clone(),
            recorder: RECORDER.to_owned(),
            last_seal_sha256: self.previous_sha256,
        };
        self.spool.remember_spent(&self.id, self.counts.written);
        let put = self.spool.put_ledger(&self.id, &FileName::Close, &close.to_bytes());
        put.map_err(|source| self.error(source))?;
        Ok(close)
    }

    fn add(&mut self, seal: &Seal, bytes: &[u8]) {
        self.sequence = seal.sequence;
        self.previous_sha256 = Some(Hash256::of(bytes));
        self.counts += seal.counts;
        self.first_packet = [self.first_packet, seal.first_packet].into_iter().flatten().min();
        self.last_packet = self.last_packet.max(seal.last_packet);
        seal::Clock::follow(&mut self.said_of_clock, seal.clock.as_ref());
        seal.pause.into_iter().for_each(|pause| seal::note_pause(&mut self.pauses, pause));
    }

    /// The folder of this recording could not be read or written.
    pub fn error(&self, source: io::Error) -> SealingError {
        SealingError::Spool { folder: self.folder(), source }
    }
}
