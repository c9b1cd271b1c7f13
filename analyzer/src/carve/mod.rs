//! Packets of captures, picked by number, into one pcapng in order of time.
//!
//! Enters: captures, and the numbers of their packets that are wanted. Leaves: a pcapng with the bytes, times,
//! options and interfaces those had. Refused: nothing; a capture that fails in the middle gives what came before.

mod blocks;

use crate::inputs::Capture;
use dissect::read::{CaptureReader, Interface, Stretch};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Interfaces are the same when they say the same of the same node.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Packets gathered so far.
///
/// # Bounds
/// 24 bytes a packet; their bytes wait in an unnamed file.
pub struct Carver {
    spool: BufWriter<File>,
    spooled_bytes: u64,
    waiting: Vec<Waiting>,
    interfaces: Vec<From>,
}

impl Carver {
    /// Nothing yet; bytes will wait in `folder`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let spool = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?);
        Ok(Self { spool, spooled_bytes: 0, waiting: Vec::new(), interfaces: Vec::new() })
    }

    /// Packets gathered.
    pub fn packets(&self) -> usize {
        self.waiting.len()
    }

    /// Takes in the packets of a capture with these numbers, which stand in order.
    ///
    /// # Errors
    /// A capture that cannot be read, or a disk that is full.
    pub fn take(&mut self, capture: &Capture, numbers: &[u64], folder: &Path) -> anyhow::Result<()> {
        let mut reader = CaptureReader::new(&capture.name, capture.open(folder)?)?;
        let (mut stretch, mut block) = (Stretch::default(), Vec::new());
        let mut numbers = numbers.iter().copied().peekable();
        while numbers.peek().is_some() && reader.fill(&mut stretch)? {
            for frame in &stretch.frames {
                if numbers.next_if_eq(&frame.number).is_none() {
                    continue;
                }
                let known = reader.summary().interfaces.get(frame.interface as usize).cloned();
                let interface = Interface { link: Some(frame.link), ..known.unwrap_or_default() };
                let interface = self.interface(From { interface, node: capture.origin.node.clone() });
                block.clear();
                blocks::packet(&mut block, interface, frame, &stretch);
                self.spool.write_all(&block)?;
                let at_byte = self.spooled_bytes;
                self.waiting.push(Waiting { ts_ns: frame.ts_ns, at_byte, bytes: block.len() as u32 });
                self.spooled_bytes += block.len() as u64;
            }
        }
        Ok(())
    }

    fn interface(&mut self, from: From) -> u32 {
        let at = self.interfaces.iter().position(|known| *known == from).unwrap_or_else(|| {
            self.interfaces.push(from);
            self.interfaces.len() - 1
        });
        at as u32
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
        self.interfaces.iter().for_each(|from| blocks::interface(&mut block, &from.interface, from.node.as_deref()));
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
