//! The log on its way to standard error: nobody waits for whoever reads it, and nobody fails with it.
//!
//! Enters: lines, from any thread. Leaves: those lines, written by a thread of their own. Refused: what a reader that stands
//! still leaves no room for, and what a full disk or a closed pipe does not take; both are counted.

use crate::limits;
use crate::sync::lock;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, PoisonError};

/// The log of this process.
pub static LOG: Log = Log::new();

/// Lines on their way.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug)]
struct Lines {
    waiting: Vec<u8>,
    lost: u64,
    /// Whether a thread writes them; until it is begun they wait.
    has_writer: bool,
    is_writing: bool,
}

impl Log {
    const fn new() -> Self {
        let lines = Lines { waiting: Vec::new(), lost: 0, has_writer: false, is_writing: false };
        Self { lines: Mutex::new(lines), changed: Condvar::new() }
    }

    /// Takes a line, or counts it as lost. Never waits for who reads it.
    pub fn line(&self, line: &[u8]) {
        let mut lines = lock(&self.lines);
        if lines.waiting.len() + line.len() <= limits::LOG_BYTES {
            lines.waiting.extend_from_slice(line);
            self.changed.notify_all();
        } else {
            lines.lost += 1;
        }
    }

    /// Lines that nobody will read.
    pub fn lost_lines(&self) -> u64 {
        lock(&self.lines).lost
    }

    /// Begins the thread that writes; it has the rights of who calls.
    pub fn begin(&'static self) -> io::Result<()> {
        // Not through Rust's own standard error, whose lock a panic elsewhere would wait for.
        let out = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
        std::thread::Builder::new().name("log".into()).spawn(move || self.keep_writing(out))?;
        lock(&self.lines).has_writer = true;
        Ok(())
    }

    /// Waits for a moment until all is written; without a thread that writes it is done here.
    pub fn flush(&self) {
        let lines = lock(&self.lines);
        if lines.has_writer {
            let busy = |lines: &mut Lines| lines.is_writing || !lines.waiting.is_empty();
            drop(self.changed.wait_timeout_while(lines, limits::LOG_FLUSH, busy));
        } else if !lines.waiting.is_empty() {
            drop(lines);
            self.write(&mut io::stderr());
        }
    }

    fn keep_writing(&self, mut out: impl Write) {
        let mut told = 0;
        loop {
            let lines = lock(&self.lines);
            let idle = |lines: &mut Lines| lines.waiting.is_empty();
            drop(self.changed.wait_while(lines, idle).unwrap_or_else(PoisonError::into_inner));
            // Told once something is read again: a line about lines that cannot be written would be the next of them.
            let lost = self.write(&mut out).filter(|lost| *lost > told);
            if let Some(lost) = lost {
                tracing::warn!(lines = lost - told, "lines of the log are lost: it was not read in time, or not taken");
                told = lost;
            }
        }
    }

    /// Writes what waits: how many lines are lost by then, where its last was taken.
    fn write(&self, out: &mut impl Write) -> Option<u64> {
        let waiting = {
            let mut lines = lock(&self.lines);
            lines.is_writing = true;
            std::mem::take(&mut lines.waiting)
        };
        let (mut refused, mut is_taken) = (0, false);
        for line in waiting.split_inclusive(|&byte| byte == b'\n') {
            is_taken = out.write_all(line).is_ok();
            refused += u64::from(!is_taken);
        }
        let mut lines = lock(&self.lines);
        lines.is_writing = false;
        lines.lost += refused;
        self.changed.notify_all();
        is_taken.then_some(lines.lost)
    }
}

/// A line for each write, as `tracing` does it.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is left of the log when it is dropped, also by a panic.
#[derive(Debug)]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        LOG.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes whole lines until it is full.
    struct Disk(usize, Vec<u8>);

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            self.1.write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_or_takes_is_counted_and_not_waited_for() {
        let log = Log::new();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let kept = limits::LOG_BYTES / line.len();
        (0..kept + 3).for_each(|_| log.line(&line));
        assert_eq!(log.lost_lines(), 3, "nobody reads, and nobody waits");
        let mut disk = Disk(kept, Vec::new());
        assert_eq!((log.write(&mut disk), disk.1.len()), (Some(3), kept * line.len()));
        (0..2).for_each(|_| log.line(&line));
        assert_eq!((log.write(&mut disk), log.lost_lines()), (None, 5), "the disk is full");
        disk.0 = 2;
        (0..2).for_each(|_| log.line(&line));
        assert_eq!(log.write(&mut disk), Some(5), "it has room again");
    }
}
