//! Packets and bytes, kept and lost. In a seal they are those since the seal before, in `close.json` the sums of all.

use serde::{Deserialize, Serialize};

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
    /// Packets that were left out because there were too many: of flows, by the rate cap or for a share of a processor, and
    /// those that came while the recording ended because its budget was used up.
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
