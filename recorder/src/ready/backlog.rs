//! The segments that are kept, until a trigger makes a recording of them.

mod promote;

use super::folder::{
    EXPIRED, Expired, KEPT, Kept, Mark, PAUSED, Paused, mark, parts, read, read_kept, remove, steadily,
};
use crate::clock::Clock;
use crate::disk::{Disk, Entry, Lock};
use crate::limits;
use crate::orders::Past;
use crate::recover;
use crate::rotate::{Compression, Finished, OPEN, Untold};
use crate::schedule::{Percent, Recording, Window};
use crate::seal::{Chain, SealingError};
use crate::spool::{Spool, is_full};
use formats::hash::Hash256;
use formats::seal::{Pause, Recovered, Volume};
use formats::store::FileName;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a window keeps ready.
#[derive(Debug)]
pub(crate) struct Backlog {
    spool: Spool,
    configuration_sha256: Hash256,
    recording: Option<Recording>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    kept: VecDeque<Kept>,
    expired: Expired,
    /// When the segment began that is being written.
    open_since: Timestamp,
    last_sequence: u32,
    /// What the next segment is to tell: no ring was open before it.
    paused: Option<Paused>,
    promoted: Option<(Promoted, Mark)>,
    /// What happened while nothing could be kept: the next segment tells.
    untold: Untold,
    _lock: Lock,
}

/// A recording that was made of what had been kept.
#[derive(Debug)]
pub(crate) struct Promoted {
    pub chain: Chain,
    _lock: Lock,
}

impl Backlog {
    /// Takes up what is kept of the recording's window, or begins with nothing.
    ///
    /// # Errors
    /// Those of the disk; and when it was triggered, and its recording is not recovered yet.
    pub fn open(spool: &Spool, recording: &Recording, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let folder = spool.ready_folder(&recording.window.name);
        let disk = spool.disk().as_ref();
        disk.create_folders(&folder)?;
        let taken = || io::Error::other("another process keeps this window ready");
        let lock = disk.lock(&folder)?.ok_or_else(taken)?;
        if mark(disk, &folder)?.is_some() {
            return Err(io::Error::other("it was triggered before a crash, and could not be recovered yet"));
        }
        let mut backlog = Self::load(spool, folder, lock, recording.configuration_sha256, clock)?;
        backlog.recording = Some(recording.clone());
        let opened = backlog.open_since;
        // Removed before a crash, and not counted yet.
        let names: Vec<PathBuf> = backlog.kept.iter().map(|kept| backlog.path(&kept.file.name)).collect();
        let first = disk.first_of(&names)?;
        backlog.remove_oldest(names.iter().take_while(|name| Some(*name) != first.as_ref()).count())?;
        while let Some((open, name, compression)) = backlog.left_open()? {
            let (segment, recovered) = recover::cut(disk, &open, name, compression)?;
            backlog.keep(segment, Some(recovered))?;
        }
        // The rings are open, and what comes waits in them.
        backlog.open_since = opened;
        backlog.pause()?;
        Ok(backlog)
    }

    /// Notes that no ring was open since the newest segment that is kept, durably: the next one may be left open.
    fn pause(&mut self) -> io::Result<()> {
        let Some(from) = self.kept.back().map(|kept| kept.until) else { return self.forget_pause() };
        let pause = Pause { from, until: self.open_since };
        let paused = Paused { sequence: self.last_sequence + 1, pause };
        self.write_with_room(&self.folder.join(PAUSED), &serde_json::to_vec(&paused)?)?;
        self.paused = Some(paused);
        Ok(())
    }

    /// A segment that is kept tells of it, or nothing is kept that came before it.
    fn forget_pause(&mut self) -> io::Result<()> {
        self.paused = None;
        remove(self.disk(), &self.folder.join(PAUSED))
    }

    /// What is kept in a folder that we have locked, but for segments that were open.
    pub fn load(
        spool: &Spool,
        folder: PathBuf,
        lock: Lock,
        configuration_sha256: Hash256,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let now = clock.now();
        let expired: Option<Expired> = read(spool.disk().as_ref(), &folder.join(EXPIRED))?;
        let has_expired = expired.is_some();
        let nothing = Expired { since: now.wall, through: 0, segments: 0, volume: Volume::default() };
        let paused = read(spool.disk().as_ref(), &folder.join(PAUSED))?;
        let mut backlog = Self {
            spool: spool.clone(),
            configuration_sha256,
            recording: None,
            clock,
            kept: VecDeque::new(),
            expired: expired.unwrap_or(nothing),
            open_since: now.wall,
            last_sequence: 0,
            paused,
            promoted: None,
            untold: spool.take_untold(&folder)?,
            _lock: lock,
            folder,
        };
        for (sequence, suffix) in backlog.files()? {
            let path = backlog.folder.join(FileName::segment(sequence, &suffix).to_string());
            if sequence <= backlog.expired.through {
                backlog.disk().remove(&path)?;
            } else if suffix == KEPT {
                let kept = read_kept(backlog.disk(), &path, now)?;
                backlog.kept.extend(kept);
            }
            backlog.last_sequence = sequence;
        }
        backlog.last_sequence = backlog.last_sequence.max(backlog.expired.through);
        if let Some(oldest) = backlog.kept.front().filter(|_| !has_expired) {
            backlog.expired.since = oldest.since;
        }
        let newest = backlog.kept.back().and_then(|kept| kept.file.name.sequence());
        if backlog.paused.is_some_and(|paused| newest >= Some(paused.sequence)) {
            backlog.forget_pause()?;
        }
        Ok(backlog)
    }

    fn disk(&self) -> &dyn Disk {
        self.spool.disk().as_ref()
    }

    /// Where segments are written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of the newest segment.
    pub fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// Number of the last segment that was removed because it was too old, or for want of room.
    #[cfg(test)]
    pub fn expired_through(&self) -> u32 {
        self.expired.through
    }

    /// Numbers of the segments that are kept, oldest first.
    #[cfg(test)]
    pub fn kept(&self) -> Vec<u32> {
        self.kept.iter().filter_map(|kept| kept.file.name.sequence()).collect()
    }

    /// How much of the spool it may take.
    pub fn share(&self) -> Percent {
        let share = self.recording.as_ref().and_then(|recording| recording.window.budget.spool);
        share.unwrap_or(limits::READY_SHARE_DEFAULT)
    }

    /// The window, which it has but in recovery.
    pub fn window(&self) -> Option<&Window> {
        self.recording.as_ref().map(|recording| &*recording.window)
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.promoted.is_some()
    }

    /// Since when it keeps packets, and what it was triggered to.
    pub fn past(&self) -> Past {
        let kept_since = self.kept.front().map_or(self.open_since, |kept| kept.since);
        let since = self.promoted.as_ref().map_or(kept_since, |(_, mark)| mark.recording.start.time());
        let triggered = self.promoted.as_ref().map(|(_, mark)| (mark.recording.clone(), mark.ends));
        Past { since: Some(since), triggered }
    }

    /// Takes a finished segment. It is kept, too, while what came before it is: sealing that takes time, and the
    /// capture must not wait for it.
    pub fn take(&mut self, mut segment: Finished) -> Result<(), SealingError> {
        let untold = std::mem::take(&mut self.untold);
        segment.counts += untold.counts;
        segment.targets += untold.targets.clone();
        segment.steps.splice(0..0, untold.steps.clone());
        // The file does not have it: where what is known of it cannot be written, others must tell it.
        let (told_by, taken) = match &mut self.promoted {
            Some((Promoted { chain, .. }, _)) if self.kept.is_empty() && self.paused.is_none() => {
                chain.made_with(self.configuration_sha256, Some(self.clock.clone()));
                (chain.seal_paths(chain.next_sequence()).to_vec(), self.seal(segment, None))
            }
            _ => {
                let known = segment.file.name.sequence().map(|sequence| FileName::segment(sequence, KEPT));
                let told_by = known.iter().map(|name| self.path(name)).collect();
                (told_by, self.keep(segment, None).map_err(|source| self.error(source)))
            }
        };
        taken.inspect_err(|_| self.spool.keep_untold(&self.folder, untold, told_by))
    }

    /// Keeps a finished segment, behind those that are; one that was left open may be of a recording that was triggered.
    pub fn keep(&mut self, segment: Finished, recovered: Option<Recovered>) -> io::Result<()> {
        let Some(sequence) = segment.file.name.sequence() else { return Ok(()) };
        let now = self.clock.now();
        let known_until = recovered.as_ref().and_then(|recovered| recovered.nothing_after);
        let tells = self.paused.filter(|paused| paused.sequence <= sequence);
        let kept = Kept {
            since: segment.first_packet.or(known_until).unwrap_or(self.open_since).min(self.open_since),
            until: segment.until.unwrap_or(now.wall),
            file: segment.file,
            counts: segment.counts,
            targets: segment.targets,
            first_packet: segment.first_packet,
            last_packet: segment.last_packet,
            clock: if recovered.is_none() { self.clock.state() } else { None },
            recovered,
            configuration_sha256: self.configuration_sha256,
            steps: segment.steps,
            // There were rings a moment before this was known.
            pause: tells.map(|Paused { pause, .. }| Pause {
                until: segment.first_packet.unwrap_or(pause.until).min(pause.until),
                ..pause
            }),
            finished: steadily(now, known_until.unwrap_or(now.wall)),
        };
        self.disk().rename(&segment.path, &self.path(&kept.file.name))?;
        // Syncs the folder too, and with it the rename above.
        let (path, json) = (self.path(&FileName::segment(sequence, KEPT)), serde_json::to_vec(&kept)?);
        self.write_with_room(&path, &json)?;
        self.kept.push_back(kept);
        self.last_sequence = self.last_sequence.max(sequence);
        self.open_since = now.wall;
        if tells.is_some() { self.forget_pause() } else { Ok(()) }
    }

    /// Removes what is older than wanted, and what takes more room than `bytes_max`.
    pub fn expire(&mut self, bytes_max: u64) -> Result<(), SealingError> {
        let age = self.window().and_then(|window| SignedDuration::try_from(window.pre_trigger?).ok());
        let now = self.clock.now();
        let Some(oldest) = age.and_then(|age| steadily(now, now.wall).checked_sub(age)) else { return Ok(()) };
        let mut bytes: u64 = self.kept.iter().map(|kept| kept.file.bytes).sum();
        let mut count = self.kept.len().saturating_sub(limits::READY_SEGMENTS_MAX);
        bytes = bytes.saturating_sub(self.kept.iter().take(count).map(|kept| kept.file.bytes).sum());
        while let Some(kept) = self.kept.get(count).filter(|kept| kept.finished < oldest || bytes > bytes_max) {
            bytes -= kept.file.bytes;
            count += 1;
        }
        self.remove_oldest(count).map_err(|source| self.error(source))
    }

    /// Removes the oldest until that many bytes are free, or nothing is left.
    pub fn make_room(&mut self, bytes: u64) -> Result<(), SealingError> {
        if bytes > 0 {
            tracing::warn!(folder = %self.folder.display(), bytes, "no room: the oldest of what is kept ready is removed");
        }
        let mut freed = 0;
        let wanted = self.kept.iter().take_while(|kept| {
            let more = freed < bytes;
            freed += kept.file.bytes;
            more
        });
        let count = wanted.count();
        self.remove_oldest(count).map_err(|source| self.error(source))
    }

    fn remove_oldest(&mut self, count: usize) -> io::Result<()> {
        if count == 0 || self.is_triggered() {
            return Ok(());
        }
        // In this order a disk that is full has room for the count, and what a crash leaves is counted once: known with
        // its number behind the last that was counted, it is still to be; before it, it is only still to be removed.
        let mut removed = Vec::new();
        while removed.len() < count
            && let Some(kept) = self.kept.front()
        {
            remove(self.disk(), &self.path(&kept.file.name))?;
            self.expired.segments += 1;
            self.expired.volume += kept.counts.written;
            self.expired.through = kept.file.name.sequence().unwrap_or(0);
            removed.extend(self.kept.pop_front());
        }
        self.disk().write_durably(&self.folder.join(EXPIRED), &serde_json::to_vec(&self.expired)?)?;
        removed.iter().try_for_each(|kept| self.remove_kept(kept))
    }

    /// Writes durably. On a disk that is full, what is oldest makes room, once.
    fn write_with_room(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match self.disk().write_durably(path, bytes) {
            Err(error) if is_full(&error) => {
                self.make_room(limits::READY_ROOM_BYTES).map_err(io::Error::other)?;
                self.disk().write_durably(path, bytes)
            }
            written => written,
        }
    }

    fn remove_kept(&self, kept: &Kept) -> io::Result<()> {
        let known = FileName::segment(kept.file.name.sequence().unwrap_or(0), KEPT);
        [&kept.file.name, &known].into_iter().try_for_each(|name| remove(self.disk(), &self.path(name)))
    }

    /// The oldest segment that was left open, or finished and not yet kept.
    pub fn left_open(&self) -> io::Result<Option<(PathBuf, FileName, Compression)>> {
        let files = self.files()?;
        let kept: BTreeSet<u32> =
            files.iter().filter(|(_, suffix)| suffix == KEPT).map(|(number, _)| *number).collect();
        for (sequence, suffix) in files.into_iter().filter(|(number, _)| !kept.contains(number)) {
            let plain = suffix.strip_suffix(OPEN).unwrap_or(&suffix);
            let Some(compression) = Compression::of(plain) else { continue };
            let name = FileName::segment(sequence, plain);
            let path = self.path(&FileName::segment(sequence, &suffix));
            return Ok(Some((path, name, compression)));
        }
        Ok(None)
    }

    /// Numbered files, in order, with their suffixes.
    fn files(&self) -> io::Result<BTreeSet<(u32, String)>> {
        let mut files = BTreeSet::new();
        for Entry { name, .. } in self.disk().list(&self.folder)? {
            files.extend(name.to_str().and_then(|name| parts(&name.parse().ok()?)));
        }
        Ok(files)
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    fn error(&self, source: io::Error) -> SealingError {
        SealingError::Spool { folder: self.folder.clone(), source }
    }
}

impl Drop for Backlog {
    /// What no segment came to tell is for whoever comes next.
    fn drop(&mut self) {
        self.spool.keep_untold(&self.folder, std::mem::take(&mut self.untold), Vec::new());
    }
}
