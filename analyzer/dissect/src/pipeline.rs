//! The wiring, on one screen: captures in, Parquet out.
//!
//!     read + decode ──packets──▶ shards (flow, stream, protocols) ──rows──▶ table
//!
//! Three stretches are under way at once: one is read, one dissected, one written. Shards share nothing, are
//! as many on every machine, and are asked in order: any number of threads gives the same files.

use crate::decode::{Decoder, Found, Packet, Piece};
use crate::limits;
use crate::plan::{CaptureReport, Input, Plan, Progress, Report, Unit};
use crate::read::{CaptureReader, Frame, ReadError, Stretch, Summary};
use crate::shard::{Shard, Turn, shard_of};
use crate::table::{CaptureFacts, Lot, PacketRow, Rows, TableError, Topics, Writer, captures, coverage, first_rank};
use crate::tally::{Stage, Tally};
use formats::hash::hex;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a unit could not be dissected. Damage of a capture is none: it is counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DissectError {
    /// The rows could not be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Threads could not be started.
    #[error("worker threads could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// A stretch, decoded and dealt out.
#[derive(Default)]
struct Batch {
    stretch: Stretch,
    packets: Vec<Packet>,
    /// Indices into `packets`, by shard.
    dealt: Vec<Vec<u32>>,
    /// How far each shard came with them.
    turns: Vec<Turn>,
    found: Vec<Found>,
    /// Numbers of frames that wait for others, and frames that waited in vain.
    waiting: Vec<u64>,
    lost: Vec<Piece>,
    full: bool,
}

/// Dissects a unit into the dataset of the plan.
///
/// # Bounds
/// Memory is independent of the capture's length: see [`limits`].
/// # Errors
/// What the disk says. Inputs that cannot be read are in the report, and the others are read all the same.
pub fn dissect(unit: Unit, plan: &Plan, progress: &dyn Progress) -> Result<Report, DissectError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build()?;
    pool.install(|| Run::new(&unit, plan).all(unit, plan, progress))
}

/// A unit under way.
struct Run {
    decoder: Decoder,
    shards: Vec<Shard>,
    /// The rows each thread made, and after them those of frames that are in no flow.
    rows: Vec<Mutex<Rows>>,
    writer: Writer,
    facts: Vec<CaptureFacts>,
    tallies: Vec<Tally>,
    /// What topics are called whose ids rows have.
    topics: Topics,
}

impl Run {
    fn new(unit: &Unit, plan: &Plan) -> Self {
        let origin = unit.inputs.first().map(|input| input.origin.clone()).unwrap_or_default();
        let writer = Writer::new(&plan.out, origin.node.as_deref());
        let shards = (0..limits::SHARDS).map(|number| Shard::new(number, plan)).collect();
        let mut rows = Vec::new();
        rows.resize_with(rayon::current_num_threads() + 1, || Mutex::new(Rows::new(plan, &origin)));
        if let Some(frames) = rows.last_mut() {
            of(frames).rank = first_rank(limits::SHARDS);
        }
        Self {
            decoder: Decoder::default(),
            shards,
            rows,
            writer,
            facts: Vec::new(),
            tallies: Vec::new(),
            topics: Topics::default(),
        }
    }

    fn all(mut self, unit: Unit, plan: &Plan, progress: &dyn Progress) -> Result<Report, DissectError> {
        let mut report = Report::default();
        for input in unit.inputs {
            if let Err(error) = self.capture(input, plan, progress)? {
                report.refused.push(error);
            }
        }
        let mut last = Batch::default();
        last.end(&mut self.decoder);
        while !last.is_over() {
            last.dissect(&mut self.shards, &mut self.rows, plan);
            let lots = self.take_rows(false);
            self.writer.write(lots)?;
        }
        let mut all = false;
        while !all {
            all = self.finish();
            let lots = self.take_rows(all);
            self.writer.write(lots)?;
        }
        self.end_of_tally(true);
        self.facts(plan, &mut report)?;
        Ok(report)
    }

    /// Has the conversations of all shards become rows, or as many as may be held. Says whether these were all.
    fn finish(&mut self) -> bool {
        let rows = &self.rows;
        let shards = self.shards.par_iter_mut().with_max_len(1);
        shards.map(|shard| shard.finish(&mut mine(rows))).reduce(|| true, |one, other| one && other)
    }

    /// Reads one input to its end or its damage.
    fn capture(
        &mut self,
        input: Input,
        plan: &Plan,
        progress: &dyn Progress,
    ) -> Result<Result<(), ReadError>, DissectError> {
        let (name, origin) = (input.name.clone(), input.origin.clone());
        let opened = open(input, plan.digests);
        let unread = opened.as_ref().err().map(ToString::to_string);
        // Of what cannot be read its seal may speak all the same.
        if unread.is_none() || !origin.not_kept.is_empty() {
            self.end_of_tally(false);
            self.facts.push(CaptureFacts { name, origin, summary: Summary::default(), unread });
            self.tallies.push(Tally::default());
        }
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let index = self.facts.len() as u32 - 1;
        self.decoder.begin_capture(index);
        self.shards.iter_mut().for_each(|shard| shard.begin_capture(index));
        self.rows.iter_mut().for_each(|rows| of(rows).begin_capture(reader.name()));
        let mut said_bytes = 0;
        let (mut current, mut next, mut lots) = (Batch::default(), Batch::default(), Vec::new());
        next.read(&mut reader, &mut self.decoder);
        while next.full {
            std::mem::swap(&mut current, &mut next);
            next.clear();
            // Mostly once: a stretch that unfolds to more rows than may be held is dissected in pieces.
            while !current.is_over() {
                let (shards, rows, decoder, writer, reader) =
                    (&mut self.shards, &mut self.rows, &mut self.decoder, &mut self.writer, &mut reader);
                let mut read = || {
                    if !next.is_filled() {
                        next.read(reader, decoder);
                    }
                };
                let (_, (_, written)) = rayon::join(
                    || current.dissect(shards, rows, plan),
                    || rayon::join(&mut read, || writer.write(std::mem::take(&mut lots))),
                );
                written?;
                lots = self.take_rows(false);
            }
            progress.read_bytes(reader.stored_bytes() - said_bytes);
            said_bytes = reader.stored_bytes();
        }
        self.writer.write(lots)?;
        if let Some((facts, tally)) = self.facts.last_mut().zip(self.tallies.last_mut()) {
            facts.summary = reader.summary().clone();
            tally.absorb(&facts.summary.tally);
        }
        Ok(Ok(()))
    }

    /// The rows of all threads, once they are worth writing.
    fn take_rows(&mut self, all: bool) -> Vec<Lot> {
        let (rows, bytes) = self
            .rows
            .iter_mut()
            .map(of)
            .fold((0, 0), |(rows, bytes), of_thread| (rows + of_thread.len(), bytes + of_thread.bytes()));
        if !all && rows < limits::ROWS_PER_PASS_MAX && bytes < limits::ROW_BYTES_PER_PASS_MAX {
            return Vec::new();
        }
        let topics = &mut self.topics;
        self.rows.iter_mut().for_each(|rows| topics.absorb(&mut of(rows).topics));
        let mut lots: Vec<_> = self.rows.iter_mut().flat_map(|rows| of(rows).take()).collect();
        self.topics.name(&mut lots);
        lots
    }

    /// Closes the tally of the latest capture: what waits for the next one is said so, on both sides.
    fn end_of_tally(&mut self, last: bool) {
        let several = self.tallies.len() > 1;
        let Some((tally, facts)) = self.tallies.last_mut().zip(self.facts.last()) else { return };
        tally.absorb(&self.decoder.take_tally());
        self.shards.iter_mut().for_each(|shard| tally.absorb(&std::mem::take(&mut shard.tally)));
        let total = tally.total();
        debug_assert!(
            !last
                || several
                || (total.packets, total.bytes) == (facts.summary.packets as i64, facts.summary.covered_bytes()),
            "coverage balances"
        );
    }

    fn facts(mut self, plan: &Plan, report: &mut Report) -> Result<(), DissectError> {
        self.balance();
        for facts in self.facts.iter().filter(|facts| facts.unread.is_none()) {
            let Summary { packets, bytes, damage, interfaces, .. } = facts.summary.clone();
            report.captures.push(CaptureReport { capture: facts.name.clone(), packets, bytes, interfaces, damage });
        }
        if plan.tables.contains("captures") && !self.facts.is_empty() {
            let redaction = plan.redaction.as_ref().map(|redaction| redaction.label());
            self.writer.write(vec![captures(&self.facts, redaction)?])?;
        }
        if plan.tables.contains("coverage") && !self.facts.is_empty() {
            let tallies: Vec<_> = self.facts.iter().zip(self.tallies).collect();
            self.writer.write(vec![coverage(&tallies)?])?;
        }
        let Some(first) = self.facts.first() else { return Ok(()) };
        let mut name = first.name.clone();
        if plan.digests {
            let mut content = Sha256::new();
            self.facts.iter().filter_map(|facts| facts.summary.sha256).for_each(|digest| content.update(digest));
            let digest = hex(&content.finalize());
            name.extend(["-", digest.get(..12).unwrap_or_default()]);
        }
        let finished = self.writer.finish(&name)?;
        (report.rows, report.files) = (finished.rows, finished.files);
        Ok(())
    }

    /// Bytes of one capture that waited for the next are counted there: moved back, so that each capture's sums hold.
    fn balance(&mut self) {
        for at in 0..self.tallies.len().saturating_sub(1) {
            let (read, counted) = (self.facts[at].summary.covered_bytes(), self.tallies[at].total().bytes);
            self.tallies[at].shift(Stage::Stream, "went on in the next capture", read - counted);
            self.tallies[at + 1].shift(Stage::Stream, "came from the capture before", counted - read);
        }
    }
}

fn open(input: Input, digests: bool) -> Result<CaptureReader, ReadError> {
    let source = (input.open)().map_err(|error| ReadError::Io { name: input.name.clone(), error })?;
    let reader = CaptureReader::new(&input.name, source)?;
    Ok(if digests { reader } else { reader.without_digest() })
}

/// The rows of the thread this runs on. A shard has its turn on one thread from begin to end, and no other thread
/// waits for these.
fn mine(rows: &[Mutex<Rows>]) -> MutexGuard<'_, Rows> {
    let thread = rayon::current_thread_index().unwrap_or_default();
    rows[thread].lock().unwrap_or_else(PoisonError::into_inner)
}

fn of(rows: &mut Mutex<Rows>) -> &mut Rows {
    rows.get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl Batch {
    /// Forgets what it held.
    fn clear(&mut self) {
        self.turns.clear();
    }

    /// Whether it was read.
    fn is_filled(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Whether every shard took in its packets.
    fn is_over(&self) -> bool {
        self.turns.iter().all(|turn| turn.over)
    }

    /// Reads and decodes the next stretch.
    fn read(&mut self, reader: &mut CaptureReader, decoder: &mut Decoder) {
        self.packets.clear();
        self.full = reader.fill(&mut self.stretch);
        if self.full {
            decoder.decode(&mut self.stretch, &mut self.packets);
        }
        self.deal(decoder);
    }

    /// Takes what is left of datagrams whose fragments did not all come.
    fn end(&mut self, decoder: &mut Decoder) {
        decoder.end(&mut self.stretch, &mut self.packets);
        self.deal(decoder);
    }

    fn deal(&mut self, decoder: &mut Decoder) {
        (self.found, self.waiting, self.lost) = (decoder.take_found(), decoder.take_waiting(), decoder.take_lost());
        self.turns.clear();
        self.turns.resize_with(limits::SHARDS, Turn::default);
        self.dealt.resize_with(limits::SHARDS, Vec::new);
        self.dealt.iter_mut().for_each(Vec::clear);
        for (at, packet) in self.packets.iter().enumerate() {
            self.dealt[shard_of(&packet.key)].push(at as u32);
        }
    }

    /// Has every shard take in its packets, or as many of them as make the rows that may be held.
    fn dissect(&mut self, shards: &mut [Shard], rows: &mut [Mutex<Rows>], plan: &Plan) {
        let with_packets = plan.tables.contains("packets");
        let frames = if with_packets { self.frames() } else { Vec::new() };
        let of_threads = &*rows;
        // One shard may have most of the packets: it is begun first, and the others fill up the other threads.
        let shards = shards.iter_mut().zip(&self.dealt).zip(&mut self.turns);
        let mut turns: Vec<_> = shards.filter(|(_, turn)| !turn.over).collect();
        turns.sort_by_key(|((_, dealt), turn)| Reverse(dealt.len() - turn.packets));
        turns.into_iter().par_bridge().for_each(|((shard, dealt), turn)| {
            let packets = dealt.iter().skip(turn.packets).filter_map(|&at| {
                let frame = frames
                    .get(at as usize)
                    .copied()
                    .flatten()
                    .and_then(|frame: u32| self.stretch.frames.get(frame as usize));
                self.packets.get(at as usize).map(|packet| (packet, frame))
            });
            shard.process(&self.stretch, packets, turn, &mut mine(of_threads));
        });
        let Some(rows) = rows.last_mut().map(of).filter(|_| self.turns.iter().all(|turn| turn.over)) else { return };
        self.found.iter().for_each(|found| rows.found(found));
        if with_packets {
            let mut in_flow = vec![false; self.stretch.frames.len()];
            frames.iter().flatten().for_each(|&frame| in_flow[frame as usize] = true);
            let others = self
                .stretch
                .frames
                .iter()
                .zip(in_flow)
                .filter(|(frame, in_flow)| !in_flow && !self.waits(frame.number));
            for (frame, _) in others {
                rows.packet(&PacketRow { frame, packet: None, capture: None });
            }
            for piece in &self.lost {
                rows.packet(&PacketRow { frame: &piece.frame, packet: None, capture: Some(piece.capture) });
            }
        }
    }

    /// Whether a frame waits for others, with which it has its row.
    fn waits(&self, frame: u64) -> bool {
        self.waiting.binary_search(&frame).is_ok()
    }

    /// For each packet the frame it stands for in `packets`: the innermost packet of each frame. Frames that waited for others
    /// have packets of their own, which say what is known of them.
    fn frames(&self) -> Vec<Option<u32>> {
        let frames = &self.stretch.frames;
        let first = frames.first().map_or(u64::MAX, |frame| frame.number);
        let next = self.packets.iter().skip(1).map(|packet| packet.piece_of.map_or(packet.number, |_| 0)).chain([0]);
        let frame = |(packet, next): (&Packet, u64)| {
            let at = packet.number.checked_sub(first)?;
            let is_here = |frame: &Frame| (frame.file_offset, frame.ts_ns) == (packet.file_offset, packet.ts_ns);
            (next != packet.number
                && packet.piece_of.is_none()
                && !self.waits(packet.number)
                && frames.get(at as usize).is_some_and(is_here))
            .then_some(at as u32)
        };
        self.packets.iter().zip(next).map(frame).collect()
    }
}

#[cfg(test)]
mod tests;
