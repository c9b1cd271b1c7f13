//! Every bound we chose, its arithmetic and its reason.
//!
//! Together they are the recorder's memory, [`memory_bytes_max`]: below 64 MiB resident whatever the traffic, with
//! the ring there is by default.

use std::time::Duration;

/// Default size of the ring [bytes]: the stall it rides out is size ÷ rate, 0.25 s at 1 Gbit/s.
pub const RING_BYTES_DEFAULT: usize = 32 << 20;

/// Smallest ring [bytes]: sixteen blocks, so that one block in our hands leaves the kernel fifteen.
pub const RING_BYTES_MIN: usize = 16 * BLOCK_BYTES;

/// Largest ring [bytes]: what the kernel pins for us nobody else gets.
pub const RING_BYTES_MAX: usize = 1 << 30;

/// A block of the ring [bytes]. A frame must fit in one; the largest is 64 KiB of segmentation offload, and
/// 256 KiB with IPv6 jumbograms below the snap length.
pub const BLOCK_BYTES: usize = 512 << 10;

/// A block that is not full is handed over after this time: a part of the one second we may lose.
pub const BLOCK_RETIRE: Duration = Duration::from_millis(100);

/// Default and largest snap length [bytes]: as libpcap, more than any frame of Linux by default.
pub const SNAP_BYTES_MAX: u32 = 256 << 10;

/// A batch of blocks on its way to the disk [bytes], and one zstd frame of a segment: larger ones
/// compress hardly better.
pub const BATCH_BYTES: usize = 1 << 20;

/// Batches there are. When all wait for the disk, the ring fills, and the kernel counts what it drops.
pub const BATCHES: usize = 6;

/// A batch goes to the disk after this time, full or not. With [`BLOCK_RETIRE`] and the wait for the writer
/// it stays below the second that a `kill -9` may cost.
pub const FLUSH: Duration = Duration::from_millis(500);

/// How long the capture thread waits for a block: how late it notices that it should stop.
pub const WAIT: Duration = Duration::from_millis(100);

/// Interfaces that can be named: each is two instructions of the kernel's filter, of 4096.
pub const INTERFACES_NAMED_MAX: usize = 64;

/// Interfaces described in one segment. Pods come and go: past this, a new segment begins with a new list.
pub const INTERFACES_DESCRIBED_MAX: usize = 1024;

/// Longest filter expression [bytes].
pub const FILTER_BYTES_MAX: usize = 4096;

/// Parentheses and `not` inside one another in a filter expression: recursion ends here.
pub const FILTER_DEPTH_MAX: u32 = 64;

/// zstd level of segments: 1 is what leaves the second core to its owner.
pub const ZSTD_LEVEL: i32 = 1;

/// A capture that has not turned for this time has stalled, unless the configuration says otherwise: twenty times
/// what a turn takes with a disk that answers, and before a ring of a quiet node is full.
pub const STALL_DEFAULT: Duration = Duration::from_secs(10);

/// How often it is looked whether a capture has stalled.
pub const ALARM: Duration = Duration::from_secs(1);

/// How often the spool is looked at.
pub const LOOK: Duration = Duration::from_secs(5);

/// How long counts of a target that is gone are still told: several times what lies between scrapes.
pub const SERIES_KEPT: Duration = Duration::from_secs(600);

/// Connections that are answered at once: a scraper and two probes, and as many again that hang.
pub const OBSERVERS: usize = 8;

/// How long a request may take to arrive, and its answer to leave.
pub const REQUEST: Duration = Duration::from_secs(5);

/// Largest zstd frame that recovery accepts [bytes, decompressed]: a batch, its last block and the counts
/// behind it.
pub const FRAME_BYTES_MAX: usize = BATCH_BYTES + (SNAP_BYTES_MAX as usize) + (1 << 20);

/// Over this time the share of a processor is measured: a burst that is over sooner ends no recording.
pub const CPU_MEASURED: Duration = Duration::from_secs(10);

/// How often it is looked at: eleven samples are kept.
pub const CPU_SAMPLE: Duration = Duration::from_secs(1);

/// Longest configuration that is read, all files together [bytes]: about ten thousand windows.
pub const CONFIG_BYTES_MAX: usize = 4 << 20;

/// Files of a folder that are read as one configuration: a window each is what people do.
pub const CONFIG_FILES_MAX: usize = 1000;

/// Longest request on the control socket [bytes]: the path of a recording, four names of at most 253 bytes.
pub const CONTROL_LINE_BYTES_MAX: usize = 4096;

/// Longest answer that is read from it [bytes]: the status of ten thousand windows has about 4 MiB.
pub const CONTROL_ANSWER_BYTES_MAX: usize = 64 << 20;

/// Connections to the control socket that are served at a time; more of them wait.
pub const CONTROL_CONNECTIONS_MAX: usize = 8;

/// How long the other side of the control socket may say nothing, or take nothing.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a connection that could not be accepted.
pub const CONTROL_PAUSE: Duration = Duration::from_millis(100);

/// Most memory that is resident with `recordings` at once [bytes].
///
/// For each: its ring, its batches with room for the packet that is one too many, a compressed batch, and what zstd
/// needs at [`ZSTD_LEVEL`]. Once: two parts on their way to a store, and the program.
pub fn memory_bytes_max(recordings: usize, ring_bytes: usize) -> usize {
    const MIB: usize = 1 << 20;
    const ZSTD: usize = 2 * MIB;
    const PROGRAM: usize = 12 * MIB;
    const PARTS: usize = 2 * (8 * MIB);
    let ring = ring_bytes.clamp(RING_BYTES_MIN, RING_BYTES_MAX);
    let batches = BATCHES * (BATCH_BYTES + SNAP_BYTES_MAX as usize);
    recordings * (ring + batches + BATCH_BYTES + ZSTD) + PARTS + PROGRAM
}
