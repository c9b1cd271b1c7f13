//! The snapshot a master sends its replica behind a granted PSYNC: stepped over, and one row.

use super::over_tcp::{Next, OverTcp, State};
use super::rows::Missing;
use super::wire::{self, Grammar, Parser};
use crate::protocols::{Anomaly, Side, Sink};
use memchr::{memchr, memmem};

/// A line before a snapshot is `$`, a length or `EOF:` with 40 bytes, and its end; [`END_OFFSET`] has an id of 40 bytes and
/// three numbers behind it.
const EXTENT_BYTES_MAX: usize = 96;

/// What Valkey says before that where the snapshot has a connection of its own: up to where it goes (`replication.c`).
const END_OFFSET: &[u8] = b"$ENDOFF:";

/// How a snapshot's extent is told (`replication.c`): by its length, or by 40 bytes that stand at its end.
#[derive(Debug)]
pub enum Extent {
    Bytes(u64),
    Mark(Vec<u8>),
}

/// The line before a snapshot.
pub fn extent(line: &[u8]) -> Option<Extent> {
    match line.strip_prefix(b"$")? {
        [b'E', b'O', b'F', b':', mark @ ..] if mark.len() == 40 => Some(Extent::Mark(mark.to_vec())),
        length => u64::try_from(wire::number(length)?).ok().map(Extent::Bytes),
    }
}

impl OverTcp {
    /// Takes in a master's snapshot.
    pub(super) fn snapshot(&mut self, from: Side, unread: &[u8], at: &mut usize, out: &mut dyn Sink) -> Next {
        let rest = unread.get(*at..).unwrap_or_default();
        let State::Snapshot(known) = &mut self.sides[from].state else { return Next::Again };
        let (taken, done) = match known {
            _ if rest.is_empty() => return Next::Wait(1),
            None => {
                // Empty lines keep the connection alive while the snapshot is made.
                let empty = rest.iter().take_while(|byte| **byte == b'\n').count();
                let line = rest.get(empty..).unwrap_or_default();
                match memchr(b'\n', line) {
                    Some(end) if line.starts_with(END_OFFSET) => (empty + end + 1, false),
                    Some(end) => match line.get(..end).and_then(|line| extent(line.trim_ascii_end())) {
                        Some(extent) => {
                            *known = Some(extent);
                            (empty + end + 1, false)
                        }
                        None => {
                            out.anomaly(*at..*at + empty + end + 1, Anomaly::new("redis_bad_snapshot"));
                            *at += empty + end + 1;
                            self.lose_order(from, Missing::Unseen, out);
                            return Next::Again;
                        }
                    },
                    None if line.len() > EXTENT_BYTES_MAX => {
                        self.lose_order(from, Missing::Unseen, out);
                        return Next::Again;
                    }
                    None if empty > 0 => (empty, false),
                    None => return Next::Wait(rest.len() + 1),
                }
            }
            Some(Extent::Bytes(left)) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Some(Extent::Mark(mark)) => match memmem::find(rest, mark) {
                Some(end) => (end + mark.len(), true),
                None if rest.len() < mark.len() => return Next::Wait(rest.len() + 1),
                None => (rest.len() - (mark.len() - 1), false),
            },
        };
        let stamp = out.stamp(*at..*at + taken);
        *at += taken;
        let reading = &mut self.sides[from];
        match &mut reading.stamp {
            Some(before) => before.extend(stamp),
            None => reading.stamp = Some(stamp),
        }
        if done {
            self.snapshot_done(from, false, out);
        }
        Next::Again
    }

    pub(super) fn snapshot_done(&mut self, from: Side, cut: bool, out: &mut dyn Sink) {
        if let Some(message) = self.sides[from].taken((), cut) {
            self.rows.snapshot(&message, out);
        }
        self.commands_follow();
    }

    /// From here on the server sends commands.
    pub(super) fn commands_follow(&mut self) {
        self.rows.replicates = true;
        let server = &mut self.sides.server;
        server.state = State::Reading;
        server.parser = Parser::new(Grammar::Commands, self.kept_bytes_max);
    }
}
