//! The capture thread's half of the room: from all rings into batches, in the order of time.
//!
//! A block of one ring spans the time of blocks of others, which the kernel may not have handed over yet. So where
//! there are several rings, a block waits in its ring until each of the others has handed over a later one, or for
//! [`limits::ORDER_WAIT`], before its packets are merged with theirs. It waits less when its ring is half full: then order
//! is given up, and no packet.

use super::batch::{Batch, Filling, Took};
use super::sieve::{Passed, Sieve};
use super::station::{RingNews, Station};
use crate::capture::{CaptureError, Interfaces, Wait};
use crate::clock::Clock;
use crate::limits;
use crate::targets::Change;
use formats::seal::{EndReason, Volume};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Duration;

/// Moves packets from rings into batches.
#[derive(Debug)]
pub struct Pump {
    stations: Vec<Station>,
    rings: Box<dyn Wait>,
    clock: Arc<dyn Clock>,
    tokens: u64,
    /// Rings that come, and targets that go.
    changes: Receiver<Change>,
    /// Targets of which all rings are closed.
    closed: Sender<u64>,
    interfaces: Interfaces,
    sieve: Sieve,
    filling: Filling,
    handed_over: Volume,
    batches: SyncSender<Batch>,
    buffers: Receiver<Vec<u8>>,
    /// When a batch was last handed over, on the steady clock; none before the first, which is empty: it begins the
    /// first segment.
    flushed: Option<Duration>,
    /// When no more packets were let in.
    shut: Option<Timestamp>,
    news: Vec<RingNews>,
}

impl Pump {
    /// Sends what comes from the rings of `changes`, and what `sieve` leaves of it, to `batches`, in buffers from
    /// `buffers`; tells `closed` of namespaces whose rings were closed. Waits in `rings`, and as `clock` says.
    ///
    /// # Errors
    /// Of the rings that are there from the start.
    pub fn new(
        (changes, closed): (Receiver<Change>, Sender<u64>),
        (batches, buffers): (SyncSender<Batch>, Receiver<Vec<u8>>),
        sieve: Sieve,
        (rings, clock): (Box<dyn Wait>, Arc<dyn Clock>),
    ) -> Result<Self, CaptureError> {
        let mut pump = Self {
            stations: Vec::new(),
            rings,
            clock,
            tokens: 0,
            changes,
            closed,
            interfaces: Interfaces::default(),
            sieve,
            filling: Filling::new(buffers.try_recv().unwrap_or_default()),
            handed_over: Volume::default(),
            batches,
            buffers,
            flushed: None,
            shut: None,
            news: Vec::new(),
        };
        while let Ok(change) = pump.changes.try_recv() {
            pump.follow(change)?;
        }
        Ok(pump)
    }

    /// Waits a moment for packets and takes those that are due; false when the other side is gone.
    ///
    /// # Errors
    /// When the last ring fails and no other will come.
    pub fn turn(&mut self) -> Result<bool, CaptureError> {
        let is_due = self.flushed.is_none_or(|flushed| self.since(flushed) >= limits::FLUSH);
        if is_due && !self.hand_over()? {
            return Ok(false);
        }
        while let Ok(change) = self.changes.try_recv() {
            let netns = change.netns();
            if let Err(error) = self.follow(change) {
                tracing::error!(netns, %error, "target cannot be recorded");
                self.close_target(netns);
            }
        }
        self.wait(self.patience())?;
        let waited = self.take(self.order_wait())?;
        self.close_those_over()?;
        Ok(waited)
    }

    /// Packets taken so far, with the bytes kept of them.
    pub fn written(&self) -> Volume {
        let mut written = self.handed_over;
        written += self.filling.counts().written;
        written
    }

    /// Keeps one flow of two to the power of `halvings` from now on.
    pub fn shed(&mut self, halvings: u32) {
        self.sieve.shed(halvings);
    }

    /// What is kept while flows are left out, and what the last halving costs.
    pub fn passed(&self) -> Passed {
        self.sieve.passed()
    }

    /// Keeps no more than that from now on.
    pub fn bound(&mut self, left: Volume) {
        self.sieve.bound(left);
    }

    /// Which budget is used up: what still comes is only counted.
    pub fn spent(&self) -> Option<&EndReason> {
        self.sieve.spent()
    }

    /// What the rings did since this was last asked, told about twice a second and when one is closed.
    pub fn news(&mut self) -> impl Iterator<Item = RingNews> {
        self.news.drain(..)
    }

    /// Lets no more packets in, takes what is in the rings, and hands it over. To be called last.
    pub fn finish(&mut self) -> Result<(), CaptureError> {
        let drained = self.drain();
        let handed_over = self.hand_over();
        self.stations.drain(..).for_each(|station| station.say_what_was());
        drained.and(handed_over.map(drop))
    }

    /// Adds the rings of a target, all or none, or begins to close them.
    fn follow(&mut self, change: Change) -> Result<(), CaptureError> {
        match change {
            Change::Appeared { rings, target } => {
                let station = |ring| {
                    self.tokens += 2;
                    Station::new(self.tokens, ring, &target, self.rings.as_ref(), &mut self.interfaces)
                };
                let stations: Vec<_> = rings.into_iter().map(station).collect::<Result<_, _>>()?;
                self.stations.extend(stations);
            }
            Change::Gone { netns } => {
                for station in self.stations.iter_mut().filter(|station| station.netns() == netns) {
                    if station.ends.is_none() {
                        station.ring.shut()?;
                        station.ends = Some(self.clock.steady() + 3 * limits::BLOCK_RETIRE);
                    }
                }
            }
        }
        Ok(())
    }

    fn since(&self, moment: Duration) -> Duration {
        self.clock.steady().saturating_sub(moment)
    }

    /// How long a block waits for those of other rings.
    fn order_wait(&self) -> Duration {
        if self.stations.len() > 1 { limits::ORDER_WAIT } else { Duration::ZERO }
    }

    /// How long to wait for further blocks: until the first that was filled has waited long enough.
    fn patience(&self) -> Duration {
        let since = self.stations.iter().filter_map(|station| station.ring.waits_since()).min();
        let left = since.map_or(limits::WAIT, |since| self.order_wait().saturating_sub(self.since(since)));
        left.min(limits::WAIT)
    }

    fn wait(&mut self, patience: Duration) -> Result<(), CaptureError> {
        let told = self.rings.wait(patience);
        let told = told.map_err(|source| CaptureError::System { action: "wait for packets", source })?;
        for (token, ready) in told {
            let station = self.stations.iter_mut().find(|station| station.token == token & !1);
            let Some(station) = station else { continue };
            let (netns, ring) = (station.netns(), &mut station.ring);
            let heard = if token & 1 == 0 { ring.hear(ready) } else { ring.hear_news(&mut station.numbers) };
            if let Err(error) = heard {
                self.give_up(netns, error)?;
            }
        }
        Ok(())
    }

    /// Takes what is due, in the order of time; false when nobody waits for it.
    fn take(&mut self, order_wait: Duration) -> Result<bool, CaptureError> {
        let now = self.clock.steady();
        let (mut horizon_ns, mut noticed_ns) = (0, u64::MAX);
        for station in &mut self.stations {
            station.ring.notice(now);
            station.fill = station.fill.max(station.ring.fill());
            let until = now.saturating_sub(order_wait);
            let (due_blocks, last_ns) = station.ring.due_blocks(until);
            station.due_blocks = due_blocks;
            horizon_ns = last_ns.max(horizon_ns);
            noticed_ns = noticed_ns.min(station.ring.noticed_ns());
        }
        // What was seen by then need not wait: nothing earlier can come from any ring.
        horizon_ns = horizon_ns.max(noticed_ns);
        let heads = self.stations.iter().enumerate();
        let mut heads: BinaryHeap<_> =
            heads.filter_map(|(at, station)| Some(Reverse((station.head_ns(horizon_ns)?, at)))).collect();
        while let Some(Reverse((_, at))) = heads.pop() {
            let next_ns = heads.peek().map_or(u64::MAX, |Reverse((next_ns, _))| *next_ns);
            match self.take_from(at, next_ns, horizon_ns) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    // Places have moved: the rest is taken in the next turn.
                    let failed = self.stations.get(at).map(Station::netns);
                    failed.map_or(Ok(()), |netns| self.give_up(netns, error))?;
                    return Ok(true);
                }
            }
            let head_ns = self.stations.get(at).and_then(|station| station.head_ns(horizon_ns));
            heads.extend(head_ns.map(|head_ns| Reverse((head_ns, at))));
        }
        Ok(true)
    }

    /// Takes packets of one ring's next block, until another ring has an earlier one; false when nobody waits for them.
    fn take_from(&mut self, at: usize, next_ns: u64, horizon_ns: u64) -> Result<bool, CaptureError> {
        loop {
            let Some(station) = self.stations.get_mut(at) else { return Ok(true) };
            if station.ring.is_at_block() {
                if station.ring.next_follows_drops() {
                    station.account(&mut self.filling)?;
                }
                station.dropped += station.ring.begin_block();
            }
            let until_ns = if station.due_blocks > 0 { next_ns } else { next_ns.min(horizon_ns) };
            let Some(mut packets) = station.ring.packets() else { return Ok(true) };
            let described = (&mut station.numbers, &mut self.interfaces, &mut self.sieve);
            let took = self.filling.take(&mut packets, until_ns, described, &mut station.dropped);
            let place = packets.place();
            match took {
                Took::All => {
                    station.ring.end_block();
                    station.due_blocks = station.due_blocks.saturating_sub(1);
                    return Ok(true);
                }
                Took::Full => {
                    station.ring.go_on(place);
                    if !self.send() {
                        return Ok(false);
                    }
                }
                Took::Until => {
                    station.ring.go_on(place);
                    return Ok(true);
                }
            }
        }
    }

    fn drain(&mut self) -> Result<(), CaptureError> {
        while let Ok(change) = self.changes.try_recv() {
            self.follow(change)?;
        }
        self.shut = Some(self.clock.now().wall);
        for station in &mut self.stations {
            station.ring.shut()?;
        }
        // A block that is not full is handed over when its time is up; after three of those nothing is owed.
        let until = self.clock.steady() + 3 * limits::BLOCK_RETIRE;
        while !self.is_settled()? && self.clock.steady() < until {
            self.wait(limits::BLOCK_RETIRE)?;
        }
        // Only now, for what comes last from one ring may be earlier than what came first from another.
        self.take(Duration::ZERO)?;
        for station in &mut self.stations {
            self.filling.account_lost(station.ring.left_packets()?, station.numbers.target());
        }
        Ok(())
    }

    /// Whether all rings have handed over what is in them.
    fn is_settled(&mut self) -> Result<bool, CaptureError> {
        let now = self.clock.steady();
        for station in &mut self.stations {
            station.ring.notice(now);
            if !station.ring.is_settled()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Closes the rings of targets that are gone, once they are empty.
    fn close_those_over(&mut self) -> Result<(), CaptureError> {
        let now = self.clock.steady();
        let mut at = 0;
        while let Some(station) = self.stations.get_mut(at) {
            let netns = station.netns();
            match station.is_over(now) {
                Ok(false) => at += 1,
                Ok(true) => {
                    self.close(at);
                    if self.stations.iter().all(|station| station.netns() != netns) {
                        self.closed.send(netns).ok();
                    }
                }
                Err(error) => self.give_up(netns, error)?,
            }
        }
        Ok(())
    }

    /// Closes the rings of a target, one of which failed: those that are left would not count what the filter refuses, or not
    /// all see the same interfaces.
    ///
    /// # Errors
    /// The same, when they were the last and no others will come.
    fn give_up(&mut self, netns: u64, error: CaptureError) -> Result<(), CaptureError> {
        let failed = self.stations.iter().find(|station| station.netns() == netns);
        let Some(target) = failed.map(|station| station.numbers.target().label()) else {
            return Ok(()); // With another of its rings.
        };
        let followed = self.close_target(netns);
        if self.stations.is_empty() && !followed {
            return Err(error);
        }
        tracing::error!(target, %error, "ring failed: those of its target are opened anew");
        Ok(())
    }

    /// Closes all rings of a target; whether anybody looks for targets who may open others.
    fn close_target(&mut self, netns: u64) -> bool {
        while let Some(at) = self.stations.iter().position(|station| station.netns() == netns) {
            self.close(at);
        }
        self.closed.send(netns).is_ok()
    }

    /// Closes a ring; what is still in it is counted as lost.
    fn close(&mut self, at: usize) {
        let mut station = self.stations.swap_remove(at);
        // Or what comes between the questions below would be in none of the answers.
        if let Err(error) = station.ring.shut() {
            tracing::debug!(%error, "the ring cannot be shut");
        }
        if let Err(error) = station.account(&mut self.filling) {
            tracing::debug!(%error, "the ring counts no more");
        }
        self.filling.account_lost(station.ring.left_packets().unwrap_or(0), station.numbers.target());
        self.news.push(station.news());
        station.say_what_was();
    }

    fn hand_over(&mut self) -> Result<bool, CaptureError> {
        let mut failed = Vec::new();
        for station in &mut self.stations {
            failed.extend(station.account(&mut self.filling).err().map(|error| (station.netns(), error)));
            self.news.push(station.news());
        }
        let closed = failed.into_iter().try_for_each(|(netns, error)| self.give_up(netns, error));
        // What is in the batch goes its way, whatever the kernel says.
        let sent = self.send();
        closed.map(|()| sent)
    }

    /// Sends the batch away, and waits for a buffer for the next.
    fn send(&mut self) -> bool {
        let Ok(buffer) = self.buffers.recv() else { return false };
        self.handed_over += self.filling.counts().written;
        let now = self.clock.now();
        let batch = self.filling.hand_over(&self.interfaces, self.shut.unwrap_or(now.wall), buffer);
        if self.interfaces.is_full() {
            self.interfaces.begin_list();
        }
        self.flushed = Some(now.steady);
        self.batches.send(batch).is_ok()
    }
}

#[cfg(test)]
mod tests;
