//! A packet socket with a ring (packet(7); Linux, Documentation/networking/packet_mmap.rst, TPACKET_V3).
//!
//! One socket serves one interface, some, or all: bound to one interface where there is one, to none and with
//! the interfaces in its filter where there are several. So memory does not grow with interfaces, and packets
//! come in the order of their time.

use super::block::{Packets, Place, last_ns};
use super::interfaces::{Interfaces, Numbers, Selection};
use super::links::{Found, links};
use super::sys::{Mapping, Poll, Ready, Socket};
use super::{CaptureError, Doing};
use crate::filter::{self, Expression, Scope};
use crate::limits;
use formats::pcapng::Target;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tracing::{debug, info, warn};

/// What a ring is to do.
#[derive(Debug, Clone)]
pub struct RingOptions {
    /// Where to listen.
    pub selection: Selection,
    /// Which packets to keep; none keeps all.
    pub filter: Option<Expression>,
    /// Most bytes to keep of a packet.
    pub snap_bytes: u32,
    /// Size of the ring [bytes].
    pub ring_bytes: usize,
    /// Whether to ask interfaces for frames that are not addressed to them.
    pub promiscuous: bool,
    /// Whether one of the named interfaces has to be there from the start.
    pub must_exist: bool,
}

/// What the kernel did with packets since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed the filter; those dropped are among them.
    pub passed_packets: u64,
    /// Passed the filter, and found the ring full.
    pub dropped_packets: u64,
    /// Refused by the filter.
    pub refused_packets: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed_packets += other.passed_packets;
        self.dropped_packets += other.dropped_packets;
        self.refused_packets += other.refused_packets;
    }
}

/// Packets the kernel dropped, and how many filled blocks stand before the place where they are missing.
#[derive(Debug, Clone, Copy, Default)]
struct Drops {
    packets: u64,
    behind_blocks: usize,
}

/// A block the kernel has filled.
#[derive(Debug, Clone, Copy)]
struct Filled {
    /// When we noticed.
    noticed: Instant,
    /// When its last packet was seen [ns since the Unix epoch].
    last_ns: u64,
    /// Packets in it.
    packets: u32,
}

/// An open ring.
#[derive(Debug)]
pub struct Ring {
    socket: Socket,
    /// Sees what the filter refuses, and keeps nothing of it but the count.
    refused: Option<Socket>,
    news: Socket,
    mapping: Mapping,
    next: usize,
    /// Blocks that are filled, from the next on, as far as we noticed.
    filled: VecDeque<Filled>,
    /// How far the next block was read; none if it was not begun.
    place: Option<Place>,
    options: RingOptions,
    listening_on: Vec<u32>,
    tally: Tally,
    drops: Drops,
    /// Packets taken from the ring since it was opened.
    taken_packets: u64,
    /// Packets the kernel put into the ring since it was opened, as far as it was asked.
    kept_packets: u64,
}

impl Ring {
    /// Opens a ring in the network namespace of the calling thread; from here on packets are kept. The ring stays
    /// in that namespace, whichever thread reads it.
    ///
    /// # Errors
    /// [`CaptureError::NotAllowed`] without the capability, [`CaptureError::NoInterface`] when none of the
    /// named is there and one must be (some is enough: others are waited for).
    pub fn open(options: RingOptions) -> Result<Self, CaptureError> {
        let news = Socket::link_news().doing("listen for news of interfaces")?;
        let there = links(&news).doing("ask which interfaces there are")?;
        let listening_on = indexes(&options.selection.named(&there));
        if let (Selection::Named(names), [], true) = (&options.selection, listening_on.as_slice(), options.must_exist) {
            let mut present: Vec<_> = there.into_iter().map(|link| link.name).collect();
            present.sort_unstable();
            return Err(CaptureError::NoInterface { wanted: names.join(" or "), present: present.join(", ") });
        }
        let socket = open_socket()?;
        socket
            .set(libc::SOL_PACKET, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as i32)
            .doing("choose the ring's version")?;
        let block_bytes = limits::block_bytes(options.ring_bytes);
        let blocks = (options.ring_bytes / block_bytes).max(limits::RING_BLOCKS_MIN);
        let request = ring_request(block_bytes, blocks);
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, request).doing("set up the ring")?;
        let mapping = socket.map_ring(block_bytes, blocks).doing("share the ring's memory")?;
        let refused = options.filter.is_some().then(open_counter).transpose()?;
        let mut ring = Self {
            socket,
            refused,
            news,
            mapping,
            next: 0,
            filled: VecDeque::with_capacity(blocks),
            place: None,
            options,
            listening_on: Vec::new(),
            tally: Tally::default(),
            drops: Drops::default(),
            taken_packets: 0,
            kept_packets: 0,
        };
        if ring.options.selection == Selection::Any || !listening_on.is_empty() {
            ring.listen(listening_on)?;
        }
        Ok(ring)
    }

    /// The numbers of its interfaces, which are those of `target`.
    pub fn numbers(&self, target: Arc<Target>, all: &mut Interfaces) -> Result<Numbers, CaptureError> {
        Ok(Numbers::new(target, self.there()?, &self.options.selection, all))
    }

    fn there(&self) -> Result<Vec<Found>, CaptureError> {
        links(&self.news).doing("ask which interfaces there are")
    }

    /// Has `poll` wait for packets under the name `token`, and for news of interfaces under the next.
    pub fn wait_in(&self, poll: &Poll, token: u64) -> Result<(), CaptureError> {
        // Blocks may lie in the ring for a while: only further ones are worth waking up for.
        poll.add(&self.socket, token, true).doing("wait for packets")?;
        poll.add(&self.news, token + 1, false).doing("wait for news of interfaces")
    }

    /// Looks which further blocks the kernel has filled.
    pub fn notice(&mut self, now: Instant) {
        let blocks = self.mapping.blocks();
        while self.filled.len() < blocks
            && let Some((header, _)) = self.mapping.block((self.next + self.filled.len()) % blocks)
        {
            let (last_ns, packets) = (last_ns(header), Place::first(header).left());
            self.filled.push_back(Filled { noticed: now, last_ns, packets });
        }
    }

    /// What part of it is filled with blocks that were noticed and not read to their end.
    pub fn fill(&self) -> f64 {
        self.filled.len() as f64 / self.mapping.blocks() as f64
    }

    /// Blocks noticed and not read to their end.
    pub fn filled_blocks(&self) -> usize {
        self.filled.len()
    }

    /// How many of those were noticed at `until` or before, or stand where half the ring is filled behind them, and when
    /// the last packet of these was seen: they have waited long enough.
    pub fn due_blocks(&self, until: Instant) -> (usize, u64) {
        let pressing = self.filled.len().saturating_sub(self.mapping.blocks() / 2);
        let waited = self.filled.iter().take_while(|block| block.noticed <= until).count();
        let due = pressing.max(waited);
        (due, self.filled.iter().take(due).map(|block| block.last_ns).max().unwrap_or(0))
    }

    /// When the first of the noticed blocks was noticed.
    pub fn waits_since(&self) -> Option<Instant> {
        self.filled.front().map(|block| block.noticed)
    }

    /// Whether the next block is still untouched.
    pub fn is_at_block(&self) -> bool {
        self.place.is_none()
    }

    /// When the next packet of the noticed blocks was seen [ns since the Unix epoch]; 0 where it cannot be read.
    pub fn next_ns(&self) -> Option<u64> {
        self.filled.front()?;
        Some(self.packets().and_then(|packets| packets.next_ns()).unwrap_or(0))
    }

    /// Whether packets were dropped before the first of the next block, since the kernel was last asked.
    pub fn next_follows_drops(&self) -> bool {
        self.mapping.flags(self.next) & libc::TP_STATUS_LOSING != 0
    }

    /// Begins the next block; how many packets the kernel dropped between the block before and this one.
    pub fn begin_block(&mut self) -> u64 {
        let here = self.next_follows_drops() || self.drops.behind_blocks == 0;
        let Some((header, _)) = self.mapping.block(self.next) else { return 0 };
        let place = Place::first(header);
        self.place = Some(place);
        self.taken_packets += u64::from(place.left());
        self.drops.behind_blocks = self.drops.behind_blocks.saturating_sub(1);
        if here { std::mem::take(&mut self.drops.packets) } else { 0 }
    }

    /// What is left of the next block; none if the kernel has not filled it.
    pub fn packets(&self) -> Option<Packets<'_>> {
        let (header, content) = self.mapping.block(self.next)?;
        Some(match self.place {
            Some(place) => Packets::from(place, content),
            None => Packets::new(header, content),
        })
    }

    /// Goes on behind the packets that were read.
    pub fn go_on(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Gives the block back to the kernel.
    pub fn end_block(&mut self) {
        self.place = None;
        self.filled.pop_front();
        self.mapping.release(self.next);
        self.next = (self.next + 1) % self.mapping.blocks();
    }

    /// Hears what is the matter with the ring's own socket.
    ///
    /// # Errors
    /// Only those that waiting again would not cure.
    pub fn hear(&self, ready: Ready) -> Result<(), CaptureError> {
        if ready.failed
            && let Some(error) = self.socket.take_error().doing("ask what is wrong with the socket")?
        {
            match error.raw_os_error() {
                // The interface went down. When it comes up again the kernel goes on by itself (packet(7)).
                Some(libc::ENETDOWN) => warn!(interfaces = %self.options.selection, "interface is down"),
                _ => return Err(CaptureError::System { action: "receive packets", source: error }),
            }
        }
        Ok(())
    }

    /// Hears the news of interfaces, listens on those that are chosen and there now, and has `numbers` know them.
    pub fn hear_news(&mut self, numbers: &mut Numbers) -> Result<(), CaptureError> {
        self.news.drain();
        let there = self.there()?;
        let present = indexes(&self.options.selection.named(&there));
        numbers.look_again(there);
        if self.options.selection == Selection::Any || present == self.listening_on {
            return Ok(());
        }
        info!(interfaces = %self.options.selection, was = ?self.listening_on, now = ?present, "interfaces changed");
        if present.is_empty() {
            self.listening_on = present; // Nothing to listen on until the next news.
            return Ok(());
        }
        self.listen(present)
    }

    /// What the kernel did with packets since this was last asked.
    pub fn tally(&mut self) -> Result<Tally, CaptureError> {
        self.ask()?;
        Ok(std::mem::take(&mut self.tally))
    }

    /// Lets no further packet in. What is in the ring can still be read: until [`Ring::left_packets`] are none.
    pub fn shut(&mut self) -> Result<(), CaptureError> {
        for socket in std::iter::once(&self.socket).chain(&self.refused) {
            socket.attach_filter(&filter::refuse_all()).doing("stop receiving packets")?;
        }
        Ok(())
    }

    /// Packets that the kernel put into the ring and that were not taken from it yet.
    pub fn left_packets(&mut self) -> Result<u64, CaptureError> {
        self.ask()?;
        Ok(self.kept_packets.saturating_sub(self.taken_packets))
    }

    /// Whether all packets that the kernel put into the ring and that were not taken lie in blocks that were noticed.
    pub fn is_settled(&mut self) -> Result<bool, CaptureError> {
        let begun = usize::from(self.place.is_some());
        let noticed: u64 = self.filled.iter().skip(begun).map(|block| u64::from(block.packets)).sum();
        Ok(self.left_packets()? <= noticed)
    }

    /// Asks the kernel for its counts, which it forgets in telling, and adds them to ours.
    ///
    /// What it dropped is missing before the first block it closed afterwards. Such a block says so, unless we
    /// asked while it was being filled: then it is the first that is not filled yet.
    fn ask(&mut self) -> Result<(), CaptureError> {
        // The one that is being read counts no more: it was begun before.
        let filled_blocks = self.count_filled() - usize::from(self.place.is_some());
        let (passed, dropped) = self.socket.packet_statistics().doing("ask for the ring's counts")?;
        self.tally.passed_packets += u64::from(passed);
        self.tally.dropped_packets += u64::from(dropped);
        self.kept_packets += u64::from(passed - dropped.min(passed));
        if dropped > 0 {
            self.drops = Drops { packets: self.drops.packets + u64::from(dropped), behind_blocks: filled_blocks };
        }
        if let Some(refused) = &self.refused {
            let (refused, _) = refused.packet_statistics().doing("ask for the filter's counts")?;
            self.tally.refused_packets += u64::from(refused);
        }
        Ok(())
    }

    fn count_filled(&self) -> usize {
        let blocks = self.mapping.blocks();
        let filled = |ahead: &usize| self.mapping.flags((self.next + ahead) % blocks) & libc::TP_STATUS_USER != 0;
        (0..blocks).take_while(filled).count()
    }

    fn listen(&mut self, on: Vec<u32>) -> Result<(), CaptureError> {
        let scope = match (&self.options.selection, on.as_slice()) {
            (Selection::Named(names), &[_]) if names.len() == 1 => Scope::Bound,
            (Selection::Named(_), on) => Scope::Among(on),
            (Selection::Any, _) => Scope::All,
        };
        let bind_to = if let (Scope::Bound, Some(&index)) = (&scope, on.first()) { index } else { 0 };
        let programs = filter::programs(self.options.filter.as_ref(), &scope, self.options.snap_bytes);
        self.socket.attach_filter(&programs.keep).doing("attach the filter")?;
        if let Some(refused) = &self.refused {
            refused.attach_filter(&programs.refuse).doing("attach the counting filter")?;
            bind(refused, bind_to)?;
        }
        bind(&self.socket, bind_to)?;
        if self.options.promiscuous {
            for &index in on.iter().filter(|index| !self.listening_on.contains(index)) {
                self.socket.listen_promiscuously(index).doing("make an interface promiscuous")?;
            }
        }
        self.listening_on = on;
        Ok(())
    }
}

/// Binds, again if need be: an interface can vanish between its news and this call, and more news follow.
fn bind(socket: &Socket, interface_index: u32) -> Result<(), CaptureError> {
    match socket.bind_packet(interface_index) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENETDOWN | libc::ENXIO)) => {
            debug!(interface_index, %error, "interface is not there");
            Ok(())
        }
        bound => bound.doing("listen on an interface"),
    }
}

fn open_socket() -> Result<Socket, CaptureError> {
    Socket::packet().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => CaptureError::NotAllowed(error),
        _ => CaptureError::System { action: "open a packet socket", source: error },
    })
}

/// A socket whose queue is full from the first packet on: the kernel counts, and copies nothing.
fn open_counter() -> Result<Socket, CaptureError> {
    let socket = open_socket()?;
    socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, 1i32).doing("make the counting queue small")?;
    Ok(socket)
}

fn indexes(links: &[&Found]) -> Vec<u32> {
    links.iter().map(|link| link.index).collect()
}

fn ring_request(block_bytes: usize, blocks: usize) -> libc::tpacket_req3 {
    // In version 3 the frame size only has to divide the block: packets lie as close as they fit.
    const FRAME_BYTES: usize = 2048;
    libc::tpacket_req3 {
        tp_block_size: block_bytes as u32,
        tp_block_nr: blocks as u32,
        tp_frame_size: FRAME_BYTES as u32,
        tp_frame_nr: (block_bytes / FRAME_BYTES * blocks) as u32,
        tp_retire_blk_tov: limits::BLOCK_RETIRE.as_millis() as u32,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    }
}
