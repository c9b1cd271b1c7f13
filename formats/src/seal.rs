//! The seal that closes a segment and the totals that close a recording (drawn in FORMATS.md).
//!
//! Both are one line of JSON whose last member is the SHA-256 of all bytes before it, so that a changed
//! byte is seen in the file itself; the chain from seal to seal and to `close.json` shows the rest.
//! Seals are hashed as stored, never re-written: members a later version adds survive and are ignored.

mod by_target;
mod pause;

use crate::age::Recipient;
use crate::hash::Hash256;
use crate::store::{FileName, RecordingId};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use by_target::{DropsByTarget, TARGETS_MAX, TargetDrops};
pub use pause::{PAUSES_MAX, Pause, note_pause};

/// The version written here. It changes only when an older reader would misunderstand, not for new members.
pub const VERSION: u32 = 1;

/// Longest seal that is read: ours have about 1 KiB, and 100 bytes for each TLS process of a node to come.
pub const SEAL_BYTES_MAX: usize = 1 << 20;

/// Why bytes are no seal and no close.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes do not have the hash they end with.
    #[error("was edited: it does not have the hash it ends with")]
    Edited,
    /// Says something that cannot be.
    #[error("contradicts itself: {what}")]
    Impossible {
        /// What contradicts what.
        what: &'static str,
    },
    /// A later version gave the members another meaning.
    #[error("has version {version}, this program reads up to {VERSION}")]
    LaterVersion {
        /// The version it claims.
        version: u32,
    },
    /// JSON, but not ours; or no JSON.
    #[error("cannot be read: {0}")]
    NotASeal(#[from] serde_json::Error),
    /// Longer than any seal.
    #[error("has {bytes} bytes, a seal has at most {SEAL_BYTES_MAX}")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
}

/// What was sealed: one segment with everything known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// The recording it belongs to.
    pub recording: RecordingId,
    /// Number of the segment, from 1 without gaps.
    pub sequence: u32,
    /// The files of the segment, as stored.
    pub files: Vec<SealedFile>,
    /// Earliest packet of the segment; null without packets.
    pub first_packet: Option<Timestamp>,
    /// Latest packet of the segment; null without packets.
    pub last_packet: Option<Timestamp>,
    /// Packets and bytes, kept and lost, since the seal before.
    pub counts: Counts,
    /// What of `counts.dropped` is known to be of which target; not there where nothing is. A segment that was found open after
    /// a crash tells of none.
    #[serde(default, skip_serializing_if = "DropsByTarget::is_empty")]
    pub targets: DropsByTarget,
    /// TLS plaintext events since the seal before.
    pub tls: TlsCounts,
    /// Segments before this one whose files were given up by the spool's policy before they were stored.
    /// Told by the first seal made after that.
    pub forgotten: Vec<u32>,
    /// The clock the packets were timed with, when the segment ended; null when it was not asked.
    pub clock: Option<Clock>,
    /// Version of the recorder that wrote it.
    pub recorder: String,
    /// SHA-256 of the configuration it was made with; FORMATS.md says of what bytes.
    pub configuration_sha256: Hash256,
    /// Set when the segment was found open after a crash.
    pub recovered: Option<Recovered>,
    /// The time between the segment before and this one, where no ring was open meanwhile; not there where there always was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// SHA-256 of the bytes of the seal before; null for the first.
    pub previous_sha256: Option<Hash256>,
}

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Its name, in the folder of the recording.
    pub name: FileName,
    /// Its size, as stored.
    pub bytes: u64,
    /// Its SHA-256, as stored.
    pub sha256: Hash256,
    /// What it is once decrypted; not there for files that are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<Encrypted>,
}

/// What an encrypted file is once it is decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// Its name then.
    pub name: FileName,
    /// Its size then.
    pub bytes: u64,
    /// Its SHA-256 then.
    pub sha256: Hash256,
    /// Whose keys decrypt it.
    pub recipients: Vec<Recipient>,
}

/// Packets and their bytes on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// How many packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of the packets. In packets, `seen` is `written`, `filtered`, `sampled` and all that was dropped;
/// in bytes it is what was handed to us: the kernel does not count the bytes of packets it refused or lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Packets on the interfaces, with the length on the wire of those that were handed to us.
    pub seen: Volume,
    /// Packets in the segment, with the bytes kept of them.
    pub written: Volume,
    /// Bytes of written packets beyond the snap length.
    pub snapped_bytes: u64,
    /// Packets the filter expression refused, in the kernel, which tells no bytes, and those of the recorder's own
    /// uploads.
    pub filtered: Volume,
    /// Packets of flows that were left out, by the rate cap or for a share of a processor.
    #[serde(default, skip_serializing_if = "Volume::is_nothing")]
    pub sampled: Volume,
    /// Packets lost, by place.
    pub dropped: Dropped,
}

/// Packets that should have been kept, by the place where they were lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Lost by the kernel because the capture ring was full: it counts packets only.
    pub kernel_packets: u64,
    /// Taken from the ring, and lost because what follows was too slow.
    pub ring: Volume,
    /// Lost because writing failed.
    pub disk: Volume,
    /// Written in segments that are listed as forgotten; they are not `seen` a second time.
    pub spool: Volume,
}

/// TLS plaintext events; zero where no probe was attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsCounts {
    /// Events in the sidecar.
    pub events: u64,
    /// Plaintext bytes in the sidecar.
    pub bytes: u64,
    /// Events lost between probe and sidecar.
    pub lost_events: u64,
}

/// How far the clock of the node was off, and how it was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What must be added to our times to get the source's, as far as it is known.
    pub offset_ns: i64,
    /// Who says so: 'kernel', 'chrony', 'ptp', …
    pub source: String,
    /// Whether somebody keeps the clock right; null when nobody said.
    #[serde(default)]
    pub synchronised: Option<bool>,
    /// How far it may be off at most; null when nobody said.
    #[serde(default)]
    pub error_max_ns: Option<u64>,
    /// How it was set since the seal before, in order; in `close.json`, since the recording began.
    #[serde(default)]
    pub steps: Vec<ClockStep>,
}

/// The clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// When it was noticed, as the clock shows since.
    pub at: Timestamp,
    /// By how much; below zero when it was set back.
    pub by_ns: i64,
}

/// Steps of the clock that are told one by one: who sets it more often is told by the sum.
pub const CLOCK_STEPS_MAX: usize = 64;

/// Notes a step with those before it. Behind [`CLOCK_STEPS_MAX`] it is added up with the last: who sets the clock again and
/// again takes no more memory for that.
pub fn note(steps: &mut Vec<ClockStep>, step: ClockStep) {
    let is_full = steps.len() >= CLOCK_STEPS_MAX;
    match steps.last_mut().filter(|_| is_full) {
        Some(last) => last.by_ns = last.by_ns.saturating_add(step.by_ns),
        None => steps.push(step),
    }
}

impl Clock {
    /// Adds a step, as [`note`].
    pub fn step(&mut self, step: ClockStep) {
        note(&mut self.steps, step);
    }

    /// What `close.json` says of the clock, seal by seal: the last that was said, and all steps.
    pub fn follow(so_far: &mut Option<Self>, next: Option<&Self>) {
        let Some(next) = next else { return };
        let steps = so_far.take().map(|clock| clock.steps).unwrap_or_default();
        let clock = so_far.insert(Self { steps, ..next.clone() });
        next.steps.iter().for_each(|&step| clock.step(step));
    }
}

/// What a crash cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Bytes at the end of the open segment that could not be read, and were cut off.
    pub cut_bytes: u64,
    /// After this moment nothing is known: the last packet kept, or the start of the segment. Packets
    /// between it and the next segment are lost, and nobody counted them.
    pub nothing_after: Option<Timestamp>,
}

/// Totals of a recording, written when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Version of this format: [`VERSION`].
    pub version: u32,
    /// The recording it ends.
    pub recording: RecordingId,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it ended.
    pub reason: EndReason,
    /// How many segments there are: the number of the last.
    pub segments: u32,
    /// Earliest packet of all segments; null without packets.
    pub first_packet: Option<Timestamp>,
    /// Latest packet of all segments; null without packets.
    pub last_packet: Option<Timestamp>,
    /// Sums over all seals.
    pub counts: Counts,
    /// Sums over all seals.
    pub tls: TlsCounts,
    /// Segments given up by the spool's policy that no seal has told of, with what was in them.
    pub forgotten: Vec<u32>,
    /// Packets in those; not part of `counts`, which are the seals' sums.
    pub forgotten_volume: Volume,
    /// What set it off, where it began with what had been kept ready; not there for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The clock as the last seal that knows of it says, with the steps of all seals.
    #[serde(default)]
    pub clock: Option<Clock>,
    /// The pauses of all seals, as [`note_pause`] adds them up; not there where there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// Version of the recorder that wrote it.
    pub recorder: String,
    /// SHA-256 of the bytes of the last seal; null without segments.
    pub last_seal_sha256: Option<Hash256>,
}

/// What made a recording of the past that was kept ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// When.
    pub at: Timestamp,
    /// By whom or what, in words.
    pub by: String,
    /// Since when the past had been kept ready.
    pub ready_since: Timestamp,
    /// What had been kept, and was removed before the trigger because it was too old or took too much room. It is
    /// no part of the recording.
    pub expired: Volume,
    /// How many segments that was.
    pub expired_segments: u64,
}

/// Why a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// Its bytes were used up.
    ByteBudget,
    /// Its share of a processor was used up: recording must not take from what it records.
    CpuBudget,
    /// Found unfinished by a later start.
    Crash,
    /// Its time was over.
    Duration,
    /// Capturing or writing failed, and could not go on.
    Failure,
    /// Its packets were used up.
    PacketBudget,
    /// The next run of its window took its place.
    Replaced,
    /// Its share of the spool was used up.
    SpoolBudget,
    /// The spool was full, and its policy is to stop.
    SpoolFull,
    /// Somebody stopped it, or the recorder.
    Stopped,
    /// Its window was changed or removed.
    WindowChanged,
    /// A reason of a later version.
    #[serde(untagged)]
    Other(String),
}

impl Seal {
    /// The bytes of `<number>.seal.json`; the same seal gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads what [`Seal::to_bytes`] wrote, in this version or one that only adds members.
    ///
    /// # Bounds
    /// [`SEAL_BYTES_MAX`]; nesting is bounded by serde_json.
    /// # Errors
    /// Everything in [`SealError`]: a byte changed anywhere is one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let seal: Self = from_line(bytes)?;
        check_version(seal.version)?;
        let impossible = |what| Err(SealError::Impossible { what });
        if seal.sequence == 0 || (seal.sequence == 1) != seal.previous_sha256.is_none() {
            return impossible("the first seal, and only the first, has no seal before it");
        }
        let is_of_it =
            |name: &FileName| name.sequence() == Some(seal.sequence) && !name.is_ledger() && !name.is_signature();
        if !seal.files.iter().all(|file| is_of_it(&file.name)) {
            return impossible("it lists a file that is not of its segment");
        }
        let plain = seal.files.iter().filter_map(|file| Some((&file.name, &file.encrypted.as_ref()?.name)));
        if !plain.clone().all(|(name, plain)| *name == plain.encrypted()) {
            return impossible("it lists a file that is not called as what is in it");
        }
        let mut names: Vec<_> = seal.files.iter().map(|file| &file.name).chain(plain.map(|(_, plain)| plain)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return impossible("it lists a file twice");
        }
        let (all, told) = (&seal.counts.dropped, seal.targets.sum());
        let is_within = |told: Volume, all: Volume| told.packets <= all.packets && told.bytes <= all.bytes;
        if told.kernel_packets > all.kernel_packets
            || !is_within(told.ring, all.ring)
            || !is_within(told.disk, all.disk)
        {
            return impossible("its targets lost more than was lost");
        }
        if seal.sequence == 1 && seal.pause.is_some() {
            return impossible("it pauses before the recording begins");
        }
        if seal.forgotten.iter().any(|&forgotten| forgotten == 0 || forgotten >= seal.sequence) {
            return impossible("it forgets a segment that is not before it");
        }
        Ok(seal)
    }
}

impl Close {
    /// The bytes of `close.json`; the same totals give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads what [`Close::to_bytes`] wrote, in this version or one that only adds members.
    ///
    /// # Bounds
    /// [`SEAL_BYTES_MAX`]; nesting is bounded by serde_json.
    /// # Errors
    /// Everything in [`SealError`]: a byte changed anywhere is one of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let close: Self = from_line(bytes)?;
        check_version(close.version)?;
        if (close.segments == 0) != close.last_seal_sha256.is_none() {
            return Err(SealError::Impossible { what: "a recording with segments, and only that, has a last seal" });
        }
        Ok(close)
    }
}

impl Volume {
    /// Whether there is nothing in it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        // Saturating: sums come from files, and a wrong sum is told apart by `close.json`, not by a panic.
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.written += other.written;
        self.snapped_bytes = self.snapped_bytes.saturating_add(other.snapped_bytes);
        self.filtered += other.filtered;
        self.sampled += other.sampled;
        self.dropped += other.dropped;
    }
}

impl std::ops::AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        self.kernel_packets = self.kernel_packets.saturating_add(other.kernel_packets);
        self.ring += other.ring;
        self.disk += other.disk;
        self.spool += other.spool;
    }
}

impl std::ops::AddAssign for TlsCounts {
    fn add_assign(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.lost_events = self.lost_events.saturating_add(other.lost_events);
    }
}

/// Between the members and their hash.
const TAIL_OPEN: &[u8] = b",\"sha256\":\"";
/// Behind the hash.
const TAIL_CLOSE: &[u8] = b"\"}\n";

fn to_line(members: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(members).expect("no map with odd keys and no fallible serialiser in a seal");
    line.pop(); // The closing brace: one more member follows.
    let hash = Hash256::of(&line);
    line.extend_from_slice(TAIL_OPEN);
    line.extend_from_slice(hash.to_string().as_bytes());
    line.extend_from_slice(TAIL_CLOSE);
    line
}

fn from_line<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SealError> {
    if bytes.len() > SEAL_BYTES_MAX {
        return Err(SealError::TooLong { bytes: bytes.len() });
    }
    let hashed = bytes.strip_suffix(TAIL_CLOSE).and_then(|line| line.split_last_chunk::<64>());
    let Some((before, hash)) = hashed.and_then(|(line, hash)| Some((line.strip_suffix(TAIL_OPEN)?, hash))) else {
        return Err(SealError::Edited);
    };
    if Hash256::of(before).to_string().as_bytes() != hash {
        return Err(SealError::Edited);
    }
    Ok(serde_json::from_slice(bytes)?)
}

fn check_version(version: u32) -> Result<(), SealError> {
    if version > VERSION { Err(SealError::LaterVersion { version }) } else { Ok(()) }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever is read as a seal or a close can be written and read again.
    pub fn fuzz_seal(data: &[u8]) {
        // Random bytes never carry their own hash: give them one, so that what lies behind is reached.
        let mut line = data.to_vec();
        line.extend_from_slice(super::TAIL_OPEN);
        line.extend_from_slice(crate::hash::Hash256::of(data).to_string().as_bytes());
        line.extend_from_slice(super::TAIL_CLOSE);
        if let Ok(seal) = super::Seal::from_bytes(&line) {
            assert_eq!(super::Seal::from_bytes(&seal.to_bytes()).ok(), Some(seal));
        }
        if let Ok(close) = super::Close::from_bytes(&line) {
            assert_eq!(super::Close::from_bytes(&close.to_bytes()).ok(), Some(close));
        }
    }
}
