//! What seals count, as rows of `coverage`.

use dissect::NotKept;
use formats::seal::{ClockStep, Counts, Dropped, DropsByTarget, TargetDrops, Volume};
use std::borrow::Cow;

/// What was on the wire while no ring was open: nobody knows how much.
pub const PAUSE: NotKept =
    NotKept { stage: "ring", reason: Cow::Borrowed("no ring was open"), target: None, packets: None, bytes: None };

/// What had been handed over and was not written yet when the recorder died: it was in memory, and so was its count.
pub const CRASH: NotKept =
    NotKept { stage: "disk", reason: Cow::Borrowed("behind the last write before a crash"), ..PAUSE };

/// How the clock was set: no packet is lost by that, but times before and behind do not compare.
pub fn clock_set(step: &ClockStep) -> NotKept {
    NotKept { reason: step.to_string().into(), ..volume("clock", "", Volume::default()) }
}

/// A row for each stage, also where it lost nothing: zero is an answer, no row is none. What is known to be of a target has
/// rows of its own.
pub fn of_counts(counts: Counts, targets: DropsByTarget) -> Vec<NotKept> {
    let told = targets.sum();
    // A sum may be cut off at its greatest.
    let rest = |all: Volume, told: Volume| Volume {
        packets: all.packets.saturating_sub(told.packets),
        bytes: all.bytes.saturating_sub(told.bytes),
    };
    let dropped = Dropped {
        kernel_packets: counts.dropped.kernel_packets.saturating_sub(told.kernel_packets),
        ring: rest(counts.dropped.ring, told.ring),
        disk: rest(counts.dropped.disk, told.disk),
        spool: counts.dropped.spool,
    };
    // The kernel filters without counting bytes.
    let filtered = Some(counts.filtered.bytes).filter(|&bytes| bytes > 0 || counts.filtered.packets == 0);
    let refused = Volume { packets: counts.filtered.packets, bytes: 0 };
    let [kernel, ring, disk] = of_drops(&dropped);
    let mut rows = vec![
        kernel,
        ring,
        NotKept { bytes: filtered, ..volume("filter", "refused by the filter", refused) },
        disk,
        volume("upload", "segments given up before they were stored", dropped.spool),
    ];
    if !counts.sampled.is_nothing() {
        rows.push(volume("filter", "beyond the rate, the share of a processor, or the budget", counts.sampled));
    }
    if counts.snapped_bytes > 0 {
        let bytes = Some(counts.snapped_bytes);
        rows.push(NotKept { bytes, ..volume("filter", "beyond the snap length", Volume::default()) });
    }
    for TargetDrops { target, dropped, .. } in targets.0 {
        let lost = of_drops(&dropped).into_iter().filter(|row| row.packets > Some(0));
        rows.extend(lost.map(|row| NotKept { target: Some(target.clone()), ..row }));
    }
    rows
}

/// What the kernel, we and the disk lost.
fn of_drops(dropped: &Dropped) -> [NotKept; 3] {
    let kernel = Volume { packets: dropped.kernel_packets, bytes: 0 };
    [
        NotKept { bytes: None, ..volume("kernel", "capture ring full", kernel) },
        volume("ring", "writing too slow", dropped.ring),
        volume("disk", "writing failed", dropped.disk),
    ]
}

/// A row of one stage, of all targets.
pub fn volume(stage: &'static str, reason: &'static str, volume: Volume) -> NotKept {
    let reason = Cow::Borrowed(reason);
    NotKept { stage, reason, target: None, packets: Some(volume.packets), bytes: Some(volume.bytes) }
}
