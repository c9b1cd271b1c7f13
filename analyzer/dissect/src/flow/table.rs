//! The bounded table of conversations: found by key, given up by age.

use crate::decode::FlowKey;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

const NONE: u32 = u32::MAX;

struct Slot<T> {
    key: FlowKey,
    last_ns: i64,
    newer: u32,
    older: u32,
    value: Option<T>,
}

/// Conversations by key, in the order of their latest packets.
///
/// Hashed with a key of its own per process, since addresses and ports are chosen by whoever sends them;
/// nothing that leaves the table depends on it.
pub struct FlowTable<T> {
    index: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

impl<T> Default for FlowTable<T> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            hasher: RandomState::new(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }
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

    /// The conversation of a key, which becomes the newest.
    pub fn touch(&mut self, key: &FlowKey, now_ns: i64) -> Option<&mut T> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let at = *self.index.find(hash, |&at| slots[at as usize].key == *key)?;
        if self.newest != at {
            self.unlink(at);
            self.link_newest(at);
        }
        let slot = &mut self.slots[at as usize];
        slot.last_ns = slot.last_ns.max(now_ns);
        slot.value.as_mut()
    }

    /// Puts a conversation in, as the newest. Its key must not be there.
    pub fn insert(&mut self, key: FlowKey, now_ns: i64, value: T) {
        let slot = Slot { key, last_ns: now_ns, newer: NONE, older: NONE, value: Some(value) };
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
        self.link_newest(at);
    }

    /// Takes a conversation out.
    pub fn remove(&mut self, key: &FlowKey) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let entry = self.index.find_entry(hash, |&at| slots[at as usize].key == *key).ok()?;
        let (at, _) = entry.remove();
        self.unlink(at);
        self.free.push(at);
        self.slots[at as usize].value.take()
    }

    /// The conversation that was quiet longest, and the time of its latest packet [ns].
    pub fn oldest(&self) -> Option<(&T, i64)> {
        let slot = self.slots.get(self.oldest as usize)?;
        Some((slot.value.as_ref()?, slot.last_ns))
    }

    /// Takes out the conversation that was quiet longest.
    pub fn pop_oldest(&mut self) -> Option<T> {
        let key = self.slots.get(self.oldest as usize)?.key;
        self.remove(&key)
    }

    fn link_newest(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        let slot = &mut self.slots[at as usize];
        (slot.newer, slot.older) = (NONE, before);
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { newer, older, .. } = self.slots[at as usize];
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Endpoint, IpProtocol, Tunnel};
    use proptest::prelude::*;

    fn key(port: u16) -> FlowKey {
        let end = |port| Endpoint { ip: [1; 16], port };
        FlowKey::new(end(port), end(0), IpProtocol::TCP, 6, 0, Tunnel::None).0
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_ordered_by_use(steps in prop::collection::vec((0u8..4, 0u16..6), 0..200)) {
            let mut table = FlowTable::default();
            let mut model: Vec<u16> = Vec::new();
            for (now, (step, port)) in steps.into_iter().enumerate() {
                let there = model.iter().position(|&other| other == port);
                match (step, there) {
                    (0, None) => { table.insert(key(port), now as i64, port); model.push(port) }
                    (0 | 1, _) => {
                        prop_assert_eq!(table.touch(&key(port), now as i64).copied(), there.map(|_| port));
                        if let Some(at) = there { model.remove(at); model.push(port) }
                    }
                    (2, _) => {
                        prop_assert_eq!(table.remove(&key(port)), there.map(|at| model.remove(at)));
                    }
                    _ => prop_assert_eq!(table.pop_oldest(), (!model.is_empty()).then(|| model.remove(0))),
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.oldest().map(|(value, _)| *value), model.first().copied());
            }
        }
    }
}
