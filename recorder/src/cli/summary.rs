//! What `record` prints of what became of it.

use formats::seal::{Close, EndReason};
use jiff::SignedDuration;
use recorder::orders::Orders;
use std::io::Write;

/// What is known of a recording whose ledger could not be written to its end.
pub fn unclosed(orders: &Orders, out: &mut impl Write) -> anyhow::Result<()> {
    let written = orders.written();
    writeln!(out, "recorded   until it failed, and could not be closed: the next start recovers what is in the spool")?;
    writeln!(out, "packets    {} written", written.packets)?;
    writeln!(out, "bytes      {} written", written.bytes)?;
    writeln!(out, "lost       {} packets, which nothing in the spool tells", orders.lost_packets())?;
    Ok(())
}

/// What became of a recording.
pub fn closed(close: &Close, out: &mut impl Write) -> anyhow::Result<()> {
    let counts = &close.counts;
    let dropped = &counts.dropped;
    let length = SignedDuration::try_from(close.ended.duration_since(close.recording.start.time()).unsigned_abs())?;
    let why = match close.reason {
        EndReason::ByteBudget => "its bytes were used up",
        EndReason::Duration => "its time was over",
        EndReason::PacketBudget => "its packets were used up",
        EndReason::SpoolFull => "the spool was full",
        EndReason::Stopped => "it was stopped",
        _ => "it failed",
    };
    writeln!(out, "recorded   {:.1} s, until {why}", length.as_secs_f64())?;
    writeln!(out, "packets    {} written of {} seen", counts.written.packets, counts.seen.packets)?;
    writeln!(out, "bytes      {} written of {} seen", counts.written.bytes, counts.seen.bytes)?;
    writeln!(out, "filtered   {} packets", counts.filtered.packets)?;
    if counts.sampled.packets > 0 {
        writeln!(
            out,
            "left out   {} packets beyond the rate, the share of a processor, or the budget",
            counts.sampled.packets
        )?;
    }
    writeln!(
        out,
        "lost       {} packets dropped by the kernel, {} behind the ring, {} on the disk, {} in the spool",
        dropped.kernel_packets, dropped.ring.packets, dropped.disk.packets, dropped.spool.packets
    )?;
    writeln!(out, "segments   {}", close.segments)?;
    Ok(())
}
