//! The notes as OpenMetrics text, which Prometheus reads. Names: `remora_<room>_<noun>_<unit>_total`.

use super::state::{Beat, RESTS, Rings, Series, State};
use crate::capture::Tally;
use crate::clock::{Clock, SystemClock};
use crate::log::LOG;
use crate::sync::lock;
use crate::upload::{Failing, Progress};
use formats::seal::Counts;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// Media type of what [`render`] gives.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a number is called: its name without prefix and unit, what it means, its unit.
type Name = (&'static str, &'static str, &'static str);

/// Value of a label that tells parts of a number apart; none for the whole.
type Stage = Option<&'static str>;

/// A counter's name, the value of its label `stage`, and where it stands.
type Counter = (Name, Stage, fn(&Counts) -> u64);

/// What is counted for each window, as its seals say it.
const COUNTERS: [Counter; 10] = [
    (
        ("capture_seen", "Packets on the interfaces: those written, filtered, sampled and dropped", "packets"),
        None,
        |counts| counts.seen.packets,
    ),
    (("capture_seen", "Bytes on the wire of packets that were handed to the recorder", "bytes"), None, |counts| {
        counts.seen.bytes
    }),
    (("capture_filtered", "Packets that the window does not want", "packets"), None, |counts| counts.filtered.packets),
    (
        (
            "capture_sampled",
            "Packets left out: more than the window's rate, its share of a processor, or its budget",
            "packets",
        ),
        None,
        |counts| counts.sampled.packets,
    ),
    (("capture_snapped", "Bytes of packets beyond the snap length", "bytes"), None, |counts| counts.snapped_bytes),
    (
        ("capture_dropped", "Packets lost in the kernel, because the ring was full", "packets"),
        Some("kernel"),
        |counts| counts.dropped.kernel_packets,
    ),
    (("rotate_written", "Packets written to segments", "packets"), None, |counts| counts.written.packets),
    (("rotate_written", "Bytes of packets written to segments, before compression", "bytes"), None, |counts| {
        counts.written.bytes
    }),
    (("rotate_ring_dropped", "Packets lost between the ring and a segment", "packets"), Some("ring"), |counts| {
        counts.dropped.ring.packets
    }),
    (("rotate_dropped", "Packets lost because the disk did not take them", "packets"), Some("disk"), |counts| {
        counts.dropped.disk.packets
    }),
];

/// A counter's name, and where it stands.
type OfRing = (Name, fn(&Tally) -> u64);

/// What the kernel counted for each window and target.
const OF_RINGS: [OfRing; 3] = [
    (("capture_ring_passed", "Packets that passed the filter, those dropped among them", "packets"), |tally| {
        tally.passed_packets
    }),
    (("capture_ring_dropped", "Packets that passed the filter and found the ring full", "packets"), |tally| {
        tally.dropped_packets
    }),
    (("capture_ring_refused", "Packets that the filter refused", "packets"), |tally| tally.refused_packets),
];

/// A counter's name, and where its value stands.
type Sent = (Name, fn(&Progress) -> u64);

/// What the sender counts, over all windows.
const SENT: [Sent; 4] = [
    (("upload_stored", "Segments stored", "segments"), |progress| progress.segments),
    (("upload_stored", "Bytes stored, as they lie there", "bytes"), |progress| progress.bytes),
    (("upload_stored", "Recordings stored to their end", "recordings"), |progress| progress.recordings),
    (("upload_failed", "Attempts to store that failed", "attempts"), |progress| progress.failures),
];

/// Everything there is to tell at this moment.
pub(super) fn render(state: &Arc<State>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("remora");
    registry.register_collector(Box::new(Report(state.clone())));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Report(Arc<State>);

impl Collector for Report {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.counters(&mut out)?;
        self.gauges_of_captures(&mut out)?;
        self.gauges_of_spool(&mut out)?;
        self.gauges_of_stores(&mut out)?;
        gauges_of_clock(&mut out)
    }
}

impl Report {
    fn counters(&self, out: &mut Out<'_>) -> fmt::Result {
        let series: Vec<(Arc<Series>, Counts)> =
            lock(&self.0.series).iter().map(|series| (series.clone(), *lock(&series.counts))).collect();
        for (name, stage, value) in COUNTERS {
            let stage = stage.map(|stage| ("stage", stage));
            let labels = |series| of_window(series).into_iter().chain(stage).collect();
            out.counter(name, series.iter().map(|(series, counts)| (labels(series), value(counts))))?;
        }
        for (name, value) in OF_RINGS {
            let rings = lock(&self.0.rings);
            out.counter(name, rings.iter().map(|rings| (of_target(rings), value(&rings.tally))))?;
        }
        let once = |value| std::iter::once((Vec::new(), value));
        let stalls = self.0.stalls.load(Ordering::Relaxed);
        out.counter(("capture_stalled", "Times a capture thread did not turn for too long", "times"), once(stalls))?;
        let lost = LOG.lost_lines();
        out.counter(("log_lost", "Lines of the log that were not read in time, or not taken", "lines"), once(lost))?;
        let sealed = self.0.sealed_segments.load(Ordering::Relaxed);
        out.counter(("seal_sealed", "Segments sealed", "segments"), once(sealed))?;
        let ended = lock(&self.0.ended).clone();
        let ended = ended.iter().map(|(reason, count)| (vec![("reason", reason.as_str())], *count));
        out.counter(("schedule_ended", "Recordings that ended, by reason", "recordings"), ended)?;
        let left_out = lock(&self.0.left_out).clone();
        let left_out = left_out
            .iter()
            .map(|((window, reason), count)| (vec![("window", window.as_str()), ("reason", *reason)], *count));
        out.counter(("schedule_left_out", "Runs that were left out, by reason", "runs"), left_out)?;
        let refused = self.0.refused_triggers.load(Ordering::Relaxed);
        out.counter(
            (
                "observe_refused",
                "Triggers over HTTP that were refused: without the secret, or with another",
                "triggers",
            ),
            once(refused),
        )?;
        let progress = lock(&self.0.progress).as_ref().map(|progress| progress.borrow().clone()).unwrap_or_default();
        for (name, value) in SENT {
            out.counter(name, once(value(&progress)))?;
        }
        let spool = std::iter::once((vec![("stage", "spool")], progress.given_up.packets));
        out.counter(
            ("upload_dropped", "Packets in segments that were given up before they were stored", "packets"),
            spool,
        )
    }

    fn gauges_of_captures(&self, out: &mut Out<'_>) -> fmt::Result {
        let now_ms = self.0.now_ms();
        let beats = lock(&self.0.pulses).clone();
        let turn_age_s = |beat: &Beat| match beat.turned_ms.load(Ordering::Relaxed) {
            RESTS => 0.0,
            turned_ms => now_ms.saturating_sub(turned_ms) as f64 / 1e3,
        };
        let now = SystemClock.now().steady;
        let segment_age = |beat: &Beat| lock(&beat.segment).map(|opened| now.saturating_sub(opened.steady));
        let name = ("capture_captures", "Captures that go on", "");
        out.gauge(name, std::iter::once((Vec::new(), beats.len() as f64)))?;
        let name = ("capture_recorded", "Targets that have a ring; 0 where none that is chosen is there", "targets");
        out.gauge(name, greatest(&beats, |beat| beat.recorded_targets.load(Ordering::Relaxed) as f64))?;
        let name = (
            "capture_unrecorded",
            "Targets that are chosen and not recorded: the log and ctl status say why",
            "targets",
        );
        out.gauge(name, greatest(&beats, |beat| beat.unrecorded_targets.load(Ordering::Relaxed) as f64))?;
        let name =
            ("capture_ring_fill", "Greatest part of the ring that was filled within the last 15 to 30 s", "ratio");
        let mut rings = lock(&self.0.rings);
        let fills: Vec<f64> = rings.iter_mut().map(|rings| rings.fill.get(now_ms)).collect();
        out.gauge(name, rings.iter().map(of_target).zip(fills))?;
        drop(rings);
        let name = (
            "capture_turn_age",
            "Time since the capture thread last came round; at most 0.1 to 0.6 when it is well",
            "seconds",
        );
        out.gauge(name, greatest(&beats, turn_age_s))?;
        let name = ("rotate_segment_age", "Age of the segment that is open; without packets it stays open", "seconds");
        out.gauge(name, greatest(&beats, |beat| segment_age(beat).unwrap_or_default().as_secs_f64()))
    }

    fn gauges_of_spool(&self, out: &mut Out<'_>) -> fmt::Result {
        let look = lock(&self.0.look);
        let is_writable = look.complaint(Instant::now(), self.0.stall).is_none();
        let mut once = |name, value: f64| out.gauge(name, std::iter::once((Vec::new(), value)));
        once(("spool_writable", "1 when the spool can be written, 0 when not", ""), f64::from(u8::from(is_writable)))?;
        once(("spool_bound", "Most bytes the spool may hold", "bytes"), look.bytes_max as f64)?;
        // Before the first look nothing is known, and nothing is said.
        let Some(found) = look.found else { return Ok(()) };
        once(("spool_used", "Bytes in the spool", "bytes"), found.used_bytes as f64)?;
        once(("spool_waiting", "Sealed segments that are not stored", "segments"), found.waiting_segments as f64)?;
        // A clock that was set back: no time has passed.
        let waits = found.waits_since.and_then(|since| SystemTime::now().duration_since(since).ok());
        let name = ("upload_lag", "Age of the oldest seal that is not stored, 0 when all are", "seconds");
        once(name, waits.unwrap_or(Duration::ZERO).as_secs_f64())
    }

    fn gauges_of_stores(&self, out: &mut Out<'_>) -> fmt::Result {
        let (now, stores) = (Timestamp::now(), self.0.stores());
        // A clock that was set back: no time has passed.
        let failing_s = |failing: &Failing| now.duration_since(failing.since).as_secs_f64().max(0.0);
        let values = stores
            .iter()
            .map(|(store, failing)| (vec![("store", store.as_str())], failing.as_ref().map_or(0.0, failing_s)));
        out.gauge(
            ("upload_failing", "For how long attempts to store there have failed, 0 when the last did not", "seconds"),
            values,
        )
    }
}

fn gauges_of_clock(out: &mut Out<'_>) -> fmt::Result {
    let Some(clock) = SystemClock.state() else { return Ok(()) };
    let mut once = |name, value| out.gauge(name, std::iter::once((Vec::new(), value)));
    let seconds = |ns: f64| ns / 1e9;
    once(("clock_offset", "What the kernel has yet to add to the clock", "seconds"), seconds(clock.offset_ns as f64))?;
    if let Some(error_max_ns) = clock.error_max_ns {
        let name = ("clock_error_max", "Most that the clock may be off, by who keeps it", "seconds");
        once(name, seconds(error_max_ns as f64))?;
    }
    let Some(is_synchronised) = clock.synchronised else { return Ok(()) };
    let name = ("clock_synchronised", "1 when somebody keeps the clock right, 0 when not", "");
    once(name, f64::from(u8::from(is_synchronised)))
}

fn of_window(series: &Series) -> Labels<'_> {
    vec![("window", series.window.as_str())]
}

fn of_target(rings: &Rings) -> Labels<'_> {
    vec![("window", rings.window.as_str()), ("target", rings.target.as_str())]
}

/// One value for each window; the greatest where recordings of a window overlap.
fn greatest(beats: &[Arc<Beat>], value: impl Fn(&Beat) -> f64) -> Vec<(Labels<'_>, f64)> {
    let mut values: Vec<(Labels<'_>, f64)> = Vec::new();
    for beat in beats {
        let (labels, value) = (of_window(&beat.series), value(beat));
        match values.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, greatest)) => *greatest = greatest.max(value),
            None => values.push((labels, value)),
        }
    }
    values
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Where numbers are written to.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter<'a>(&mut self, name: Name, values: impl IntoIterator<Item = (Labels<'a>, u64)>) -> fmt::Result {
        self.write(name, values.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    fn gauge<'a>(&mut self, name: Name, values: impl IntoIterator<Item = (Labels<'a>, f64)>) -> fmt::Result {
        self.write(name, values.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn write<'a, M: EncodeMetric>(
        &mut self,
        (name, help, unit): Name,
        values: impl Iterator<Item = (Labels<'a>, M)>,
    ) -> fmt::Result {
        let unit = (!unit.is_empty()).then(|| Unit::Other(unit.to_owned()));
        let mut values = values.peekable();
        // A name without values says nothing.
        let Some(first) = values.peek() else { return Ok(()) };
        let kind = first.1.metric_type();
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        if first.0.is_empty() {
            return first.1.encode(metric);
        }
        values.try_for_each(|(labels, value)| value.encode(metric.encode_family(&labels)?))
    }
}
