//! The dynamic table, as far as it is known (RFC 7541 §2.3.2, §4).
//!
//! Indices count from the entry inserted last, so whatever was inserted since we joined, or since the last lost header
//! block, is known by its index; behind it lies a rest that is not. Entries are kept at least as long as the sender keeps
//! them: to keep one for longer does no harm, since an index never refers to what was evicted.

use std::collections::VecDeque;

/// Most bytes kept of one table, counted as in RFC 7541 §4.1. Browsers offer 64 KiB, servers 4 KiB; of a larger table the
/// oldest entries are not known.
pub const TABLE_BYTES_MAX: usize = 64 << 10;

/// What an entry costs besides name and value (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;

/// Size of a table nobody has resized (RFC 9113 §6.5.2).
pub const INITIAL_BYTES: u32 = 4096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Position of its name, counted over all texts ever added.
    at: u64,
    name_bytes: u32,
    value_bytes: u32,
    named: bool,
}

impl Entry {
    /// Its size, or the least it can be.
    fn size(&self) -> usize {
        ENTRY_BYTES + self.name_bytes as usize + self.value_bytes as usize
    }
}

/// What an index refers to.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered<'a> {
    /// Nothing: there is no such entry.
    Absent,
    /// A field; its name may not be known.
    Field(Option<&'a [u8]>, &'a [u8]),
    /// An entry that was made before we saw it.
    Unknown,
}

/// The name of a new entry.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// That of the entry with this index, from 0.
    Of(u32),
    /// This one.
    Known(&'a [u8]),
    /// Not known.
    Unknown,
}

/// One side's dynamic table.
#[derive(Debug)]
pub struct Table {
    /// Names and values, those of the oldest entry first; before `begin` lie those of evicted ones.
    texts: Vec<u8>,
    begin: usize,
    /// Position of `texts`' first byte.
    base: u64,
    /// The newest in front.
    entries: VecDeque<Entry>,
    /// Sizes of `entries`.
    bytes: usize,
    /// Most bytes it may have, where known.
    limit: Option<u32>,
    /// Whether there is nothing behind the known entries.
    complete: bool,
}

impl Table {
    /// The empty table of a connection that begins, or a table of which nothing is known.
    pub fn new(from_start: bool) -> Self {
        Self {
            texts: Vec::new(),
            begin: 0,
            base: 0,
            entries: VecDeque::new(),
            bytes: 0,
            limit: from_start.then_some(INITIAL_BYTES),
            complete: from_start,
        }
    }

    /// Takes note that an unknown number of entries was added.
    pub fn forget(&mut self) {
        self.clear();
        self.limit = None;
        self.complete = false;
    }

    /// Memory it holds.
    pub fn held_bytes(&self) -> usize {
        self.texts.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The entry with this index, from 0.
    pub fn get(&self, index: u32) -> Entered<'_> {
        match self.entries.get(index as usize) {
            Some(entry) => {
                let (name, value) = self.texts_of(entry);
                Entered::Field(entry.named.then_some(name), value)
            }
            None if self.complete => Entered::Absent,
            None => Entered::Unknown,
        }
    }

    /// Changes the size (RFC 7541 §6.3).
    pub fn resize(&mut self, limit: u32) {
        self.limit = Some(limit);
        if limit == 0 {
            self.clear();
            self.complete = true;
        }
        self.evict();
    }

    /// Adds an entry in front.
    pub fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let at = self.base + self.texts.len() as u64;
        let (name_bytes, named) = match name {
            Name::Known(name) => {
                self.texts.extend_from_slice(name);
                (name.len(), true)
            }
            // The entry may be evicted by this one; its texts are still there (RFC 7541 §4.4).
            Name::Of(index) => match self.entries.get(index as usize).copied() {
                Some(entry) => {
                    let begin = (entry.at - self.base) as usize;
                    self.texts.extend_from_within(begin..begin + entry.name_bytes as usize);
                    (entry.name_bytes as usize, entry.named)
                }
                None => (0, false),
            },
            Name::Unknown => (0, false),
        };
        self.texts.extend_from_slice(value);
        let entry = Entry { at, name_bytes: name_bytes as u32, value_bytes: value.len() as u32, named };
        self.bytes += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    fn evict(&mut self) {
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        while self.bytes > limit.min(TABLE_BYTES_MAX)
            && let Some(oldest) = self.entries.pop_back()
        {
            // What is past the sender's own bound is gone there too, with all that is older.
            self.complete = self.bytes > limit;
            self.bytes -= oldest.size();
            self.begin += (oldest.name_bytes + oldest.value_bytes) as usize;
        }
        if self.begin > TABLE_BYTES_MAX.min(self.texts.len() / 2) {
            self.texts.drain(..self.begin);
            self.base += self.begin as u64;
            self.begin = 0;
        }
    }

    fn clear(&mut self) {
        self.base += self.texts.len() as u64;
        self.texts.clear();
        self.entries.clear();
        self.begin = 0;
        self.bytes = 0;
    }

    fn texts_of(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let begin = (entry.at - self.base) as usize;
        let texts = self.texts.get(begin..).unwrap_or_default();
        let (name, rest) = texts.split_at_checked(entry.name_bytes as usize).unwrap_or_default();
        (name, rest.get(..entry.value_bytes as usize).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &'static str, value: &'static str) -> Entered<'static> {
        Entered::Field((!name.is_empty()).then_some(name.as_bytes()), value.as_bytes())
    }

    #[test]
    fn what_was_inserted_since_we_joined_is_known_by_its_index() {
        let mut table = Table::new(false);
        assert_eq!(table.get(0), Entered::Unknown);
        table.insert(Name::Known(b"a"), b"1");
        table.insert(Name::Unknown, b"2");
        table.insert(Name::Of(1), b"3");
        table.insert(Name::Of(9), b"4");
        let seen: Vec<_> = (0..5).map(|index| table.get(index)).collect();
        assert_eq!(seen, [field("", "4"), field("a", "3"), field("", "2"), field("a", "1"), Entered::Unknown]);
        table.resize(0);
        assert_eq!(table.get(0), Entered::Absent);
        table.resize(100);
        table.insert(Name::Known(b"b"), b"5");
        assert_eq!((table.get(0), table.get(1)), (field("b", "5"), Entered::Absent));
        table.forget();
        assert_eq!(table.get(0), Entered::Unknown);
    }

    #[test]
    fn a_table_filled_since_we_joined_is_known_whole() {
        let mut table = Table::new(false);
        table.resize(68);
        table.insert(Name::Known(b"a"), b"1");
        table.insert(Name::Known(b"b"), b"2");
        assert_eq!(table.get(2), Entered::Unknown);
        table.insert(Name::Of(1), b"3");
        assert_eq!([0, 1, 2].map(|index| table.get(index)), [field("a", "3"), field("b", "2"), Entered::Absent]);
        table.insert(Name::Known(b"too large for it"), b"and for all that is in it");
        assert_eq!(table.get(0), Entered::Absent);
    }

    #[test]
    fn the_oldest_of_a_table_that_is_too_large_for_us_are_not_known() {
        let mut table = Table::new(true);
        table.resize(u32::MAX);
        let value = vec![b'x'; TABLE_BYTES_MAX / 2];
        table.insert(Name::Known(b"a"), &value);
        table.insert(Name::Known(b"b"), &value);
        assert_eq!(table.get(1), Entered::Unknown);
        assert!(table.held_bytes() < 2 * TABLE_BYTES_MAX);
    }

    proptest! {
        /// The model keeps every entry and counts what fits.
        #[test]
        fn it_is_the_table_of_the_standard(steps in prop::collection::vec((0u32..6, 0usize..9, 0u32..300), 0..60)) {
            let mut table = Table::new(true);
            let (mut model, mut limit) = (Vec::<(Vec<u8>, Vec<u8>)>::new(), 4096);
            for (step, length, size) in steps {
                if step == 0 {
                    table.resize(size);
                    limit = size as usize;
                } else {
                    let (name, value) = (vec![b'a' + length as u8; length], vec![b'v'; size as usize / 3]);
                    let of = model.get(size as usize % 4).map(|(name, _)| name.clone());
                    match of.filter(|_| step == 1) {
                        Some(name) => {
                            table.insert(Name::Of(size % 4), &value);
                            model.insert(0, (name, value));
                        }
                        None => {
                            table.insert(Name::Known(&name), &value);
                            model.insert(0, (name, value));
                        }
                    }
                }
                let cost = |(name, value): &(Vec<u8>, Vec<u8>)| 32 + name.len() + value.len();
                while model.iter().map(cost).sum::<usize>() > limit {
                    model.pop();
                }
                for index in 0..=model.len() {
                    let want = match model.get(index) {
                        Some((name, value)) => Entered::Field(Some(name.as_slice()), value.as_slice()),
                        None => Entered::Absent,
                    };
                    prop_assert_eq!(table.get(index as u32), want);
                }
            }
        }
    }
}
