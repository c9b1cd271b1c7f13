//! One capture, a stretch at a time.

use super::erf::{self, Content};
use super::error::ReadError;
use super::pcap::{self, Header};
use super::pcapng::{self, Block, INTERFACES_MAX, Section};
use super::record::{Packet, Step};
use super::snoop;
use super::source::Source;
use super::take::read_full;
use super::{Frame, Interface, LinkType, Points, Stretch, Summary};
use crate::limits::{BLOCK_BYTES_MAX, POINTS_MAX, STRETCH_BYTES};
use formats::bytes::Short;
use formats::pcapng::read::{self, NotWhole};
use formats::pcapng::{Point, kind};
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a stretch that are there before anything came.
const FIRST_BYTES: usize = 64 << 10;

/// Last bytes of damage that are looked at again with what follows: whole words, and a record may begin in them.
const KEPT_BYTES: usize = 64;

const ENDS_WITHIN: &str = "the input ends within it";

enum Format {
    Pcap(Header),
    Pcapng(Section),
    Snoop(snoop::Header),
    Erf,
}

/// A block without packets that is longer than a stretch: stepped over as it comes.
struct Long {
    kind: u32,
    /// How long it would be.
    bytes: u32,
    /// Where it begins in the decompressed capture.
    at_byte: u64,
    /// Bytes of it stepped over so far.
    done_bytes: u64,
}

/// Reads one capture.
pub struct CaptureReader {
    name: String,
    source: Source,
    format: Format,
    /// Bytes read and not parsed yet: the begin of a record whose rest follows.
    carry: Vec<u8>,
    /// Where `carry` stands in the decompressed capture.
    offset: u64,
    /// The block that is being stepped over.
    long: Option<Long>,
    at_end: bool,
    last_ns: Option<i64>,
    summary: Summary,
    points: Points,
}

impl CaptureReader {
    /// Opens a capture and reads its header.
    ///
    /// # Errors
    /// What is empty, cut within its header, or no capture.
    pub fn new(name: &str, input: Box<dyn Read + Send>) -> Result<Self, ReadError> {
        let name = name.to_owned();
        let failed = |error| ReadError::Io { name: name.clone(), error };
        let mut source = Source::new(input).map_err(failed)?;
        let mut front = vec![0; pcap::HEADER_BYTES];
        let got = read_full(&mut source, &mut front).map_err(failed)?;
        front.truncate(got);
        let mut summary = Summary::default();
        let magic = front.iter().take(4).fold(0, |magic, &byte| magic << 8 | u32::from(byte));
        let (format, carry, offset) = if let Some(header) = Header::parse(&front) {
            summary.interfaces.push(Interface { link: Some(header.link), ..Interface::default() });
            (Format::Pcap(header), Vec::new(), pcap::HEADER_BYTES as u64)
        } else if pcapng::is_pcapng(&front) {
            (Format::Pcapng(Section::default()), front, 0)
        } else if let Some((header, header_bytes)) = snoop::Header::parse(&front) {
            summary.interfaces.push(Interface { link: Some(header.link), ..Interface::default() });
            (Format::Snoop(header), front.split_off(header_bytes), header_bytes as u64)
        } else if got == 0 {
            return Err(ReadError::Empty { name });
        } else if got < pcap::HEADER_BYTES {
            return Err(ReadError::ShortHeader { name, bytes: got });
        } else {
            // No format that says what it is: its first records tell, as far as they can be read.
            let _ = source.by_ref().take((FIRST_BYTES - got) as u64).read_to_end(&mut front);
            if !erf::is_erf(&front) {
                return Err(ReadError::UnknownMagic { name, magic });
            }
            (Format::Erf, front, 0)
        };
        Ok(Self {
            name,
            source,
            format,
            carry,
            offset,
            long: None,
            at_end: false,
            last_ns: None,
            summary,
            points: Points::default(),
        })
    }

    /// Makes no digest of the input: to hash it is half of what it costs to find a few packets.
    pub fn without_digest(mut self) -> Self {
        self.source = self.source.without_digest();
        self
    }

    /// What is known of the capture so far; all of it once [`Self::fill`] returned false.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Bytes of the input as stored that were read so far.
    pub fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the next stretch; false when nothing is left.
    ///
    /// Stretches end at the same bytes however the input is read, so that what follows is the same too. An input that
    /// fails in the middle is damage, and what was read stays valid.
    pub fn fill(&mut self, stretch: &mut Stretch) -> bool {
        stretch.frames.clear();
        if self.at_end && self.carry.is_empty() {
            stretch.bytes.clear();
            return false;
        }
        self.read_more(&mut stretch.bytes);
        let parsed = self.parse(stretch);
        stretch.points = self.points();
        self.carry.extend_from_slice(stretch.bytes.get(parsed..).unwrap_or_default());
        self.offset += parsed as u64;
        if self.at_end {
            self.carry.clear();
            self.summary.sha256 = self.source.sha256();
        }
        true
    }

    /// The points of all interfaces described so far.
    fn points(&mut self) -> Points {
        let known = self.points.0.len();
        let there = self.summary.interfaces.len().min(POINTS_MAX);
        if known < there {
            let new = self.summary.interfaces.iter().take(there).skip(known);
            let descriptions = new.map(|interface| &interface.description);
            let points = descriptions.map(|text| Point::from_description(text.as_deref()?).map(Arc::new));
            Arc::make_mut(&mut self.points.0).extend(points);
        }
        self.points.clone()
    }

    /// Fills a stretch up to its bound or the end of the input: it grows with what comes, for most captures are small.
    fn read_more(&mut self, bytes: &mut Vec<u8>) {
        // What the stretch held before is written over: clearing it would cost a pass over memory.
        let mut filled = self.carry.len();
        // What did not end within the stretch before may be longer than one.
        let bytes_max = (2 * filled).clamp(STRETCH_BYTES, BLOCK_BYTES_MAX);
        bytes.resize(bytes.len().max(filled), 0);
        if let Some(front) = bytes.get_mut(..filled) {
            front.copy_from_slice(&self.carry);
        }
        self.carry.clear();
        while filled < bytes_max {
            if bytes.len() == filled {
                bytes.resize((filled * 2).clamp(FIRST_BYTES, bytes_max), 0);
            }
            // The stretch before may have been a longer one.
            let end = bytes.len().min(bytes_max);
            match self.source.read(bytes.get_mut(filled..end).unwrap_or_default()) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A cut or broken compressed file gives what came before the break.
                    self.at_end = true;
                    let (at_byte, rest_bytes) = (self.offset + filled as u64, self.source.rest_bytes());
                    self.summary.damaged("input_broken", at_byte, rest_bytes, error.to_string());
                    break;
                }
            }
        }
        bytes.truncate(filled);
    }

    /// Lists the frames of a stretch; returns how many bytes are done with.
    fn parse(&mut self, stretch: &mut Stretch) -> usize {
        let mut at = 0;
        loop {
            let rest = stretch.bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return at;
            }
            if let Some(long) = self.long.take() {
                at += self.step_over(long, rest);
                if self.long.is_some() {
                    return at;
                }
                continue;
            }
            let timeless = self.summary.first_ns.is_none();
            match self.step(rest, at) {
                Step::Whole((frame, length)) => {
                    if let Some(frame) = frame {
                        if timeless && self.summary.first_ns.is_some() {
                            // Packets without a time stand in front of it.
                            stretch.frames.iter_mut().for_each(|before| before.ts_ns = frame.ts_ns);
                        }
                        stretch.frames.push(frame);
                    }
                    at += length;
                }
                Step::Short if self.at_end => at += self.lost(rest, at, "record_cut", ENDS_WITHIN.into()),
                Step::Short if at > 0 || rest.len() < BLOCK_BYTES_MAX => return at,
                Step::Short => at += self.lost(rest, at, "record_too_long", String::new()),
                Step::Bad(kind, detail) => at += self.lost(rest, at, kind, detail),
            }
        }
    }

    /// Steps over a long block, as far as it is there. There is no way back from where it would end: its length is believed
    /// until other blocks stand within it, and where it is repeated behind.
    fn step_over(&mut self, mut long: Long, rest: &[u8]) -> usize {
        let Format::Pcapng(section) = &self.format else { return 0 };
        let left = (u64::from(long.bytes) - long.done_bytes).min(usize::MAX as u64) as usize;
        let there = rest.get(..left).unwrap_or(rest);
        let (step, wrong) = if let Some(next) = section.resync_within(there) {
            (next, Some(("record_too_long", "other blocks stand within")))
        } else if there.len() == left {
            let is_repeated = section.is_length(there.get(left - 4..).unwrap_or_default(), long.bytes);
            (left, (!is_repeated).then_some(("block_bad", "it ends with another length")))
        } else if self.at_end {
            (there.len(), Some(("record_cut", ENDS_WITHIN)))
        } else {
            let step = there.len().saturating_sub(KEPT_BYTES) & !3;
            long.done_bytes += step as u64;
            self.long = Some(long);
            return step;
        };
        if let Some((kind, why)) = wrong {
            let detail = format!("block of type {:#x} claims {} bytes: {why}", long.kind, long.bytes);
            self.summary.damaged(kind, long.at_byte, long.done_bytes + step as u64, detail);
        }
        step
    }

    /// Steps over damage to the next record that can be believed.
    fn lost(&mut self, rest: &[u8], at: usize, kind: &'static str, detail: String) -> usize {
        let next = match &self.format {
            Format::Pcap(header) => header.resync(rest, self.last_ns),
            Format::Pcapng(section) => section.resync(rest),
            Format::Snoop(header) => header.resync(rest, self.last_ns),
            Format::Erf => erf::resync_to(rest, self.last_ns),
        };
        // Nothing here: keep the last bytes, which may begin a record, unless nothing follows.
        let keep = if self.at_end { 0 } else { rest.len().min(KEPT_BYTES) & !3 };
        let lost = next.unwrap_or((rest.len() - keep).max(4).min(rest.len()));
        self.summary.damaged(kind, self.offset + at as u64, lost as u64, detail);
        lost
    }

    /// What stands at the front of `rest`, which is at `at` in the stretch: its frame, where it has one, and its length.
    fn step(&mut self, rest: &[u8], at: usize) -> Step<(Option<Frame>, usize)> {
        match &mut self.format {
            Format::Pcap(header) => {
                let link = header.link;
                header.content(rest).map(|content| self.pcap(content, link, at))
            }
            Format::Snoop(header) => {
                let link = header.link;
                header.record(rest).map(|(record, drops)| {
                    self.summary.dropped = self.summary.dropped.max((drops > 0).then_some(drops.into()));
                    (Some(self.frame(record.packet(link), at)), record.bytes)
                })
            }
            Format::Erf => erf::record(rest).map(|content| self.erf(content, at)),
            Format::Pcapng(section) => match section.frame(rest) {
                Ok(whole) => {
                    let found = section.block(&whole, &mut self.summary);
                    Step::Whole(self.block(&whole, found, at))
                }
                Err(NotWhole::Partly { kind, bytes }) if bytes as usize > BLOCK_BYTES_MAX => {
                    if !self.at_end && pcapng::is_passed_by(kind) {
                        self.long = Some(Long { kind, bytes, at_byte: self.offset + at as u64, done_bytes: 0 });
                        Step::Whole((None, 0))
                    } else {
                        Step::Bad("record_too_long", format!("claims {bytes} bytes"))
                    }
                }
                Err(NotWhole::Short | NotWhole::Partly { .. }) => Step::Short,
                Err(bad) => Step::Bad("block_bad", bad.to_string()),
            },
        }
    }

    /// A record of frames of that link, or the header of a further file, whose times may be far from those before.
    fn pcap(&mut self, content: pcap::Content, link: LinkType, at: usize) -> (Option<Frame>, usize) {
        match content {
            pcap::Content::Header(header) => {
                if header.link != link && self.summary.interfaces.len() < INTERFACES_MAX {
                    self.summary.interfaces.push(Interface { link: Some(header.link), ..Interface::default() });
                }
                self.format = Format::Pcap(header);
                self.last_ns = None;
                (None, pcap::HEADER_BYTES)
            }
            pcap::Content::Record(record) => {
                let interface = self.summary.interfaces.len().saturating_sub(1) as u32;
                (Some(self.frame(Packet { interface, ..record.packet(link) }, at)), record.bytes)
            }
        }
    }

    fn erf(&mut self, content: Content, at: usize) -> (Option<Frame>, usize) {
        match content {
            Content::Packet { record, link, interface, lost } => {
                let missing = (interface as usize + 1).saturating_sub(self.summary.interfaces.len());
                let new = Interface { link: Some(link), ..Interface::default() };
                self.summary.interfaces.extend(std::iter::repeat_n(new, missing));
                if lost > 0 {
                    *self.summary.dropped.get_or_insert(0) += u64::from(lost);
                }
                (Some(self.frame(Packet { interface, ..record.packet(link) }, at)), record.bytes)
            }
            Content::Other(bytes) => (None, bytes),
        }
    }

    /// What a whole block holds. Where that cannot be read, its length still says where the next one begins.
    fn block(&mut self, block: &read::Block<'_>, found: Result<Block, Short>, at: usize) -> (Option<Frame>, usize) {
        let length = block.bytes.len();
        let wrong = match found {
            Ok(Block::Packet(packet)) => return (Some(self.frame(packet, at)), length),
            Ok(Block::Other) => return (None, length),
            Ok(Block::Unknown) if kind::has_packet(block.kind) => "packet of an interface nobody described".into(),
            Ok(Block::Unknown) => {
                self.summary.unknown(length as u64);
                return (None, length);
            }
            Err(short) => format!("block of type {:#x} is shorter than its content: {short}", block.kind),
        };
        self.summary.damaged("block_bad", self.offset + at as u64, length as u64, wrong);
        (None, length)
    }

    /// The frame of a packet whose record or block begins at `at` in the stretch.
    fn frame(&mut self, packet: Packet, at: usize) -> Frame {
        self.summary.frame(packet.ts_ns, packet.captured_bytes);
        self.last_ns = packet.ts_ns.or(self.last_ns);
        Frame {
            number: self.summary.packets,
            ts_ns: self.last_ns.unwrap_or_default(),
            at: (at + packet.at) as u32,
            captured_bytes: packet.captured_bytes,
            wire_bytes: packet.wire_bytes,
            link: packet.link,
            interface: packet.interface,
            heard: packet.heard,
            file_offset: self.offset + at as u64,
        }
    }
}
