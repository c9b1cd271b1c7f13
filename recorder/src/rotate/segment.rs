//! A segment that is being written: a pcapng file in independent zstd frames.
//!
//! Every batch is one frame, written at once: whatever happens to us afterwards, all frames before are whole.

use super::batch::Batch;
use super::blocks;
use super::untold::Untold;
use crate::clock::{self, Moment};
use crate::disk::{Disk, DiskFile};
use crate::limits;
use formats::hash::Hash256;
use formats::seal::{ClockStep, Counts, DropsByTarget, Pause, SealedFile};
use formats::store::{self, FileName};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Suffix of a file that is not whole yet.
pub const OPEN: &str = ".open";

/// How a segment is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd, in independent frames.
    #[default]
    Zstd,
}

impl Compression {
    /// Suffix of a segment's packets.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "pcapng",
            Self::Zstd => store::PACKETS,
        }
    }

    /// What a segment's packets with that suffix are written with.
    pub fn of(suffix: &str) -> Option<Self> {
        [Self::Zstd, Self::None].into_iter().find(|compression| compression.suffix() == suffix)
    }
}

/// How segments are written, and when they end.
#[derive(Debug, Clone, Default)]
pub struct SegmentOptions {
    /// The folder of the recording.
    pub folder: PathBuf,
    /// Number of the segment before the first.
    pub last_sequence: u32,
    /// Ends at that size [bytes, as stored].
    pub bytes_max: u64,
    /// Ends after that time, if there are packets in it.
    pub age_max: Duration,
    /// How it is compressed.
    pub compression: Compression,
    /// What was kept of each packet at most.
    pub snap_bytes: u32,
    /// The filter, as it was typed.
    pub filter: Option<String>,
}

/// A segment that is being written.
pub struct OpenSegment {
    file: Box<dyn DiskFile>,
    name: FileName,
    path: PathBuf,
    sha256: Sha256,
    bytes: u64,
    opened: Moment,
    list: u32,
    /// How many interfaces are described in the file.
    described: usize,
    counts: Counts,
    targets: DropsByTarget,
    times_ns: Option<(u64, u64)>,
    until: Option<Timestamp>,
    steps: Vec<ClockStep>,
    /// The disk did not take a batch: what is written is sealed while there is room for a seal.
    failed: bool,
    compressor: Option<Compressor<'static>>,
    frame: Vec<u8>,
}

/// A segment that is complete on disk, under its final name plus [`OPEN`].
#[derive(Debug, Clone)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// What it will be called, with its size and hash.
    pub file: SealedFile,
    /// What became of packets since the segment before.
    pub counts: Counts,
    /// What of that was lost, and by which target, as far as it is known.
    pub targets: DropsByTarget,
    /// Earliest packet.
    pub first_packet: Option<Timestamp>,
    /// Latest packet.
    pub last_packet: Option<Timestamp>,
    /// Until when it is known what came; none where nothing was written.
    pub until: Option<Timestamp>,
    /// How the clock was set meanwhile.
    pub steps: Vec<ClockStep>,
    /// The time right before it, where no ring was open.
    pub pause: Option<Pause>,
}

impl OpenSegment {
    /// Begins segment `sequence` with its section header.
    pub fn begin(
        disk: &dyn Disk,
        sequence: u32,
        list: u32,
        opened: Moment,
        options: &SegmentOptions,
    ) -> io::Result<Self> {
        let name = FileName::segment(sequence, options.compression.suffix());
        let path = options.folder.join(format!("{name}{OPEN}"));
        // What a failed attempt left under that name is begun anew.
        let file = disk.create(&path)?;
        let mut segment = Self {
            file,
            name,
            path,
            sha256: Sha256::new(),
            bytes: 0,
            opened,
            list,
            described: 0,
            counts: Counts::default(),
            targets: DropsByTarget::default(),
            times_ns: None,
            until: None,
            steps: Vec::new(),
            failed: false,
            compressor: match options.compression {
                Compression::None => None,
                Compression::Zstd => Some(compressor()?),
            },
            frame: Vec::new(),
        };
        let mut header = Vec::new();
        blocks::section_header(&mut header);
        segment.append(&header)?;
        Ok(segment)
    }

    /// Whether `batch` does not belong into this segment any more.
    pub fn is_over(&self, batch: &Batch, now: Moment, options: &SegmentOptions) -> bool {
        // Not by the time of day, which may be set back.
        let old = now.steady.saturating_sub(self.opened.steady) >= options.age_max;
        self.failed
            || self.bytes >= options.bytes_max
            || (old && self.counts.written.packets > 0)
            || self.list != batch.list
    }

    /// Writes a batch with what was `untold` until now, and tells what became of its packets. What the disk does not take is
    /// lost and remains to be told, by another segment: in this one nothing of it is written down.
    pub fn write(&mut self, batch: &mut Batch, untold: &mut Untold, options: &SegmentOptions) -> Counts {
        if self.described == 0 && batch.interfaces.is_empty() {
            // In the file counts stand beside an interface, and there was none yet.
            untold.counts += batch.counts;
            untold.targets += batch.targets.clone();
            return batch.counts;
        }
        let counts_before = self.counts;
        self.counts += untold.counts;
        self.counts += batch.counts;
        match self.try_write(batch, options) {
            Ok(()) => {
                let Untold { counts: _, targets, steps } = std::mem::take(untold);
                steps.into_iter().for_each(|step| clock::note(&mut self.steps, step));
                self.targets += targets;
                self.targets += batch.targets.clone();
                let times = [self.times_ns, batch.times_ns];
                self.until = Some(batch.until);
                self.times_ns = times.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                batch.counts
            }
            Err(error) => {
                tracing::error!(file = %self.path.display(), packets = batch.counts.written.packets, %error, "packets lost: the disk did not take them");
                self.counts = counts_before;
                let lost = untold.add_lost(batch);
                self.failed = true;
                lost
            }
        }
    }

    /// Adds what became of packets.
    #[cfg(test)]
    pub fn add(&mut self, counts: Counts) {
        self.counts += counts;
    }

    fn try_write(&mut self, batch: &mut Batch, options: &SegmentOptions) -> io::Result<()> {
        let filter = options.filter.as_deref();
        let mut descriptions = Vec::new();
        for interface in batch.interfaces.get(self.described..).unwrap_or_default() {
            blocks::interface_description(&mut descriptions, interface, options.snap_bytes, filter);
        }
        if !descriptions.is_empty() {
            self.append(&descriptions)?;
            self.described = batch.interfaces.len();
        }
        if self.described > 0 {
            // Also a sign of life: it says until when, and what was lost by then.
            let until_ns = u64::try_from(batch.until.as_nanosecond()).unwrap_or(0);
            blocks::interface_statistics(&mut batch.blocks, &self.counts, self.described, until_ns);
            self.append(&batch.blocks)?;
        }
        Ok(())
    }

    /// Appends whole blocks, as one frame.
    fn append(&mut self, blocks: &[u8]) -> io::Result<()> {
        let written: &[u8] = match &mut self.compressor {
            None => blocks,
            Some(compressor) => {
                self.frame.resize(zstd::zstd_safe::compress_bound(blocks.len()), 0);
                let bytes = compressor.compress_to_buffer(blocks, &mut self.frame)?;
                &self.frame[..bytes]
            }
        };
        if let Err(error) = self.file.write_all(written) {
            // A part may be there: back to the last whole frame.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.sha256.update(written);
        self.bytes += written.len() as u64;
        Ok(())
    }

    /// When it was begun.
    pub fn opened(&self) -> Moment {
        self.opened
    }

    /// Gives back the memory of what is written no more; the segment waits for its seal.
    pub fn written(mut self) -> Self {
        self.compressor = None;
        self.frame = Vec::new();
        self
    }

    /// Ends the segment: everything is on the disk when this returns.
    pub fn finish(mut self) -> io::Result<Finished> {
        if self.failed {
            // A part of the frame that failed may still be there, where the disk did not take that back either.
            self.file.set_len(self.bytes)?;
        }
        self.file.sync()?;
        let time = |nanoseconds: u64| Timestamp::from_nanosecond(nanoseconds.into()).ok();
        Ok(Finished {
            path: self.path,
            file: SealedFile {
                name: self.name,
                bytes: self.bytes,
                sha256: Hash256(self.sha256.finalize().into()),
                encrypted: None,
            },
            counts: self.counts,
            targets: self.targets,
            first_packet: self.times_ns.and_then(|(first, _)| time(first)),
            last_packet: self.times_ns.and_then(|(_, last)| time(last)),
            until: self.until,
            steps: self.steps,
            pause: None,
        })
    }

    /// Its number.
    #[cfg(test)]
    pub fn sequence(&self) -> u32 {
        self.name.sequence().expect("a segment has one")
    }

    /// Packets in it.
    #[cfg(test)]
    pub fn packets(&self) -> u64 {
        self.counts.written.packets
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts another file in place of its own, for tests in which the disk fails.
    #[cfg(test)]
    pub fn swap_file(&mut self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        std::mem::replace(&mut self.file, file)
    }
}

impl std::fmt::Debug for OpenSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenSegment({}, {} bytes)", self.path.display(), self.bytes)
    }
}

/// A compressor whose frames are independent, carry their size and a checksum.
fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(limits::ZSTD_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    Ok(compressor)
}
