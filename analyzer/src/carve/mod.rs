//! Packets of captures, picked by number and place, into one pcapng in order of time.
//!
//! Enters: captures, and which of their packets are wanted. Leaves: a pcapng with the bytes, times,
//! options and interfaces those had. Refused: nothing; a capture that fails in the middle gives what came before.

mod anywhere;
mod blocks;
mod record;

use crate::inputs::Capture;
use anyhow::bail;
use anywhere::{Anywhere, Opened};
use dissect::read::{CaptureReader, Frame, Heard, Interface, LinkType, Stretch};
use record::Format;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Interfaces are the same when they say the same of the same node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct From {
    interface: Interface,
    node: Option<String>,
}

/// Where the block of a packet waits.
struct Waiting {
    ts_ns: i64,
    at_byte: u64,
    bytes: u32,
}

/// A packet that is wanted, as the table `packets` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Where its record begins in the decompressed capture: later records lie behind.
    pub file_offset: u64,
    /// Its number.
    pub packet: u64,
    /// Capture time [ns].
    pub ts_ns: i64,
    /// Bytes kept.
    pub captured_bytes: u32,
    /// Bytes on the wire.
    pub wire_bytes: u32,
    /// Number of its interface.
    pub interface: u32,
}

/// Bytes between two wanted packets that are read rather than stepped over: a request of a store costs as much time as
/// a MiB, a read of a file as 64 KiB.
const GAP_BYTES: u64 = 256 << 10;

/// Bytes read at once.
const READ_BYTES_MAX: u64 = 8 << 20;

/// Separate places in one file past which reading it from its begin is quicker: each costs about 50 µs.
const PLACES_MAX: usize = 16 << 10;

/// The same in a store, where each is a request: 256 take about ten seconds.
const FAR_PLACES_MAX: usize = 256;

/// Packets gathered so far.
///
/// # Bounds
/// 24 bytes a packet; their bytes wait in an unnamed file.
pub struct Carver {
    spool: BufWriter<File>,
    spooled_bytes: u64,
    waiting: Vec<Waiting>,
    /// Those of the packets, with the numbers they will have.
    interfaces: HashMap<From, u32>,
}

impl Carver {
    /// Nothing yet; bytes will wait in `folder`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let spool = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?);
        Ok(Self { spool, spooled_bytes: 0, waiting: Vec::new(), interfaces: HashMap::new() })
    }

    /// Packets gathered.
    pub fn packets(&self) -> usize {
        self.waiting.len()
    }

    /// Takes in packets of a capture, which stand in order, from where they lie. `interfaces` are those of the capture.
    ///
    /// # Errors
    /// A capture that cannot be read or is another by now, or a disk that is full.
    pub fn take(
        &mut self,
        capture: &Capture,
        wanted: &[Wanted],
        interfaces: &[Interface],
        folder: &Path,
    ) -> anyhow::Result<()> {
        let runs: Vec<&[Wanted]> = runs(wanted).collect();
        let few = runs.len() <= if capture.path().is_some() { PLACES_MAX } else { FAR_PLACES_MAX };
        let described = wanted.iter().all(|packet| (packet.interface as usize) < interfaces.len());
        if !few || !described {
            return self.read_through(capture, capture.open(folder)?, wanted);
        }
        match Anywhere::open(capture, folder)? {
            Opened::Anywhere(mut bytes) => {
                let format = Format::of(&bytes.read(0, 4)?);
                runs.into_iter().try_for_each(|run| self.run(capture, run, interfaces, (&mut bytes, format)))
            }
            Opened::FromBegin(bytes) => self.read_through(capture, bytes, wanted),
        }
    }

    /// Takes in packets that lie near each other.
    fn run(
        &mut self,
        capture: &Capture,
        run: &[Wanted],
        interfaces: &[Interface],
        (anywhere, format): (&mut Anywhere, Format),
    ) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let bytes = last.file_offset - first.file_offset + record::likely_bytes(last);
        let near = anywhere.read(first.file_offset, bytes as usize)?;
        let mut stretch = Stretch::default();
        for packet in run {
            let rest = near.get((packet.file_offset - first.file_offset) as usize..).unwrap_or_default();
            let Some(record) = format.record(rest, packet) else {
                bail!("packet {} is not at byte {} any more: the capture changed", packet.packet, packet.file_offset)
            };
            stretch.bytes.clear();
            match rest.get(..record.bytes) {
                Some(whole) => stretch.bytes.extend_from_slice(whole),
                // Options can be long.
                None => stretch.bytes = anywhere.read(packet.file_offset, record.bytes)?,
            }
            let Some(interface) = interfaces.get(packet.interface as usize) else { continue };
            let frame = Frame {
                number: packet.packet,
                ts_ns: packet.ts_ns,
                at: record.data_at,
                captured_bytes: packet.captured_bytes,
                wire_bytes: packet.wire_bytes,
                link: interface.link.unwrap_or(LinkType(0)),
                interface: packet.interface,
                // Its options say it, and they are copied.
                heard: Heard::Unknown,
                file_offset: packet.file_offset,
            };
            self.packet(capture, &frame, Some(interface), &stretch)?;
        }
        Ok(())
    }

    /// Reads a capture from its begin to the last packet that is wanted.
    fn read_through(
        &mut self,
        capture: &Capture,
        bytes: Box<dyn Read + Send>,
        wanted: &[Wanted],
    ) -> anyhow::Result<()> {
        let mut reader = CaptureReader::new(&capture.name, bytes)?.without_digest();
        let mut stretch = Stretch::default();
        let mut numbers = wanted.iter().map(|wanted| wanted.packet).peekable();
        while numbers.peek().is_some() && reader.fill(&mut stretch) {
            for frame in &stretch.frames {
                if numbers.next_if_eq(&frame.number).is_some() {
                    let known = reader.summary().interfaces.get(frame.interface as usize);
                    self.packet(capture, frame, known, &stretch)?;
                }
            }
        }
        Ok(())
    }

    fn packet(
        &mut self,
        capture: &Capture,
        frame: &Frame,
        interface: Option<&Interface>,
        stretch: &Stretch,
    ) -> io::Result<()> {
        let interface = Interface { link: Some(frame.link), ..interface.cloned().unwrap_or_default() };
        let interface = self.interface(From { interface, node: capture.origin.node.clone() });
        let mut block = Vec::new();
        blocks::packet(&mut block, interface, frame, stretch);
        self.spool.write_all(&block)?;
        let at_byte = self.spooled_bytes;
        self.waiting.push(Waiting { ts_ns: frame.ts_ns, at_byte, bytes: block.len() as u32 });
        self.spooled_bytes += block.len() as u64;
        Ok(())
    }

    fn interface(&mut self, from: From) -> u32 {
        let next = self.interfaces.len() as u32;
        *self.interfaces.entry(from).or_insert(next)
    }

    /// Writes the capture.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        // Equal times stay in the order they were taken in.
        self.waiting.sort_by_key(|waiting| waiting.ts_ns);
        let mut block = Vec::new();
        blocks::section(&mut block);
        let mut interfaces: Vec<(From, u32)> = self.interfaces.drain().collect();
        interfaces.sort_unstable_by_key(|(_, number)| *number);
        interfaces.iter().for_each(|(from, _)| blocks::interface(&mut block, &from.interface, from.node.as_deref()));
        out.write_all(&block)?;
        let mut spool = BufReader::with_capacity(1 << 20, self.spool.into_inner().map_err(|error| error.into_error())?);
        spool.rewind()?;
        let mut at_byte = 0_i64;
        for waiting in &self.waiting {
            spool.seek_relative(waiting.at_byte as i64 - at_byte)?;
            block.resize(waiting.bytes as usize, 0);
            spool.read_exact(&mut block)?;
            out.write_all(&block)?;
            at_byte = waiting.at_byte as i64 + i64::from(waiting.bytes);
        }
        out.flush()
    }
}

/// Packets that lie so near each other that they are read at once.
fn runs(wanted: &[Wanted]) -> impl Iterator<Item = &[Wanted]> {
    let mut begin = wanted.first().map_or(0, |first| first.file_offset);
    wanted.chunk_by(move |before, next| {
        let end = before.file_offset + record::likely_bytes(before);
        let near = next.file_offset.saturating_sub(end) <= GAP_BYTES && next.file_offset - begin < READ_BYTES_MAX;
        if !near {
            begin = next.file_offset;
        }
        near
    })
}
