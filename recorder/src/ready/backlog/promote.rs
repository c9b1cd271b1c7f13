//! How a trigger makes a recording of what is kept: marked, moved, sealed, one segment after the other.

use super::super::folder::{EXPIRED, Expired, MARK, Mark, PAUSED, REST, Remembered, note_rest, parts, remove};
use super::{Backlog, Promoted};
use crate::limits;
use crate::orders::{Orders, Trigger};
use crate::recover;
use crate::rotate::{Compression, Finished};
use crate::seal::{Chain, SealingError};
use crate::spool::is_full;
use formats::seal::{self, Pause, Recovered};
use formats::store::{FileName, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::sync::Arc;

impl Backlog {
    /// Makes a recording of everything that is kept, or has the one that was made go on for longer. Where that cannot
    /// be, whoever triggered it is told.
    pub fn trigger(&mut self, trigger: Trigger, orders: &Orders) {
        let extends = self.is_triggered();
        let marked = match extends {
            true => self.go_on_until(trigger.ends, &trigger.by),
            false => self.begin(trigger.at, trigger.by.clone(), trigger.ends),
        };
        let goes_on = orders.tell_past(self.past());
        if extends && !goes_on {
            return orders.trigger(trigger); // Its time was over a moment before: it triggers the next one.
        }
        (trigger.told)(marked.as_ref().map_err(ToString::to_string));
    }

    fn begin(&mut self, at: Timestamp, by: String, ends: Timestamp) -> Result<RecordingId, SealingError> {
        self.expire(u64::MAX)?;
        let mut mark = self.new_mark(at, by, ends)?;
        match self.write_mark(&mark) {
            Err(error) if is_full(&error) => {
                // What makes room for it is no part of the recording any more.
                self.make_room(limits::READY_ROOM_BYTES)?;
                mark = self.new_mark(at, mark.trigger.by, ends)?;
                self.write_mark(&mark)
            }
            written => written,
        }
        .map_err(|source| self.error(source))?;
        let id = mark.recording.clone();
        tracing::info!(recording = %id, by = %mark.trigger.by, segments = self.kept.len(), "triggered: what was kept ready is recorded");
        if let Err(error) = self.promote_to(mark) {
            // As if it had not been triggered, since whoever did is told so.
            self.disk().remove(&self.folder.join(MARK)).map_err(|source| self.error(source))?;
            return Err(error);
        }
        if let Err(error) = remove(self.disk(), &self.folder.join(REST)) {
            tracing::error!(window = %id.window, %error, "what had ended before its time is begun again after the next start");
        }
        Ok(id)
    }

    /// What is to be known of a recording of all that is kept now.
    fn new_mark(&self, at: Timestamp, by: String, ends: Timestamp) -> Result<Mark, SealingError> {
        let Some(recording) = self.recording.clone() else { return Err(self.error(io::ErrorKind::NotFound.into())) };
        let begun = self.kept.front().map_or(self.open_since, |kept| kept.since);
        let mut start = begun;
        let mut id = RecordingId { start: start.into(), ..recording.id };
        while self.disk().exists(&self.spool.folder(&id)).map_err(|source| self.error(source))? {
            start = start.checked_add(SignedDuration::from_millis(1)).unwrap_or(at);
            id.start = start.into();
        }
        self.spool.starts().take(&mut id);
        let Expired { since: ready_since, segments: expired_segments, volume: expired, .. } = self.expired;
        let trigger = seal::Trigger { at, by, ready_since: ready_since.min(begun), expired, expired_segments };
        let (store, configuration_sha256) = (recording.window.store.clone(), self.configuration_sha256);
        Ok(Mark { recording: id, store, configuration_sha256, ends, trigger })
    }

    fn write_mark(&self, mark: &Mark) -> io::Result<()> {
        self.disk().write_durably(&self.folder.join(MARK), &serde_json::to_vec(mark)?)
    }

    fn go_on_until(&mut self, ends: Timestamp, by: &str) -> Result<RecordingId, SealingError> {
        let Some((_, mark)) = &self.promoted else { return Err(self.error(io::ErrorKind::NotFound.into())) };
        let later = Mark { ends: mark.ends.max(ends), ..mark.clone() };
        self.write_mark(&later).map_err(|source| self.error(source))?;
        let id = later.recording.clone();
        self.promoted.iter_mut().for_each(|(_, mark)| mark.ends = later.ends);
        tracing::info!(recording = %id, by, ends = %later.ends, "triggered again: it goes on for longer");
        Ok(id)
    }

    /// Takes up the recording that is to be made, or was begun to be made before a crash.
    pub(in crate::ready) fn promote_to(&mut self, mark: Mark) -> Result<(), SealingError> {
        let id = &mark.recording;
        let failed = |source| SealingError::Spool { folder: self.spool.folder(id), source };
        self.disk().create_folders(&self.spool.folder(id)).map_err(failed)?;
        let taken = || failed(io::Error::other("another process makes this recording"));
        let lock = self.disk().lock(&self.spool.folder(id)).map_err(failed)?.ok_or_else(taken)?;
        self.spool.set_off(id, &mark.trigger, &mark.store).map_err(failed)?;
        let mut chain = Chain::resume(self.spool.clone(), id.clone())?;
        chain.made_with(self.configuration_sha256, Some(self.clock.clone()));
        self.promoted = Some((Promoted { chain, _lock: lock }, mark));
        Ok(())
    }

    /// Moves the oldest of what was kept into the recording that was triggered, sealed; false when there is none.
    pub fn promote_oldest(&mut self) -> Result<bool, SealingError> {
        let Some((Promoted { chain, .. }, _)) = &mut self.promoted else { return Ok(false) };
        let Some(kept) = self.kept.front().cloned() else { return Ok(false) };
        let suffix = parts(&kept.file.name).map(|(_, suffix)| suffix).unwrap_or_default();
        let moved = chain.folder().join(FileName::segment(chain.next_sequence(), &suffix).to_string());
        let own = self.folder.join(kept.file.name.to_string());
        // Moved: a crash came before it was sealed. Neither: one came after that, and before it was forgotten here.
        let there = self.spool.disk().first_of(&[own, moved]);
        if let Some(path) = there.map_err(|source| SealingError::Spool { folder: self.folder.clone(), source })? {
            chain.made_with(kept.configuration_sha256, Some(Arc::new(Remembered(kept.clock.clone()))));
            let segment = Finished {
                path,
                file: kept.file.clone(),
                counts: kept.counts,
                targets: kept.targets.clone(),
                first_packet: kept.first_packet,
                last_packet: kept.last_packet,
                until: Some(kept.until),
                steps: kept.steps.clone(),
                pause: kept.pause,
            };
            match (self.seal(segment, kept.recovered.clone()), Compression::of(&suffix)) {
                (Err(SealingError::Spool { source, .. }), Some(compression)) if is_damage(&source) => {
                    tracing::error!(folder = %self.folder.display(), error = %source, "damaged: what is whole of it is sealed");
                    self.seal_anew(compression, kept.pause)?;
                }
                (sealed, _) => sealed?,
            }
        }
        // For good, before the next one moves: what is known of one must not be taken for what is known of another.
        let forgotten = self.remove_kept(&kept).and_then(|()| self.disk().sync_folder(&self.folder));
        forgotten.map_err(|source| self.error(source))?;
        self.kept.pop_front();
        Ok(true)
    }

    /// Seals what is whole of a segment that was moved, and is not what it was when it was finished: the disk lost what it had
    /// promised to keep.
    fn seal_anew(&mut self, compression: Compression, pause: Option<Pause>) -> Result<(), SealingError> {
        let Some((Promoted { chain, .. }, _)) = &self.promoted else { return Ok(()) };
        let name = FileName::segment(chain.next_sequence(), compression.suffix());
        let moved = chain.folder().join(name.to_string());
        let cut = recover::cut(self.disk(), &moved, name, compression);
        let (segment, recovered) = cut.map_err(|source| self.error(source))?;
        self.seal(Finished { pause, ..segment }, Some(recovered))
    }

    /// Seals a segment that was moved and not sealed, behind everything that was kept.
    pub fn seal_recovered(&mut self, segment: Finished, recovered: Recovered) -> Result<(), SealingError> {
        if let Some((Promoted { chain, .. }, _)) = &mut self.promoted {
            chain.made_with(self.configuration_sha256, Some(self.clock.clone()));
        }
        self.seal(segment, Some(recovered))
    }

    /// Seals a segment as the recording's next, under that number.
    pub(super) fn seal(&mut self, mut segment: Finished, recovered: Option<Recovered>) -> Result<(), SealingError> {
        let Some((Promoted { chain, .. }, _)) = &mut self.promoted else { return Ok(()) };
        if let Some((_, suffix)) = parts(&segment.file.name) {
            segment.file.name = FileName::segment(chain.next_sequence(), &suffix);
        }
        let moved = chain.folder().join(segment.file.name.to_string());
        if segment.path != moved {
            // Out of the one folder for good before it is sealed in the other: a power cut must not bring it back, to be
            // sealed once more.
            let disk = self.spool.disk();
            let moves = disk.rename(&segment.path, &moved).and_then(|()| disk.sync_folder(&chain.folder()));
            let failed = |source| SealingError::Spool { folder: self.folder.clone(), source };
            moves.and_then(|()| disk.sync_folder(&self.folder)).map_err(failed)?;
            segment.path = moved;
        }
        let seal = chain.seal(segment, recovered)?;
        tracing::info!(recording = %chain.id(), segment = seal.sequence, packets = seal.counts.written.packets, "segment sealed");
        Ok(())
    }

    /// The chain of the recording that is made.
    pub fn chain(&self) -> Option<&Chain> {
        self.promoted.as_ref().map(|(promoted, _)| &promoted.chain)
    }

    /// Notes until when the recording that was triggered is to go on: the next start does.
    pub fn note_rest(&self) -> Result<(), SealingError> {
        let Some((_, mark)) = &self.promoted else { return Ok(()) };
        note_rest(self.disk(), &self.folder, mark.ends).map_err(|source| self.error(source))
    }

    /// It is over. What was triggered is sealed to its end, and can be closed; nothing here belongs to it any more.
    pub fn finish(mut self) -> Result<Option<Promoted>, SealingError> {
        while self.promote_oldest()? {}
        let Some((promoted, _)) = self.promoted.take() else { return Ok(None) };
        let failed = |source| SealingError::Spool { folder: self.folder.clone(), source };
        let disk = self.spool.disk().as_ref();
        for name in [EXPIRED, PAUSED, MARK] {
            remove(disk, &self.folder.join(name)).map_err(failed)?;
        }
        disk.sync_folder(&self.folder).map_err(failed)?;
        Ok(Some(promoted))
    }
}

/// Whether a file is not what was written.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
