//! The recordings of stores as a list.

use super::Format;
use super::report::{identity, kept_packets, lost_packets, not_recorded, reason};
use crate::snapshot::Recorded;
use formats::seal::{Close, EndReason};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use std::io::Write;

/// Writes which recordings there are, by what they say of themselves: nothing is proved here.
///
/// # Errors
/// Those of `out`.
pub fn show(recordings: &[Recorded], format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    if format == Format::Json {
        let values = recordings.iter().map(|recorded| {
            let mut value = identity(recorded);
            value["segments"] = recorded.segments().into();
            value["bytes"] = recorded.bytes().into();
            // What nobody has proved here: the totals as written.
            value["close"] = json!(recorded.close);
            value
        });
        writeln!(out, "{:#}", Value::Array(values.collect()))?;
        return Ok(());
    }
    let mut rows = vec![
        ["START", "CLUSTER", "WINDOW", "NODE", "ENDED", "WHY", "SEGMENTS", "SIZE", "PACKETS", "LOST"]
            .map(str::to_owned),
    ];
    for recorded in recordings {
        let (id, close) = (&recorded.id, recorded.close.as_ref());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        rows.push([
            format!("{:.0}", id.start.time()),
            id.cluster.to_string(),
            id.window.to_string(),
            id.node.to_string(),
            or_dash(close.map(|close| format!("{:.0}", close.ended))),
            or_dash(close.map(|close| reason(&close.reason))),
            recorded.segments().to_string(),
            HumanBytes(recorded.bytes()).to_string(),
            or_dash(close.map(|close| kept_packets(&close.counts, close.forgotten_volume).to_string())),
            or_dash(close.map(lost)),
        ]);
    }
    if recordings.is_empty() {
        return Ok(());
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..10).map(width).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// How many packets were lost; for how long nobody could know, and whether what came last was counted.
fn lost(close: &Close) -> String {
    let packets = lost_packets(&close.counts, close.forgotten_volume).to_string();
    let pauses = (!close.pauses.is_empty()).then(|| not_recorded(&close.pauses));
    let crash = (close.reason == EndReason::Crash).then(|| "?".to_owned());
    [Some(packets), pauses, crash].into_iter().flatten().collect::<Vec<_>>().join(" + ")
}
