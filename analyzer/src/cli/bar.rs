//! How far it is, on a terminal.

use dissect::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Bytes read so far. Hidden where standard error is no terminal, or when asked to be quiet.
pub struct Bar(pub ProgressBar);

impl Bar {
    /// Begins at nothing.
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} read, {bytes_per_sec}") {
            bar.set_style(style);
        }
        // Also while a store is slow to answer.
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Progress for Bar {
    fn read_bytes(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
