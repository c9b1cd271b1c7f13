//! Redis over TCP: commands one way, replies and pushes the other.
//!
//!     Reading ──no RESP, or a gap past a string──▶ Seeking ──a command; a reply to what was sent since──▶ Reading
//!     Reading ──PSYNC was granted──▶ Snapshot ──its end──▶ Reading (commands of a master)
//!
//! A gap inside a string is stepped over, for its length is known.

use super::command::Command;
use super::message::{Message, Missing};
use super::node::{Node, TextKind};
use super::reading::{Reading, State};
use super::rows::Rows;
use super::seek;
use super::session::After;
use super::snapshot::{Snapshot, Step};
use super::wire::{Grammar, Parser, Read};
use crate::protocols::{Anomaly, Dissector, End, PerSide, Progress, Side, Sink, Start};

/// The most unread bytes ever asked for: what is not whole is taken in by pieces.
pub const UNREAD_BYTES_MAX: usize = seek::FRONT_BYTES_MAX;

/// Bytes of the strings of one message that are kept: the body limit, within these. Names and keys are no bodies.
const KEPT_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=256 << 10;

/// One connection.
pub struct OverTcp {
    sides: PerSide<Reading>,
    kept_bytes_max: usize,
    /// Whether the client's first bytes may be a line, for its port is one of Redis and we joined in the middle.
    may_join_at_line: bool,
    rows: Rows,
    ended: PerSide<Option<End>>,
}

/// What to do after a step.
enum Next {
    Again,
    /// Wait for so many unread bytes.
    Wait(usize),
}

impl Dissector for OverTcp {
    fn bytes(&mut self, from: Side, unread: &[u8], out: &mut dyn Sink) -> Progress {
        let mut at = 0;
        loop {
            let next = match self.sides[from].state {
                State::Reading => self.read(from, unread, &mut at, out),
                State::Seeking { edge, since_ns } => self.seek(from, edge, since_ns, unread, &mut at, out),
                State::Snapshot(_) => self.snapshot(from, unread, &mut at, out),
            };
            if let Next::Wait(wanted) = next {
                return Progress::Continue { consumed: at, wanted };
            }
        }
    }

    fn gap(&mut self, from: Side, unread: &[u8], lost_bytes: u64, out: &mut dyn Sink) {
        out.anomaly(0..unread.len(), Anomaly::with("redis_gap", format!("{lost_bytes} bytes")));
        let reading = &mut self.sides[from];
        match &mut reading.state {
            State::Reading if unread.is_empty() => {
                if let Some(whole) = reading.parser.lose(lost_bytes) {
                    reading.damaged = true;
                    reading.lost_bytes += lost_bytes;
                    if let Some(stamp) = &mut reading.stamp {
                        stamp.lose();
                    }
                    if let Some(node) = whole {
                        self.message(from, node, false, out);
                    }
                    return;
                }
            }
            State::Snapshot(snapshot) => {
                if snapshot.lose(lost_bytes) {
                    reading.damaged = true;
                    reading.lost_bytes += lost_bytes;
                    return;
                }
                if snapshot.has_begun() {
                    self.snapshot_done(from, true, out);
                }
            }
            _ => {}
        }
        self.lose_order(from, Missing::Lost, out);
    }

    fn end(&mut self, from: Side, unread: &[u8], how: End, out: &mut dyn Sink) {
        if !unread.is_empty() || self.sides[from].parser.is_inside() {
            out.anomaly(0..unread.len(), Anomaly::new("redis_unfinished"));
        }
        match self.sides[from].state {
            State::Snapshot(_) => self.snapshot_done(from, true, out),
            _ => self.part(from, out),
        }
        self.sides[from].say_skipped(unread.len(), out);
        self.ended[from] = Some(how);
        if let Some(other) = self.ended[from.other()] {
            let cut = how == End::Cut || other == End::Cut;
            self.rows.end(cut, out);
        }
    }

    fn held_bytes(&self) -> usize {
        self.rows.held_bytes() + self.sides.client.parser.held_bytes() + self.sides.server.parser.held_bytes()
    }
}

impl OverTcp {
    /// For a connection about to be read.
    pub fn new(start: &Start) -> Self {
        let kept_bytes_max = start.options.body_bytes_max.clamp(*KEPT_BYTES.start(), *KEPT_BYTES.end());
        let client = if start.from_start { State::Reading } else { State::Seeking { edge: true, since_ns: i64::MIN } };
        Self {
            sides: PerSide {
                client: Reading::new(client, Grammar::Commands, kept_bytes_max),
                server: Reading::new(State::Reading, Grammar::Values, kept_bytes_max),
            },
            kept_bytes_max,
            may_join_at_line: !start.from_start && seek::PORTS.contains(&start.server_port),
            rows: Rows::new(start.from_start),
            ended: PerSide::default(),
        }
    }

    fn sends_commands(&self, from: Side) -> bool {
        from == Side::Client || self.rows.replicates
    }

    /// Reads on in a message, or begins one.
    fn read(&mut self, from: Side, unread: &[u8], at: &mut usize, out: &mut dyn Sink) -> Next {
        let sends_commands = self.sends_commands(from);
        let rest = unread.get(*at..).unwrap_or_default();
        let may_be_empty = sends_commands || self.rows.awaits_snapshot();
        let reading = &mut self.sides[from];
        if may_be_empty && !reading.parser.is_inside() {
            match rest.first() {
                // A master keeps its connection alive with empty lines, also while a replica waits for its snapshot.
                Some(b'\r' | b'\n') => {
                    out.stamp(*at..*at + 1);
                    *at += 1;
                    return Next::Again;
                }
                _ if !sends_commands => {}
                // Redis takes what is no array for a line.
                Some(b'*') => {}
                Some(b' '..=b'~' | b'\t' | 0x80..) if from == Side::Client => reading.parser.begin_line(),
                _ => {}
            }
        }
        let (taken, read) = reading.parser.read(rest);
        if taken > 0 {
            let stamp = out.stamp(*at..*at + taken);
            reading.last_ns = stamp.last_ns;
            reading.cover(stamp);
            *at += taken;
        }
        match read {
            Read::Wanted(wanted) => return Next::Wait(wanted),
            Read::Whole(node) => self.message(from, node, false, out),
            Read::Malformed(why) => {
                // What breaks the grammar is not taken: it is the first byte that is searched.
                out.anomaly(*at..*at + 1, Anomaly::with("redis_malformed", why));
                self.sides[from].last_ns = out.stamp(*at..*at + 1).last_ns;
                self.lose_order(from, Missing::Unseen, out);
            }
        }
        Next::Again
    }

    /// Looks for the next message.
    fn seek(
        &mut self,
        from: Side,
        edge: bool,
        since_ns: i64,
        unread: &[u8],
        at: &mut usize,
        out: &mut dyn Sink,
    ) -> Next {
        let rest = unread.get(*at..).unwrap_or_default();
        if rest.is_empty() {
            return Next::Wait(1);
        }
        // Joined at a line: it was recognised by that.
        let joined = from == Side::Client && std::mem::take(&mut self.may_join_at_line);
        if joined && seek::inline(rest) == seek::Front::Yes {
            self.sides.client.state = State::Reading;
            return Next::Again;
        }
        let (front, turn): (fn(&[u8]) -> seek::Front, _) = if self.sends_commands(from) {
            (seek::command, None)
        } else {
            (seek::push, self.turn(since_ns, *at..unread.len(), out))
        };
        let found =
            seek::find(rest.get(..turn.map_or(rest.len(), |(skipped, _)| skipped)).unwrap_or(rest), edge, front);
        let (skipped, next) = match (found, turn) {
            (Ok(skipped), _) => (skipped, Next::Again),
            (Err(_), Some((skipped, _))) => (skipped, Next::Again),
            (Err(skipped), None) => (skipped, Next::Wait(rest.len() - skipped + 1)),
        };
        *at += skipped;
        let reading = &mut self.sides[from];
        reading.skipped_bytes += skipped as u64;
        if matches!(next, Next::Wait(_)) {
            let edge = skipped < rest.len() || rest.last() == Some(&b'\n');
            let since_ns = if skipped > 0 { out.stamp(*at - 1..*at).last_ns } else { since_ns };
            reading.state = State::Seeking { edge, since_ns };
            return next;
        }
        reading.state = State::Reading;
        reading.damaged = std::mem::take(&mut reading.lost);
        reading.say_skipped(*at, out);
        if let (Err(_), Some((_, first_ns))) = (found, turn) {
            self.rows.resume(first_ns, out);
        }
        Next::Again
    }

    /// Where in `span` the server begins to answer a command that was sent since `since_ns`: its first byte that
    /// is not older than the command, as many bytes behind the begin, and its time.
    fn turn(&self, since_ns: i64, span: std::ops::Range<usize>, out: &mut dyn Sink) -> Option<(usize, i64)> {
        let mut ns = |at: usize| out.stamp(at..at + 1).first_ns;
        let sent_ns = self.rows.turn_ns(since_ns, ns(span.end - 1))?;
        let (mut low, mut high) = (span.start, span.end - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if ns(middle) >= sent_ns { high = middle } else { low = middle + 1 }
        }
        Some((low - span.start, ns(low)))
    }

    /// Hands on a message that ended, or of which no more will be seen.
    fn message(&mut self, from: Side, node: Node, cut: bool, out: &mut dyn Sink) {
        let evidence = self.sides[from].parser.evidence.take();
        if !self.sends_commands(from) {
            let Some(message) = self.sides[from].taken(node, cut) else { return };
            let stamp = message.stamp;
            let after = self.rows.value(message, evidence, out);
            if matches!(after, After::Unknown) {
                out.anomaly(0..0, Anomaly::new("redis_parts_of_a_reply"));
                self.sides[from].last_ns = stamp.last_ns;
                return self.lose_order(from, Missing::Unseen, out);
            }
            return self.follows(after);
        }
        let command = match node {
            Node::Text(TextKind::Simple, line) => Command::of_line(&line).map(|(command, balanced)| {
                if !balanced {
                    out.anomaly(0..0, Anomaly::new("redis_unbalanced_quotes"));
                }
                command
            }),
            node => Command::of(node),
        };
        let Some(message) = self.sides[from].taken((), cut) else { return };
        // Redis passes over an empty array.
        let Some(command) = command.filter(|command| cut || command.name.is_some() || message.stamp.damaged) else {
            return;
        };
        let message = Message { content: command, stamp: message.stamp, bytes: message.bytes, cut };
        if from == Side::Server {
            return self.rows.replicated(&message, out);
        }
        let after = self.rows.command(message, out);
        self.follows(after);
    }

    fn follows(&mut self, after: After) {
        match after {
            After::Reply => {}
            After::Commands if self.sides.server.parser.grammar() == Grammar::Values => {
                if self.sides.server.parser.is_inside() {
                    return;
                }
                self.commands_follow();
            }
            After::Commands => {}
            After::Snapshot => self.sides.server.state = State::Snapshot(Snapshot::default()),
            After::Unknown => {}
        }
    }

    /// Steps over a master's snapshot.
    fn snapshot(&mut self, from: Side, unread: &[u8], at: &mut usize, out: &mut dyn Sink) -> Next {
        let State::Snapshot(snapshot) = &mut self.sides[from].state else { return Next::Again };
        match snapshot.read(unread.get(*at..).unwrap_or_default()) {
            Step::BadLine(bytes) => {
                out.anomaly(*at..*at + bytes, Anomaly::new("redis_bad_snapshot"));
                *at += bytes;
                self.lose_order(from, Missing::Unseen, out);
            }
            Step::NoLine => self.lose_order(from, Missing::Unseen, out),
            Step::Taken { bytes, done } => {
                self.sides[from].cover(out.stamp(*at..*at + bytes));
                *at += bytes;
                if done {
                    self.snapshot_done(from, false, out);
                }
            }
            Step::Wanted(bytes) => return Next::Wait(bytes),
        }
        Next::Again
    }

    fn snapshot_done(&mut self, from: Side, cut: bool, out: &mut dyn Sink) {
        if let Some(message) = self.sides[from].taken((), cut) {
            self.rows.snapshot(&message, out);
        }
        self.commands_follow();
    }

    /// From here on the server sends commands.
    fn commands_follow(&mut self) {
        self.rows.replicates = true;
        let server = &mut self.sides.server;
        server.state = State::Reading;
        server.parser = Parser::new(Grammar::Commands, self.kept_bytes_max);
    }

    /// Hands on what was read of a message.
    fn part(&mut self, from: Side, out: &mut dyn Sink) {
        let part = self.sides[from].parser.abandon();
        match part {
            Some(node) if self.sides[from].stamp.is_some() => self.message(from, node, true, out),
            _ => {
                self.sides[from].taken((), true);
            }
        }
    }

    /// Messages may be missing, or it is not known where the next begins.
    fn lose_order(&mut self, from: Side, why: Missing, out: &mut dyn Sink) {
        let reading = &mut self.sides[from];
        // Of a command, what it would be is told by how far it was read.
        if let Some(stamp) = reading.stamp.as_mut().filter(|_| why == Missing::Lost && from == Side::Server) {
            stamp.lose();
        }
        self.part(from, out);
        match from {
            Side::Client => self.rows.missing_commands(why, out),
            Side::Server => self.rows.missing_replies(why, out),
        }
        let edge = why == Missing::Lost;
        let behind_ns = self.rows.resumes_behind_ns().filter(|_| from == Side::Server).unwrap_or(i64::MIN);
        let reading = &mut self.sides[from];
        reading.lost |= edge;
        let since_ns = match reading.state {
            State::Seeking { since_ns, .. } => since_ns,
            _ => reading.last_ns,
        };
        reading.state = State::Seeking { edge, since_ns: since_ns.max(behind_ns) };
    }
}
