//! The bounded table of conversations: found by key, given up by age.

use crate::decode::{FlowKey, Tunnel};
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;

const NONE: u32 = u32::MAX;

/// Why a conversation is kept, which says how long: each kind has an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// A connection that is over; late repeats still belong to it.
    Closed,
    /// A connection under way.
    Connections,
    /// Datagrams, and what has no connections.
    Conversations,
}

impl Queue {
    /// All of them; those that make room first stand first.
    pub const ALL: [Queue; 3] = [Queue::Closed, Queue::Connections, Queue::Conversations];
}

/// Where a conversation stands, while it is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u32);

struct Slot<T> {
    key: FlowKey,
    queue: Queue,
    last_ns: i64,
    newer: u32,
    older: u32,
    value: Option<T>,
}

/// The ends of a queue.
#[derive(Clone, Copy)]
struct Ends {
    newest: u32,
    oldest: u32,
}

/// Conversations by key, each queue in the order of their latest packets.
///
/// Hashed with a key of its own per process, since addresses and ports are chosen by whoever sends them;
/// nothing that leaves the table depends on it.
pub struct FlowTable<T> {
    index: HashTable<u32>,
    /// By the ends alone, whatever network it was seen on: the latest to begin.
    latest: HashMap<FlowKey, u32>,
    hasher: DefaultHashBuilder,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    ends: [Ends; Queue::ALL.len()],
}

impl<T> Default for FlowTable<T> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            latest: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            slots: Vec::new(),
            free: Vec::new(),
            ends: [Ends { newest: NONE, oldest: NONE }; Queue::ALL.len()],
        }
    }
}

/// A key without the network it was seen on.
fn anywhere(key: &FlowKey) -> FlowKey {
    FlowKey { vlan: 0, tunnel: Tunnel::None, ..*key }
}

impl<T> FlowTable<T> {
    /// How many conversations there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The conversation of a key.
    pub fn find(&self, key: &FlowKey) -> Option<Place> {
        let slots = &self.slots;
        self.index.find(self.hasher.hash_one(key), |&at| slots[at as usize].key == *key).map(|&at| Place(at))
    }

    /// The latest conversation that began between the same ends, whatever VLAN or tunnel it was seen in.
    pub fn find_anywhere(&self, key: &FlowKey) -> Option<Place> {
        self.latest.get(&anywhere(key)).map(|&at| Place(at))
    }

    /// The conversation at a place.
    pub fn get(&self, at: Place) -> Option<&T> {
        self.slots.get(at.0 as usize)?.value.as_ref()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, at: Place) -> Option<&mut T> {
        self.slots.get_mut(at.0 as usize)?.value.as_mut()
    }

    /// The conversation at a place, which becomes the newest of its queue.
    pub fn touch(&mut self, at: Place, now_ns: i64) -> Option<&mut T> {
        let queue = self.slots.get(at.0 as usize)?.queue;
        if self.ends[queue as usize].newest != at.0 {
            self.unlink(at.0);
            self.link_newest(at.0);
        }
        let slot = &mut self.slots[at.0 as usize];
        slot.last_ns = now_ns;
        slot.value.as_mut()
    }

    /// Puts a conversation in, as the newest of its queue. Its key must not be there.
    pub fn insert(&mut self, key: FlowKey, queue: Queue, now_ns: i64, value: T) -> Place {
        let slot = Slot { key, queue, last_ns: now_ns, newer: NONE, older: NONE, value: Some(value) };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let (hasher, slots) = (&self.hasher, &self.slots);
        self.index.insert_unique(hasher.hash_one(key), at, |&at| hasher.hash_one(slots[at as usize].key));
        self.latest.insert(anywhere(&key), at);
        self.link_newest(at);
        Place(at)
    }

    /// Moves a conversation to another queue, as its newest.
    pub fn move_to(&mut self, at: Place, queue: Queue) {
        self.unlink(at.0);
        self.slots[at.0 as usize].queue = queue;
        self.link_newest(at.0);
    }

    /// Takes a conversation out.
    pub fn remove(&mut self, at: Place) -> Option<T> {
        let key = self.slots.get(at.0 as usize)?.key;
        if let Ok(entry) = self.index.find_entry(self.hasher.hash_one(key), |&other| other == at.0) {
            entry.remove();
        }
        if let Entry::Occupied(latest) = self.latest.entry(anywhere(&key))
            && *latest.get() == at.0
        {
            latest.remove();
        }
        self.unlink(at.0);
        self.free.push(at.0);
        self.slots[at.0 as usize].value.take()
    }

    /// The conversation of a queue that was quiet longest, and the time of its latest packet [ns].
    pub fn oldest(&self, queue: Queue) -> Option<(Place, i64)> {
        let at = self.ends[queue as usize].oldest;
        Some((Place(at), self.slots.get(at as usize)?.last_ns))
    }

    fn link_newest(&mut self, at: u32) {
        let ends = &mut self.ends[self.slots[at as usize].queue as usize];
        let before = std::mem::replace(&mut ends.newest, at);
        if before == NONE {
            ends.oldest = at;
        }
        let slot = &mut self.slots[at as usize];
        (slot.newer, slot.older) = (NONE, before);
        if let Some(slot) = self.slots.get_mut(before as usize) {
            slot.newer = at;
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { newer, older, queue, .. } = self.slots[at as usize];
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.ends[queue as usize].newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.ends[queue as usize].oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Endpoint, IpProtocol};
    use proptest::prelude::*;

    fn key(port: u16, vlan: u16) -> FlowKey {
        let end = |port| Endpoint { ip: [1; 16], port };
        FlowKey::new(end(port), end(0), IpProtocol::TCP, 6, vlan, Tunnel::None).0
    }

    proptest! {
        #[test]
        fn behaves_like_lists_ordered_by_use(steps in prop::collection::vec((0u8..5, 0u16..6, 0usize..3), 0..200)) {
            let mut table = FlowTable::default();
            let mut model: [Vec<u16>; 3] = Default::default();
            for (now, (step, port, queue)) in steps.into_iter().enumerate() {
                let there = model.iter().enumerate().find_map(|(queue, list)| Some((queue, list.iter().position(|&other| other == port)?)));
                let found = table.find(&key(port, 0));
                prop_assert_eq!(found.and_then(|at| table.get(at).copied()), there.map(|_| port));
                match (step, there, found) {
                    (0, None, _) => {
                        table.insert(key(port, 0), Queue::ALL[queue], now as i64, port);
                        model[queue].push(port);
                    }
                    (0 | 1, Some((queue, place)), Some(at)) => {
                        prop_assert_eq!(table.touch(at, now as i64).copied(), Some(port));
                        model[queue].remove(place);
                        model[queue].push(port);
                    }
                    (2, Some((queue, place)), Some(at)) => {
                        prop_assert_eq!(table.remove(at), Some(model[queue].remove(place)));
                    }
                    (3, Some((from, place)), Some(at)) => {
                        table.move_to(at, Queue::ALL[queue]);
                        model[from].remove(place);
                        model[queue].push(port);
                    }
                    (4, ..) => {
                        let want = (!model[queue].is_empty()).then(|| model[queue].remove(0));
                        let oldest = table.oldest(Queue::ALL[queue]);
                        prop_assert_eq!(oldest.and_then(|(at, _)| table.remove(at)), want);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), model.iter().map(Vec::len).sum::<usize>());
                for queue in Queue::ALL {
                    let oldest = table.oldest(queue).and_then(|(at, _)| table.get(at).copied());
                    prop_assert_eq!(oldest, model[queue as usize].first().copied());
                }
            }
        }
    }

    #[test]
    fn the_latest_between_two_ends_is_found_in_any_network() {
        let mut table = FlowTable::default();
        let first = table.insert(key(1, 7), Queue::Connections, 0, 'a');
        let second = table.insert(key(1, 8), Queue::Connections, 0, 'b');
        assert_eq!(table.find(&key(1, 9)), None);
        assert_eq!(table.find_anywhere(&key(1, 9)), Some(second));
        table.remove(first);
        assert_eq!(table.find_anywhere(&key(1, 9)), Some(second));
        table.remove(second);
        assert_eq!(table.find_anywhere(&key(1, 9)), None);
    }
}
