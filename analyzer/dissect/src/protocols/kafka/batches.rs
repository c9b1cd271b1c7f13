//! The records of a body while they pass: batch after batch, and of a batch too large to hold record after record.

use super::batch::{self, FRONT_BYTES, Head, Record};
use super::codec::Codec;

/// The largest compressed record batch that is read, and the most unread bytes ever asked for: brokers take 1 MiB
/// unless told otherwise, and some are told.
pub const UNREAD_BYTES_MAX: usize = 4 << 20;

/// The largest batch that is held as a whole where it need not be: brokers take no larger ones unless told otherwise.
const HELD_BYTES_MAX: u64 = 1 << 20;

/// A length in front of a record is not longer.
const LENGTH_BYTES_MAX: usize = 10;

/// What is found among them.
pub enum Found<'a> {
    Odd(&'static str, String),
    Record(&'a Record<'a>),
}

/// A batch that is read record by record.
#[derive(Debug)]
struct Open {
    head: Head,
    /// Bytes of it that are still to come.
    left: u64,
}

/// Records inside of a body.
#[derive(Debug)]
pub struct Batches {
    /// Name of their field.
    pub name: &'static str,
    /// Bytes of all.
    pub bytes: u64,
    /// Whole records so far, those of batches that are not read by the batches' own word.
    pub records: u64,
    /// Bytes that are still to come.
    left: u64,
    /// Bytes at the front that are done with.
    over: u64,
    open: Option<Open>,
}

/// What to do at the front.
enum Step {
    /// Step over so many bytes.
    Over(u64),
    /// Wait for so many bytes.
    Wait(u64),
}

impl Batches {
    /// `bytes` of records in the field of that name.
    pub fn new(name: &'static str, bytes: u64) -> Self {
        Self { name, bytes, records: 0, left: bytes, over: 0, open: None }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Reads what is there, `at` bytes of it; then says how many more are wanted, or nothing at the end.
    pub fn read(&mut self, bytes: &[u8], at: &mut usize, found: &mut dyn FnMut(Found<'_>)) -> Option<usize> {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let rest = rest.get(..self.left.min(rest.len() as u64) as usize).unwrap_or_default();
            let over = self.over.min(rest.len() as u64);
            self.pass(over);
            *at += over as usize;
            let rest = rest.get(over as usize..).unwrap_or_default();
            match (self.left, self.over) {
                (0, _) => return None,
                (_, 1..) => return Some(1),
                _ => {}
            }
            let step = match self.open.take() {
                Some(open) => self.record(open, rest, found),
                None => self.batch(rest, found),
            };
            match step {
                Step::Over(bytes) => self.over = bytes.min(self.left),
                Step::Wait(wanted) => return Some(wanted as usize),
            }
        }
    }

    /// Takes note that `lost` bytes are missing behind `rest`, the begin of something unfinished.
    pub fn lose(&mut self, rest: &[u8], lost: u64, found: &mut dyn FnMut(Found<'_>)) {
        let gone = (rest.len() as u64 + lost).min(self.left);
        let batch_left = match &self.open {
            Some(open) => Some(open.left),
            None if self.over > 0 => Some(self.over),
            None => {
                // What is whole of the batch at the front is as good as if the rest had come.
                let batch = rest.first_chunk().and_then(batch::bytes);
                if batch.is_some_and(|batch| batch <= UNREAD_BYTES_MAX as u64) {
                    self.whole_records(rest, found);
                }
                batch
            }
        };
        self.left -= gone;
        if gone <= self.over {
            self.over -= gone;
            if let Some(open) = &mut self.open {
                open.left = open.left.saturating_sub(gone);
            }
            return;
        }
        // Behind the lost bytes the next batch begins where this one said, or nothing is known.
        self.open = None;
        self.over = batch_left.and_then(|left| left.checked_sub(gone)).unwrap_or(self.left).min(self.left);
    }

    fn pass(&mut self, bytes: u64) {
        self.over -= bytes;
        self.left -= bytes;
        if let Some(open) = &mut self.open {
            open.left = open.left.saturating_sub(bytes);
            if open.left == 0 {
                self.open = None;
            }
        }
    }

    fn batch(&mut self, rest: &[u8], found: &mut dyn FnMut(Found<'_>)) -> Step {
        if self.left < FRONT_BYTES as u64 {
            return Step::Over(self.left);
        }
        let Some(front) = rest.first_chunk() else { return Step::Wait(FRONT_BYTES as u64) };
        let Some(bytes) = batch::bytes(front) else {
            found(Found::Odd("kafka_records_malformed", format!("no batch, {} bytes are not read", self.left)));
            return Step::Over(self.left);
        };
        // What a consumer asks for may end inside of a batch.
        let here = bytes.min(self.left);
        let [.., format] = *front;
        if here > HELD_BYTES_MAX && format == 2 {
            let Some(head) = rest.get(..Head::BYTES) else { return Step::Wait(Head::BYTES as u64) };
            match Head::read(&mut formats::bytes::Reader::new(head)) {
                Ok(head) if head.codec() == Codec::None => {
                    self.open = Some(Open { head, left: here });
                    return Step::Over(Head::BYTES as u64);
                }
                Ok(head) if here == bytes && here > UNREAD_BYTES_MAX as u64 => self.records += u64::from(head.count),
                _ => {}
            }
        }
        // Compressed records come out of a batch that is there as a whole.
        if here > UNREAD_BYTES_MAX as u64 {
            found(Found::Odd("kafka_batch_too_large", format!("a batch of {bytes} bytes is not read")));
            return Step::Over(here);
        }
        let Some(batch) = rest.get(..here as usize) else { return Step::Wait(here) };
        let problem = self.whole_records(batch, found);
        if let Some(problem) = problem.filter(|_| here == bytes) {
            found(Found::Odd("kafka_records_incomplete", problem.to_owned()));
        }
        Step::Over(here)
    }

    /// The record at the front of a batch that is not held as a whole.
    fn record(&mut self, open: Open, rest: &[u8], found: &mut dyn FnMut(Found<'_>)) -> Step {
        let left = open.left;
        let rest = rest.get(..left.min(rest.len() as u64) as usize).unwrap_or_default();
        let Some((bytes, before)) = batch::record_bytes(rest).filter(|(bytes, _)| *bytes <= left) else {
            if (rest.len() as u64) < left.min(LENGTH_BYTES_MAX as u64) {
                self.open = Some(open);
                return Step::Wait(rest.len() as u64 + 1);
            }
            // A record that goes on behind the batch: where the batch is the last, it is cut.
            if left < self.left {
                found(Found::Odd("kafka_records_incomplete", "holds what is no record".to_owned()));
            }
            return Step::Over(left);
        };
        let here = bytes.min(HELD_BYTES_MAX);
        let Some(record) = rest.get(before..here as usize) else {
            self.open = Some(open);
            return Step::Wait(here);
        };
        match open.head.record(record, here == bytes) {
            Some(record) => {
                self.records += 1;
                found(Found::Record(&record));
            }
            None => found(Found::Odd("kafka_records_incomplete", "holds what is no record".to_owned())),
        }
        self.open = Some(open);
        Step::Over(bytes)
    }

    /// Hands on the whole records of a batch, or of the begin of one.
    fn whole_records(&mut self, batch: &[u8], found: &mut dyn FnMut(Found<'_>)) -> Option<&'static str> {
        let outcome = batch::records(batch, &mut |record| found(Found::Record(record)));
        self.records += outcome.records;
        outcome.problem
    }
}
