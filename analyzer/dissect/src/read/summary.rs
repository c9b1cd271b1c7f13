//! What is known of a capture once it was read.

use super::{Damage, LinkType};
use crate::tally::{Stage, Tally};

/// An interface of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
pub struct Interface {
    /// What its frames begin with.
    pub link: Option<LinkType>,
    /// Its name, where the file says it.
    pub name: Option<String>,
    /// Its description, where the file says it.
    pub description: Option<String>,
}

/// Damage listed one by one; further damage is counted in the last entry.
const DAMAGE_LISTED_MAX: usize = 100;

/// Everything but the frames.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Frames.
    pub packets: u64,
    /// Captured bytes of them.
    pub bytes: u64,
    /// Earliest time [ns].
    pub first_ns: Option<i64>,
    /// Latest time [ns].
    pub last_ns: Option<i64>,
    /// Program and system that wrote it.
    pub source: Option<String>,
    /// Interfaces of all sections.
    pub interfaces: Vec<Interface>,
    /// Packets the capturing system says it lost.
    pub dropped: Option<u64>,
    /// What was wrong.
    pub damage: Vec<Damage>,
    /// Bytes that gave no frame: damage, and blocks nobody knows.
    pub tally: Tally,
    /// SHA-256 of the input as stored; set when all was read.
    pub sha256: Option<[u8; 32]>,
}

impl Summary {
    /// Captured bytes of the frames, and those that gave none: each of them stands in `coverage`.
    pub fn covered_bytes(&self) -> i64 {
        self.bytes as i64 + self.tally.total().bytes
    }

    /// Counts a block of a type that nobody knows.
    pub(super) fn unknown(&mut self, bytes: u64) {
        self.tally.add(Stage::Read, "block of unknown type", 0, bytes);
    }

    /// Notes damage; neighbours of the same kind become one entry.
    pub(super) fn damaged(&mut self, kind: &'static str, at_byte: u64, bytes: u64, detail: String) {
        self.tally.add(Stage::Read, "damaged", 0, bytes);
        let full = self.damage.len() >= DAMAGE_LISTED_MAX;
        match self.damage.last_mut() {
            Some(last) if full || (last.kind == kind && last.at_byte + last.bytes == at_byte) => last.bytes += bytes,
            _ => self.damage.push(Damage { kind, at_byte, bytes, detail }),
        }
    }

    pub(super) fn frame(&mut self, ts_ns: Option<i64>, captured_bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(captured_bytes);
        if let Some(ns) = ts_ns {
            self.first_ns = Some(self.first_ns.map_or(ns, |first| first.min(ns)));
            self.last_ns = Some(self.last_ns.map_or(ns, |last| last.max(ns)));
        }
    }
}
