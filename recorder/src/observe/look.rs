//! A look at the spool, now and then: how full it is, how long it waits for the store, whether it can be written.

use crate::limits;
use crate::spool::Spool;
use crate::sync::lock;
use formats::store::FileName;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

/// Name of the file that is written to see whether files can be written. No part of any recording.
const PROBE: &str = ".probe";

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When the look that is going on began.
    pub looking_since: Option<Instant>,
    /// Why the spool cannot be written or read.
    pub error: Option<String>,
    /// What lies in the spool; none before the first look.
    pub found: Option<Found>,
    /// Most bytes the spool may hold.
    pub bytes_max: u64,
}

/// What lies in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub used_bytes: u64,
    /// Segments that are sealed and not stored.
    pub waiting_segments: u64,
    /// When the oldest of what waits for the store was sealed.
    pub waits_since: Option<SystemTime>,
}

impl Look {
    /// What is wrong with the spool.
    pub fn complaint(&self, now: Instant, patience: Duration) -> Option<String> {
        let silent = self.looking_since.map(|since| now.saturating_duration_since(since));
        match silent.filter(|silent| *silent >= patience) {
            Some(silent) => Some(format!("the spool has not answered for {:.0} s", silent.as_secs_f64())),
            None => self.error.as_ref().map(|error| format!("the spool cannot be written: {error}")),
        }
    }
}

/// Looks until nobody wants to know any more.
pub(super) fn keep_looking(last: &Weak<Mutex<Look>>, spool: &Spool) {
    loop {
        let began = Instant::now();
        let Some(last) = last.upgrade() else { return };
        lock(&last).looking_since = Some(began);
        look(&last, spool);
        lock(&last).looking_since = None;
        drop(last);
        // A spool of many files takes its time; a hundredth of ours is what it may have.
        std::thread::sleep(limits::SPOOL_LOOK.max(100 * began.elapsed()));
    }
}

/// Looks once.
pub(super) fn look(last: &Mutex<Look>, spool: &Spool) {
    let error = probe(spool.root()).err().map(|error| error.to_string());
    let found = find(spool);
    let mut look = lock(last);
    if let (Some(error), None) = (&error, &look.error) {
        tracing::error!(folder = %spool.root().display(), %error, "spool cannot be written");
    }
    look.error = error;
    match found {
        Ok(found) => look.found = Some(found),
        Err(error) => tracing::debug!(%error, "spool could not be looked through"),
    }
}

/// Writes a page and removes it: a disk that is full or read-only refuses.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    let written = fs::write(&path, [0; 4096]);
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn find(spool: &Spool) -> io::Result<Found> {
    let mut found = Found { used_bytes: spool.used_bytes()?, ..Found::default() };
    // What is pinned stays there once it is stored, and does not wait.
    for id in spool.unsent()? {
        let waiting = spool.waiting(&id)?;
        found.waiting_segments += waiting.len() as u64;
        let oldest = waiting.first().map_or(FileName::Close, |&sequence| FileName::seal(sequence));
        // Sent while we looked, or not closed yet: it does not wait.
        if let Ok(sealed) = fs::metadata(spool.path(&id, &oldest)).and_then(|file| file.modified()) {
            found.waits_since = Some(found.waits_since.map_or(sealed, |since| since.min(sealed)));
        }
    }
    Ok(found)
}
