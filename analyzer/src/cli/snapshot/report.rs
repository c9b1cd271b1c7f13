//! What is said of each recording that was proved or fetched.

use super::{Format, SnapshotPlan};
use crate::snapshot::{Recorded, SnapshotError};
use anyhow::Context;
use formats::chain::{Fault, Sound, Wrong};
use formats::seal::{ClockStep, Counts, EndReason, Pause, Volume};
use formats::size;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::{Value, json};
use std::io::Write;

/// What is said of each recording, as soon as it is known.
pub struct Report<'a, W: Write> {
    format: Format,
    /// Whether signatures were proved.
    signed: bool,
    out: &'a mut W,
    values: Vec<Value>,
    all_good: bool,
}

impl<'a, W: Write> Report<'a, W> {
    /// Nothing was said yet.
    pub fn new(plan: &SnapshotPlan, out: &'a mut W) -> Self {
        let signed = !plan.keys.public.is_empty();
        Self { format: plan.format, signed, out, values: Vec::new(), all_good: true }
    }

    /// Says what became of a recording; `downloaded` are bytes fetched, and bytes that were there.
    ///
    /// # Errors
    /// Standard output's.
    pub fn add(
        &mut self,
        recorded: &Recorded,
        proof: Result<Result<Sound, Fault>, SnapshotError>,
        downloaded: Option<(u64, u64)>,
    ) -> anyhow::Result<()> {
        self.all_good &= matches!(proof, Ok(Ok(_)));
        let (state, words) = match &proof {
            Ok(Ok(sound)) => ("ok", describe(sound, self.signed)),
            Ok(Err(fault)) => ("broken", fault.to_string()),
            Err(error) => ("error", error.to_string()),
        };
        if self.format == Format::Table {
            let fetched = match downloaded {
                None => String::new(),
                Some((fetched, 0)) => format!(", {} fetched", HumanBytes(fetched)),
                Some((fetched, kept)) => format!(", {} fetched, {} were there", HumanBytes(fetched), HumanBytes(kept)),
            };
            let line = match state {
                "ok" => format!("ok      {}  {words}{fetched}", recorded.shown()),
                // The path of the file reads on from that of its folder.
                "broken" => format!("BROKEN  {}/{words}", recorded.shown()),
                _ => format!("ERROR   {}  {words}", recorded.shown()),
            };
            return writeln!(self.out, "{line}").context("standard output");
        }
        let mut value = identity(recorded);
        value["state"] = state.into();
        match proof {
            Ok(Ok(sound)) => {
                value["segments"] = sound.segments.into();
                value["files"] = sound.files.into();
                value["bytes"] = sound.bytes.into();
                value["first_packet"] = json!(sound.first_packet);
                value["last_packet"] = json!(sound.last_packet);
                value["ended"] = json!(sound.ended);
                value["reason"] = json!(sound.reason);
                value["counts"] = json!(sound.counts);
                value["packets"] = kept_packets(&sound.counts, sound.forgotten_at_close).into();
                value["lost_packets"] = lost_packets(&sound.counts, sound.forgotten_at_close).into();
                value["recovered"] = json!(sound.recovered);
                value["nothing_after"] = json!(sound.nothing_after);
                value["forgotten"] = json!(sound.forgotten);
                value["forgotten_at_close"] = json!(sound.forgotten_at_close);
                value["pauses"] = json!(sound.pauses);
                value["clock"] = json!(sound.clock);
                value["recipients"] = json!(sound.recipients);
                value["signatures"] = sound.signatures.into();
                value["signatures_proved"] = self.signed.into();
            }
            Ok(Err(fault)) => {
                value["file"] = fault.name.into();
                value["wrong"] = fault.wrong.to_string().into();
            }
            Err(error) => value["wrong"] = error.to_string().into(),
        }
        if let Some((fetched, kept)) = downloaded {
            value["fetched_bytes"] = fetched.into();
            value["kept_bytes"] = kept.into();
        }
        self.values.push(value);
        Ok(())
    }

    /// Says of what lies at `path` in a store that it is of no recording.
    ///
    /// # Errors
    /// Standard output's.
    pub fn add_stranger(&mut self, store: &str, path: &str) -> anyhow::Result<()> {
        self.all_good = false;
        let fault = Fault { name: path.to_owned(), wrong: Wrong::NotSealed };
        if self.format == Format::Table {
            return writeln!(self.out, "BROKEN  {store}/{fault}").context("standard output");
        }
        let wrong = fault.wrong.to_string();
        self.values.push(json!({"store": store, "state": "broken", "file": path, "wrong": wrong}));
        Ok(())
    }

    /// Whether all was good.
    ///
    /// # Errors
    /// Standard output's.
    pub fn finish(self, bar: &ProgressBar) -> anyhow::Result<bool> {
        bar.finish_and_clear();
        if self.format == Format::Json {
            writeln!(self.out, "{:#}", Value::Array(self.values))?;
        }
        Ok(self.all_good)
    }
}

/// What a sound recording holds, and what it lacks.
fn describe(sound: &Sound, signed: bool) -> String {
    let mut words = vec![
        format!("{} segments", sound.segments),
        HumanBytes(sound.bytes).to_string(),
        format!("{} packets", kept_packets(&sound.counts, sound.forgotten_at_close)),
    ];
    let lost = lost_packets(&sound.counts, sound.forgotten_at_close);
    if lost > 0 {
        let stages = lost_by_stage(&sound.counts, sound.forgotten_at_close);
        let stages = stages.iter().filter(|(_, packets)| *packets > 0);
        let stages: Vec<String> = stages.map(|(stage, packets)| format!("{stage} {packets}")).collect();
        words.push(format!("{lost} packets lost ({})", stages.join(", ")));
    }
    words.extend(sound.reason.as_ref().map(|why| format!("ended: {}", reason(why))));
    if sound.reason == Some(EndReason::Crash) {
        let after = sound.nothing_after.map_or("the last write".to_owned(), |after| format!("{after:.3}"));
        words.push(format!("nobody counted what came after {after}"));
    }
    if !sound.pauses.is_empty() {
        words.push(format!("no ring open {} times ({})", sound.pauses.len(), not_recorded(&sound.pauses)));
    }
    if !sound.recovered.is_empty() {
        words.push(format!("found open: segment {}", numbers(sound.recovered.iter())));
    }
    if !sound.forgotten.is_empty() {
        words.push(format!("given up before storing: segment {}", numbers(sound.forgotten.iter())));
    }
    let steps = sound.clock.as_ref().map_or(&[][..], |clock| &clock.steps);
    if !steps.is_empty() {
        words.push(clock_set(steps));
    }
    if !sound.recipients.is_empty() {
        words.push(format!("encrypted to {} keys", sound.recipients.len()));
    }
    match sound.signatures {
        _ if signed => words.push("signed".to_owned()),
        0 => {}
        _ => words.push("signatures not proved: give --public-key".to_owned()),
    }
    words.join(", ")
}

/// How long all pauses were together; one that ended by a clock that was set back before it began adds nothing.
pub fn not_recorded(pauses: &[Pause]) -> String {
    let ns = pauses.iter().map(|pause| pause.until.duration_since(pause.from).as_nanos().max(0)).sum::<i128>();
    size::time(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// How often the clock was set, and by how much each way: opposite steps do not hide each other.
fn clock_set(steps: &[ClockStep]) -> String {
    let sum = |ways: fn(i64) -> i64| steps.iter().fold(0i64, |sum, step| sum.saturating_add(ways(step.by_ns).max(0)));
    let ways = [(sum(|by_ns| by_ns), "forward"), (sum(i64::saturating_neg), "back")];
    let ways = ways.iter().filter(|(by_ns, _)| *by_ns > 0).map(|(by_ns, way)| format!("{} {way}", size::time(*by_ns)));
    format!("clock set {} times ({})", steps.len(), ways.collect::<Vec<_>>().join(", "))
}

fn numbers<'a>(numbers: impl Iterator<Item = &'a u32>) -> String {
    numbers.map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// Packets that are there: written, and not given up before they were stored. `forgotten` are those that no seal speaks for.
pub fn kept_packets(counts: &Counts, forgotten: Volume) -> u64 {
    let given_up = counts.dropped.spool.packets.saturating_add(forgotten.packets);
    counts.written.packets.saturating_sub(given_up)
}

/// Packets that should have been kept and were not.
pub fn lost_packets(counts: &Counts, forgotten: Volume) -> u64 {
    lost_by_stage(counts, forgotten).iter().fold(0, |sum, (_, packets)| sum.saturating_add(*packets))
}

/// The same by the stages of `coverage`.
fn lost_by_stage(counts: &Counts, forgotten: Volume) -> [(&'static str, u64); 4] {
    let dropped = &counts.dropped;
    [
        ("kernel", dropped.kernel_packets),
        ("ring", dropped.ring.packets),
        ("disk", dropped.disk.packets),
        ("upload", dropped.spool.packets.saturating_add(forgotten.packets)),
    ]
}

/// The word a close has for why it ended.
pub fn reason(reason: &EndReason) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(word)) => word,
        _ => "-".to_owned(),
    }
}

/// Which recording it is.
pub fn identity(recorded: &Recorded) -> Value {
    let id = &recorded.id;
    json!({
        "store": recorded.store.shown(), "cluster": id.cluster, "window": id.window, "start": id.start, "node": id.node,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn how_the_clock_was_set_is_said_for_people() {
        const S: i64 = 1_000_000_000;
        for (steps, want) in [
            (vec![-599_999_997_871], "clock set 1 times (10m back)"),
            (vec![-71 * 60 * S, 60 * 60 * S], "clock set 2 times (1h forward, 1h 11m back)"),
            (vec![300_400_000, 2 * S], "clock set 2 times (2s forward)"),
            (vec![4_200_000], "clock set 1 times (4ms forward)"),
            (vec![i64::MIN], "clock set 1 times (2562047h 47m 17s back)"),
        ] {
            let step = |by_ns| ClockStep { at: Timestamp::UNIX_EPOCH, by_ns };
            let steps: Vec<ClockStep> = steps.into_iter().map(step).collect();
            assert_eq!(clock_set(&steps), want);
        }
    }
}
