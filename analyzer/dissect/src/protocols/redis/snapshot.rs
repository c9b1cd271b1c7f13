//! The snapshot a master sends its replica behind a granted PSYNC: stepped over, and one row.
//!
//! Enters: bytes behind the reply that grants it. Leaves: how many of them are the snapshot's, a [`Step`] at a time. Refused: a
//! line that does not say how long it is.

use super::wire;
use memchr::{memchr, memmem};

/// A line before a snapshot is `$`, a length or `EOF:` with 40 bytes, and its end; [`END_OFFSET`] has an id of 40 bytes and
/// three numbers behind it.
const EXTENT_BYTES_MAX: usize = 96;

/// What Valkey says before that where the snapshot has a connection of its own: up to where it goes (`replication.c`).
const END_OFFSET: &[u8] = b"$ENDOFF:";

/// How a snapshot's extent is told (`replication.c`): by its length, or by 40 bytes that stand at its end.
#[derive(Debug)]
enum Extent {
    Bytes(u64),
    Mark(Vec<u8>),
}

/// A snapshot that is being stepped over.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// None before the line that tells it.
    extent: Option<Extent>,
}

/// What the next bytes are.
#[derive(Debug)]
pub enum Step {
    /// A line of so many bytes that tells no extent.
    BadLine(usize),
    /// None that a line before a snapshot can have.
    NoLine,
    /// So many of the snapshot or before it, and whether they are its last.
    Taken { bytes: usize, done: bool },
    /// Too few: so many unread bytes are wanted.
    Wanted(usize),
}

/// The line before a snapshot.
fn extent(line: &[u8]) -> Option<Extent> {
    match line.strip_prefix(b"$")? {
        [b'E', b'O', b'F', b':', mark @ ..] if mark.len() == 40 => Some(Extent::Mark(mark.to_vec())),
        length => u64::try_from(wire::number(length)?).ok().map(Extent::Bytes),
    }
}

impl Snapshot {
    /// Looks at what is unread; whoever asks takes it.
    pub fn read(&mut self, unread: &[u8]) -> Step {
        let (bytes, done) = match &mut self.extent {
            _ if unread.is_empty() => return Step::Wanted(1),
            None => {
                // Empty lines keep the connection alive while the snapshot is made.
                let empty = unread.iter().take_while(|byte| **byte == b'\n').count();
                let line = unread.get(empty..).unwrap_or_default();
                match memchr(b'\n', line) {
                    Some(end) if line.starts_with(END_OFFSET) => (empty + end + 1, false),
                    Some(end) => match line.get(..end).and_then(|line| extent(line.trim_ascii_end())) {
                        Some(extent) => {
                            self.extent = Some(extent);
                            (empty + end + 1, false)
                        }
                        None => return Step::BadLine(empty + end + 1),
                    },
                    None if line.len() > EXTENT_BYTES_MAX => return Step::NoLine,
                    None if empty > 0 => (empty, false),
                    None => return Step::Wanted(unread.len() + 1),
                }
            }
            Some(Extent::Bytes(left)) => {
                let taken = unread.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Some(Extent::Mark(mark)) => match memmem::find(unread, mark) {
                Some(end) => (end + mark.len(), true),
                None if unread.len() < mark.len() => return Step::Wanted(unread.len() + 1),
                None => (unread.len() - (mark.len() - 1), false),
            },
        };
        Step::Taken { bytes, done }
    }

    /// Steps over bytes that are missing, where it is known that it goes on behind them.
    pub fn lose(&mut self, lost_bytes: u64) -> bool {
        match &mut self.extent {
            Some(Extent::Bytes(left)) if *left > lost_bytes => {
                *left -= lost_bytes;
                true
            }
            _ => false,
        }
    }

    /// Whether the line before it was read.
    pub fn has_begun(&self) -> bool {
        self.extent.is_some()
    }
}
