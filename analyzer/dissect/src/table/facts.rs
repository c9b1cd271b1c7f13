//! The tables `captures` and `coverage`: what was read, and where it went.

use super::builders::{BigInt, Text, TextList, Time, columns};
use super::waiting::Lot;
use super::writer::{TableError, whole};
use crate::plan::Origin;
use crate::read::{LinkType, Summary};
use crate::tally::{Count, Stage, Tally};
use formats::hash::hex;
use formats::seal::Volume;

columns! {
    /// Rows of `captures`.
    CaptureColumns {
        capture: Text,
        source: Text,
        node: Text,
        window: Text,
        recording: Text,
        first_ts: Time,
        last_ts: Time,
        packets: BigInt,
        bytes: BigInt,
        dropped: BigInt,
        link_types: TextList,
        sha256: Text,
        damage: Text,
        redaction: Text,
    }
}

columns! {
    /// Rows of `coverage`.
    CoverageColumns {
        capture: Text,
        node: Text,
        recording: Text,
        stage: Text,
        reason: Text,
        packets: BigInt,
        bytes: BigInt,
        target: Text,
    }
}

/// One input, read to its end, or known by its seal alone.
pub struct CaptureFacts {
    /// Its name.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// What the read room says.
    pub summary: Summary,
    /// Why nothing of it could be read.
    pub unread: Option<String>,
}

impl CaptureFacts {
    /// What was sealed in it, and is not what was read; none where all of it was.
    fn unread_of_sealed(&self) -> Option<Volume> {
        let Volume { packets, bytes } = self.origin.sealed?;
        let (packets, bytes) = (packets.saturating_sub(self.summary.packets), bytes.saturating_sub(self.summary.bytes));
        Some(Volume { packets, bytes }).filter(|unread| !unread.is_nothing())
    }
}

/// The rows of `captures`; `redaction` names the rules their rows were redacted by.
///
/// # Errors
/// None but a bug: columns that differ from the contract.
pub fn captures(facts: &[CaptureFacts], redaction: Option<&str>) -> Result<Lot, TableError> {
    let mut to = CaptureColumns::default();
    for CaptureFacts { name, origin, summary, unread } in facts {
        to.capture.append_value(name);
        to.source.append_option(summary.source.as_deref());
        to.node.append_option(origin.node.as_deref());
        to.window.append_option(origin.window.as_deref());
        to.recording.append_option(origin.recording.as_deref());
        to.first_ts.append_option_ns(summary.first_ns);
        to.last_ts.append_option_ns(summary.last_ns);
        to.packets.append_value(summary.packets as i64);
        to.bytes.append_value(summary.covered_bytes());
        to.dropped.append_option(summary.dropped.map(|dropped| dropped.min(i64::MAX as u64) as i64));
        let links: std::collections::BTreeSet<LinkType> =
            summary.interfaces.iter().filter_map(|interface| interface.link).collect();
        let links: Vec<String> = links.into_iter().map(link_name).collect();
        to.link_types.append(links.iter().map(String::as_str));
        to.sha256.append_option(summary.sha256.map(|digest| hex(&digest)));
        to.damage.append_option(unread.clone().or_else(|| (!summary.damage.is_empty()).then(|| damage(summary))));
        to.redaction.append_option(redaction);
    }
    whole("captures", to.build(), facts.iter().map(|facts| facts.summary.first_ns.unwrap_or_default()).collect())
}

/// The rows of `coverage` for the captures of a unit, which were tallied one by one.
///
/// The recorder's rows say what did not come into a capture, the analyzer's what became of all that did: only the
/// latter sum to what was read.
///
/// # Errors
/// None but a bug: columns that differ from the contract.
pub fn coverage(tallies: &[(&CaptureFacts, Tally)]) -> Result<Lot, TableError> {
    let mut to = CoverageColumns::default();
    let mut order = Vec::new();
    for (facts, tally) in tallies {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let recorder = facts.origin.not_kept.iter().map(|not_kept| {
            let counts = (not_kept.packets.map(count), not_kept.bytes.map(count));
            (not_kept.stage, &*not_kept.reason, counts, not_kept.target.as_deref())
        });
        let unread = facts.unread_of_sealed().map(|Volume { packets, bytes }| {
            ("store", "sealed, and not read from its file", (Some(count(packets)), Some(count(bytes))), None)
        });
        // A capture without packets has its row too: nothing, and all of it accounted for.
        let nothing = if facts.unread.is_some() { "not read" } else { "no packets" };
        let nothing = (tally.total() == Count::default()).then_some((Stage::Read, nothing, Count::default()));
        let analyzer = tally
            .ordered()
            .into_iter()
            .chain(nothing)
            .map(|(stage, reason, count)| (stage.name(), reason, (Some(count.packets), Some(count.bytes)), None));
        for (stage, reason, (packets, bytes), target) in recorder.chain(unread).chain(analyzer) {
            to.capture.append_value(&facts.name);
            to.node.append_option(facts.origin.node.as_deref());
            to.recording.append_option(facts.origin.recording.as_deref());
            to.stage.append_value(stage);
            to.reason.append_value(reason);
            to.packets.append_option(packets);
            to.bytes.append_option(bytes);
            to.target.append_option(target);
            order.push(facts.summary.first_ns.unwrap_or_default());
        }
    }
    whole("coverage", to.build(), order)
}

fn damage(summary: &Summary) -> String {
    let one = |damage: &crate::read::Damage| {
        let detail = if damage.detail.is_empty() { String::new() } else { format!(" ({})", damage.detail) };
        format!("{} at byte {}: {} bytes{detail}", damage.kind, damage.at_byte, damage.bytes)
    };
    summary.damage.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The registered names of the link types we meet most; others by number.
fn link_name(link: LinkType) -> String {
    let name = match link.0 {
        0 => "NULL",
        1 => "ETHERNET",
        9 => "PPP",
        12 | 14 | 101 => "RAW",
        50 => "PPP_HDLC",
        104 => "C_HDLC",
        105 => "IEEE802_11",
        107 => "FRELAY",
        108 => "LOOP",
        113 => "LINUX_SLL",
        127 => "IEEE802_11_RADIOTAP",
        192 => "PPI",
        228 => "IPV4",
        229 => "IPV6",
        239 => "NFLOG",
        276 => "LINUX_SLL2",
        other => return other.to_string(),
    };
    name.to_owned()
}
