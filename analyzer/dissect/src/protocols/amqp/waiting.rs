//! Rows that wait for an answer: a reply, a confirm, the settlement of a delivery. Bounded in number and bytes; the
//! oldest makes room, whatever it waits for.

use super::Message;
use crate::protocols::{Call, Pair, PerSide, Row, Side, Sink, Stamp};
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

/// Rows that may wait on one connection. Prefetch counts and confirm windows are some hundreds; without either all of a
/// long queue is on its way.
pub const ROWS_MAX: usize = 4096;

/// Bytes they may hold, besides one body: half of what all connections of a shard may.
pub const BYTES_MAX: usize = 4 << 20;

/// What an entry costs besides its texts and body: itself and its key in a tree whose nodes may be half empty, and its
/// arrival in a queue that may be too.
const ENTRY_BYTES: usize = 2 * (size_of::<Entry>() + size_of::<Key>()) + 2 * size_of::<(u64, Key)>();

/// Arrivals there stays room for once no row waits.
const ARRIVALS_KEPT: usize = 64;

/// What a row waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaits {
    /// A publish: ack or nack of the server, or the end of its transaction.
    Confirm,
    /// A request of the client.
    ReplyOfServer,
    /// A request of the server.
    ReplyOfClient,
    /// A delivery: ack, nack or reject of the client.
    Settlement,
}

impl Awaits {
    /// For a reply to a request of `asker`.
    pub fn reply_to(asker: Side) -> Self {
        match asker {
            Side::Client => Awaits::ReplyOfServer,
            Side::Server => Awaits::ReplyOfClient,
        }
    }

    /// Who is to send it.
    pub fn from(self) -> Side {
        match self {
            Awaits::Confirm | Awaits::ReplyOfServer => Side::Server,
            Awaits::ReplyOfClient | Awaits::Settlement => Side::Client,
        }
    }
}

/// Which row it is: number is the delivery tag, or the place in the order of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub channel: u16,
    pub awaits: Awaits,
    pub number: u64,
}

/// A row that waits.
pub struct Entry {
    pub message: Message,
    pub stamp: Stamp,
    /// Methods that answer it, by class and numbers.
    pub replies: (u16, &'static [u16]),
    /// For the end of a transaction: publishes up to this one belong to it.
    pub mark: u64,
    /// For consume and get: whether deliveries are not settled.
    pub no_ack: bool,
    /// Its content was not seen to its end.
    pub cut: bool,
    /// Sides of which frames were lost since.
    pub lost: PerSide<bool>,
    arrival: u64,
}

impl Entry {
    pub fn new(message: Message, stamp: Stamp) -> Self {
        Self {
            message,
            stamp,
            replies: (0, &[]),
            mark: 0,
            no_ack: false,
            cut: false,
            lost: PerSide::default(),
            arrival: 0,
        }
    }

    /// Hands on the row, with what answers it or as one that is not answered.
    pub fn hand_on(&self, answer: Option<Stamp>, unanswered: Pair, out: &mut dyn Sink) {
        let pair = match answer {
            _ if self.cut => Pair::Cut,
            Some(_) => Pair::Complete,
            None => unanswered,
        };
        out.row(&Call { request: Some(self.stamp), response: answer, pair }, Row::Amqp(&self.message));
    }

    /// Whether it has a reply to come.
    pub fn is_request(&self) -> bool {
        !self.replies.1.is_empty()
    }

    fn held_bytes(&self) -> usize {
        ENTRY_BYTES + self.message.held_bytes()
    }
}

/// All rows of a connection that wait.
#[derive(Default)]
pub struct Waiting {
    entries: BTreeMap<Key, Entry>,
    /// Keys by arrival. Rows that were answered stay in it until it is swept.
    arrivals: VecDeque<(u64, Key)>,
    bytes: usize,
    next: u64,
    /// The first arrival since frames of a side were lost on all channels.
    since_loss: PerSide<u64>,
}

impl Waiting {
    /// Takes a row in; gives back one of the same key, which can be only by an error of the peers.
    pub fn add(&mut self, key: Key, mut entry: Entry) -> Option<Entry> {
        entry.arrival = self.next;
        self.arrivals.push_back((self.next, key));
        self.next += 1;
        self.bytes += entry.held_bytes();
        let before = self.entries.insert(key, entry);
        if let Some(before) = &before {
            self.bytes -= before.held_bytes();
        }
        if self.arrivals.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.arrivals.retain(|(arrival, key)| entries.get(key).is_some_and(|entry| entry.arrival == *arrival));
        }
        before
    }

    /// The sides turned out to be the other way round. Only requests may wait by then: publishes and deliveries tell.
    pub fn swap_sides(&mut self) {
        let swapped = |key: Key| {
            let awaits = match key.awaits {
                Awaits::ReplyOfServer => Awaits::ReplyOfClient,
                Awaits::ReplyOfClient => Awaits::ReplyOfServer,
                other => other,
            };
            Key { awaits, ..key }
        };
        self.entries = std::mem::take(&mut self.entries)
            .into_iter()
            .map(|(key, mut entry)| {
                entry.message.sender = entry.message.sender.other();
                entry.lost.swap();
                (swapped(key), entry)
            })
            .collect();
        self.arrivals.iter_mut().for_each(|(_, key)| *key = swapped(*key));
        self.since_loss.swap();
    }

    /// A number for the next request: they are answered in order.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// The row of that key.
    pub fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.held_bytes();
        if self.entries.is_empty() {
            self.arrivals.clear();
            self.arrivals.shrink_to(ARRIVALS_KEPT);
        }
        Some(entry)
    }

    /// The oldest row, if there are more than may wait.
    pub fn over(&mut self, body_bytes_max: usize) -> Option<Entry> {
        if self.entries.len() <= ROWS_MAX && self.bytes <= BYTES_MAX + body_bytes_max {
            return None;
        }
        loop {
            let (arrival, key) = self.arrivals.pop_front()?;
            if self.is_of(&key, arrival) {
                return self.remove(&key);
            }
        }
    }

    /// The rows of a channel that wait for this.
    pub fn of(&self, channel: u16, awaits: Awaits) -> impl Iterator<Item = (&Key, &Entry)> {
        let key = |number| Key { channel, awaits, number };
        self.entries.range(key(0)..=key(u64::MAX))
    }

    /// The same, of those with such numbers.
    pub fn between(&self, channel: u16, awaits: Awaits, numbers: RangeInclusive<u64>) -> impl Iterator<Item = Key> {
        let key = |number: &u64| Key { channel, awaits, number: *number };
        self.entries.range(key(numbers.start())..=key(numbers.end())).map(|(key, _)| *key)
    }

    /// All rows of a channel.
    pub fn of_channel(&self, channel: u16) -> impl Iterator<Item = (&Key, &Entry)> {
        let first = Key { channel, awaits: Awaits::Confirm, number: 0 };
        let last = Key { channel, awaits: Awaits::Settlement, number: u64::MAX };
        self.entries.range(first..=last)
    }

    /// Rows that came since this was asked for that side before: what was lost of it then took those before for lost.
    pub fn since_loss(&mut self, from: Side) -> Vec<Key> {
        let first = std::mem::replace(&mut self.since_loss[from], self.next);
        let since = self.arrivals.range(self.arrivals.partition_point(|(arrival, _)| *arrival < first)..);
        since.filter(|(arrival, key)| self.is_of(key, *arrival)).map(|(_, key)| *key).collect()
    }

    /// Frames of `from` are lost that may have been about that row. Gives it back if what would answer it may be among
    /// them.
    pub fn lose(&mut self, from: Side, key: &Key) -> Option<Entry> {
        let entry = self.entries.get_mut(key)?;
        entry.lost[from] = true;
        let over = entry.is_request() && key.awaits.from() == from
            // The channel may have been closed and opened anew: numbers begin again.
            || entry.lost.client && entry.lost.server;
        if over { self.remove(key) } else { None }
    }

    fn is_of(&self, key: &Key, arrival: u64) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.arrival == arrival)
    }

    /// All rows.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Memory they hold.
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }
}
