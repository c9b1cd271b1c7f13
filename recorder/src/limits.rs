//! Every bound we chose, its arithmetic and its reason.
//!
//! Together they are the recorder's memory, [`memory_bytes_max`]: below 64 MiB resident whatever the traffic, with
//! the ring there is by default.

use crate::schedule::Percent;
use std::time::Duration;

/// Default size of the ring [bytes]: the stall it rides out is size ÷ rate, 0.25 s at 1 Gbit/s.
pub const RING_BYTES_DEFAULT: usize = 32 << 20;

/// Smallest size of all rings together [bytes]: sixteen large blocks, so that one block in our hands leaves the
/// kernel fifteen; or sixteen of the smallest rings.
pub const RING_BYTES_MIN: usize = 8 << 20;

/// Largest size of all rings together [bytes]: what the kernel pins for us nobody else gets.
pub const RING_BYTES_MAX: usize = 1 << 30;

/// Smallest ring of one target [bytes]: at most 64 of them in the default size, and 38 where all come later. A stall of 40 ms at 100 Mbit/s.
pub const TARGET_RING_BYTES_MIN: usize = RING_BLOCKS_MIN * BLOCK_BYTES_MIN;

/// Rings that can share the packets of a target: as many of the smallest as there is always memory for.
pub const RINGS_MAX: usize = RING_BYTES_MIN / TARGET_RING_BYTES_MIN;

/// Fewest blocks of a ring: one in our hands, one that is being filled, two between them.
pub const RING_BLOCKS_MIN: usize = 4;

/// Smallest and largest block of a ring [bytes]. A frame must fit in one; the largest is 64 KiB of segmentation
/// offload, and 256 KiB with IPv6 jumbograms below the snap length. In the small blocks of small rings the kernel
/// cuts the latter, and says so.
const BLOCK_BYTES_MIN: usize = 128 << 10;
/// See [`BLOCK_BYTES_MIN`].
pub const BLOCK_BYTES_MAX: usize = 512 << 10;

/// Size of the blocks of a ring of that size [bytes]: a sixteenth of it, between the bounds.
pub fn block_bytes(ring_bytes: usize) -> usize {
    let sixteenth = (ring_bytes / 16).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    1 << sixteenth.ilog2()
}

/// A block that is not full is handed over after this time: a part of the one second we may lose.
pub const BLOCK_RETIRE: Duration = Duration::from_millis(60);

/// How long a filled block waits at most for those of other rings, so that packets are written in the order of their times:
/// the kernel hands over a block within twice [`BLOCK_RETIRE`] of its first packet. A lone ring waits for nobody.
pub const ORDER_WAIT: Duration = Duration::from_millis(130);

/// Default and largest snap length [bytes]: as libpcap, more than any frame of Linux by default.
pub const SNAP_BYTES_MAX: u32 = 256 << 10;

/// A batch of blocks on its way to the disk [bytes], and one zstd frame of a segment: larger ones
/// compress hardly better.
pub const BATCH_BYTES: usize = 1 << 20;

/// Batches there are: one is filled, one compressed, two wait between them. When all wait for the disk, the ring fills, which has
/// eight times their room, and the kernel counts what it drops.
pub const BATCHES: usize = 4;

/// A batch goes to the disk after this time, full or not. With twice [`BLOCK_RETIRE`], [`ORDER_WAIT`] and
/// [`WAIT`] it stays below the second that a `kill -9` may cost.
pub const FLUSH: Duration = Duration::from_millis(500);

/// How long the capture thread waits for a block: how late it notices that it should stop.
pub const WAIT: Duration = Duration::from_millis(100);

/// How long a run goes on past its end for the next of its window to have its rings: many times what opening them takes.
pub const HAND_OVER: Duration = Duration::from_secs(5);

/// How long to wait before targets are looked for again: with the time to open a ring, one that appears is recorded
/// within a second, and the ring of one that was missing twice is closed within another. Where a look is much work the
/// pause is longer, up to [`LOOK_MAX`]: looking takes a third of a percent.
pub const LOOK: Duration = Duration::from_millis(300);
/// See [`LOOK`].
pub const LOOK_MAX: Duration = Duration::from_secs(5);

/// Selectors a window may have, and so globs that each target is held against at each look.
pub const SELECTORS_MAX: usize = 256;

/// Runs of a window with `overlap: allow` that go on at once, unless it says otherwise: each takes some 50 MiB with the ring
/// there is by default.
pub const RUNS_DEFAULT: usize = 4;

/// Most that it can say.
pub const RUNS_MAX: usize = 64;

/// Descriptors that rings leave to the rest of the recorder: segments, stores, who asks. Some twenty are open at once.
pub const DESCRIPTORS_KEPT: u64 = 64;

/// Interfaces that can be named: each is two instructions of the kernel's filter, of 4096.
pub const INTERFACES_NAMED_MAX: usize = 64;

/// Interfaces described in one segment. Pods come and go: past this, a new segment begins with a new list.
pub const INTERFACES_DESCRIBED_MAX: usize = 1024;

/// Longest filter expression [bytes].
pub const FILTER_BYTES_MAX: usize = 4096;

/// Parentheses and `not` inside one another in a filter expression: recursion ends here.
pub const FILTER_DEPTH_MAX: u32 = 64;

/// zstd level of segments. Below zero literals are stored as they are: what nobody can compress, which is most of what is
/// encrypted, costs a third less time than at level 1 for a hundredth more bytes; text costs a tenth less for a seventh more.
pub const ZSTD_LEVEL: i32 = -1;

/// Read at once of a segment that is encrypted [bytes]: four of its pieces.
pub const CIPHER_BYTES: usize = 256 << 10;

/// A capture that has not turned for this time has stalled, unless the configuration says otherwise: twenty times
/// what a turn takes with a disk that answers, and before a ring of a quiet node is full.
pub const STALL_DEFAULT: Duration = Duration::from_secs(10);

/// How often it is looked whether a capture has stalled.
pub const ALARM: Duration = Duration::from_secs(1);

/// Lines of the log that wait for standard error [bytes]: some five hundred. As many again are being written.
pub const LOG_BYTES: usize = 128 << 10;

/// For so long the end waits for the rest of the log to be read.
pub const LOG_FLUSH: Duration = Duration::from_millis(500);

/// How often the spool is looked at.
pub const SPOOL_LOOK: Duration = Duration::from_secs(5);

/// How long counts of a target that is gone are still told: several times what lies between scrapes.
pub const SERIES_KEPT: Duration = Duration::from_secs(600);

/// Connections that are answered at once: a scraper, two probes, and many that hang. Beyond them the oldest that asks for nothing is
/// closed. 8 KiB each.
pub const OBSERVERS: usize = 32;

/// So long nobody is closed for others: requests of many who come at once are still on their way.
pub const OBSERVER_GRACE: Duration = Duration::from_millis(250);

/// How long a request may take to arrive, and its answer to leave.
pub const REQUEST: Duration = Duration::from_secs(5);

/// Files go to a store in one request up to this size [bytes]; larger ones in parts of it, one after the other, so that
/// memory does not depend on the size of a segment. S3 wants parts of 5 MiB or more, and takes ten thousand of them.
pub const PART_BYTES: usize = 5 << 20;

/// Slowest line to a store that is worth it [bytes/s]: 256 kbit/s, over which 64 MiB take half an hour.
pub const LINE_BYTES_PER_S: usize = 32 << 10;

/// How long a request to a store may take: as long as a part does over the slowest line.
pub const STORE_REQUEST: Duration = Duration::from_secs((PART_BYTES / LINE_BYTES_PER_S) as u64);

/// Largest zstd frame that recovery accepts [bytes, decompressed]: a batch, its last block and the counts
/// behind it.
pub const FRAME_BYTES_MAX: usize = BATCH_BYTES + (SNAP_BYTES_MAX as usize) + (1 << 20);

/// For how long a recording tries to begin a segment: a disk that was full for a moment has room again, a folder that is gone
/// does not come back.
pub const BEGIN_PATIENCE: Duration = Duration::from_secs(5);

/// How often recordings that could not be closed are tried again: a disk that was full has room, and what they lost is told.
pub const CLOSE_AGAIN: Duration = Duration::from_secs(10);

/// Starts of recordings that are remembered of each window: 17 hours of one that is recorded each minute may come twice by a
/// clock that is set back. 24 bytes each on the disk, written as a recording begins.
pub const STARTS_MAX: usize = 1024;

/// Over this time the share of a processor is measured: a burst that is over sooner costs no flows.
pub const CPU_MEASURED: Duration = Duration::from_secs(10);

/// How often half of the flows are left out at most, to keep to a share of a processor: one of 256 is kept. Who is over it
/// even so spends it on packets that it does not keep.
pub const CPU_HALVINGS_MAX: u32 = 8;

/// How often it is looked at: eleven samples are kept.
pub const CPU_SAMPLE: Duration = Duration::from_secs(1);

/// How long a trigger waits to be noticed.
pub const TRIGGER_WAIT: Duration = Duration::from_millis(250);

/// Share of the spool that what is kept ready takes at most, unless the window's budget says otherwise.
pub const READY_SHARE_DEFAULT: Percent = Percent(25);

/// What is made free on a disk that is full [bytes], once something has to be written: five hundred seals.
pub const READY_ROOM_BYTES: u64 = 1 << 20;

/// Segments that are kept ready at most: a day of ten seconds each. 400 bytes of memory for each make 4 MiB.
pub const READY_SEGMENTS_MAX: usize = 10_000;

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

/// Most memory that is resident with `recordings` at once [bytes], of which `kept_ready` keep a past ready.
///
/// For each: its rings, its batches with room for the packet that is one too many, a compressed batch, and what zstd
/// needs at [`ZSTD_LEVEL`]; what is being encrypted; where a past is kept ready, the list of its segments. Once: two parts on their
/// way, to however many stores, and the program, of which TLS to a store is 2 MiB; the log is in it.
pub fn memory_bytes_max(recordings: usize, kept_ready: usize, ring_bytes: usize) -> usize {
    const ZSTD: usize = 2 << 20;
    const PROGRAM: usize = 13 << 20;
    const READY: usize = 400 * READY_SEGMENTS_MAX;
    let rings = ring_bytes.clamp(RING_BYTES_MIN, RING_BYTES_MAX);
    let batches = BATCHES * (BATCH_BYTES + SNAP_BYTES_MAX as usize);
    recordings * (rings + batches + BATCH_BYTES + ZSTD + 2 * CIPHER_BYTES)
        + kept_ready * READY
        + 2 * PART_BYTES
        + PROGRAM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recording_with_the_ring_there_is_by_default_stays_below_64_mib() {
        assert!(memory_bytes_max(1, 0, RING_BYTES_DEFAULT) <= 64 << 20);
    }
}
