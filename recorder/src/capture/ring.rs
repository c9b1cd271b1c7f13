//! A packet socket with a ring (packet(7); Linux, Documentation/networking/packet_mmap.rst, TPACKET_V3).
//!
//! One socket serves one interface, some, or all: bound to one interface where there is one, to none and with
//! the interfaces in its filter where there are several. So memory does not grow with interfaces, and packets
//! come in the order of their time.

use super::block::Packets;
use super::interfaces::{Interfaces, Selection, all_names};
use super::sys::{Mapping, Socket, Taken};
use super::{CaptureError, Doing};
use crate::filter::{self, Expression, Scope};
use crate::limits;
use std::io;
use std::time::Duration;
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

/// Packets the kernel dropped, and how many filled blocks stand before the place where they are missing.
#[derive(Debug, Clone, Copy, Default)]
struct Drops {
    packets: u64,
    behind_blocks: usize,
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
    options: RingOptions,
    listening_on: Vec<u32>,
    tally: Tally,
    drops: Drops,
    /// Packets taken from the ring since it was opened.
    taken_packets: u64,
    /// Blocks taken from the ring since it was opened.
    taken_blocks: u64,
    /// Packets the kernel put into the ring since it was opened, as far as it was asked.
    kept_packets: u64,
}

/// A block of packets, given back to the kernel when dropped.
#[derive(Debug)]
pub struct Block<'a> {
    taken: Taken<'a>,
    dropped_before: u64,
}

impl Block<'_> {
    /// Its packets.
    pub fn packets(&self) -> Packets<'_> {
        Packets::new(self.taken.header, self.taken.content)
    }

    /// Packets the kernel dropped between the block before and this one.
    pub fn dropped_before(&self) -> u64 {
        self.dropped_before
    }
}

impl Ring {
    /// Opens a ring; from here on packets are kept.
    ///
    /// # Errors
    /// [`CaptureError::NotAllowed`] without the capability, [`CaptureError::NoInterface`] when none of the
    /// named is there (some is enough: others are waited for).
    pub fn open(options: RingOptions) -> Result<Self, CaptureError> {
        let listening_on = options.selection.present();
        if let (Selection::Named(names), []) = (&options.selection, listening_on.as_slice()) {
            return Err(CaptureError::NoInterface { wanted: names.join(" or "), present: all_names() });
        }
        let socket = open_socket()?;
        let news = Socket::link_news().doing("listen for news of interfaces")?;
        socket
            .set(libc::SOL_PACKET, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as i32)
            .doing("choose the ring's version")?;
        let blocks = options.ring_bytes.clamp(limits::RING_BYTES_MIN, limits::RING_BYTES_MAX) / limits::BLOCK_BYTES;
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, ring_request(blocks)).doing("set up the ring")?;
        let mapping = socket.map_ring(limits::BLOCK_BYTES, blocks).doing("share the ring's memory")?;
        let refused = options.filter.is_some().then(open_counter).transpose()?;
        let mut ring = Self {
            socket,
            refused,
            news,
            mapping,
            next: 0,
            options,
            listening_on: Vec::new(),
            tally: Tally::default(),
            drops: Drops::default(),
            taken_packets: 0,
            taken_blocks: 0,
            kept_packets: 0,
        };
        ring.listen(listening_on)?;
        Ok(ring)
    }

    /// The interfaces as this ring's segments should begin to describe them.
    pub fn interfaces(&self) -> Interfaces {
        Interfaces::new(&self.options.selection)
    }

    /// How many blocks the ring has.
    pub fn blocks(&self) -> usize {
        self.mapping.blocks()
    }

    /// Blocks taken since it was opened.
    pub fn taken_blocks(&self) -> u64 {
        self.taken_blocks
    }

    /// Whether packets were dropped before the first of the next block, since the kernel was last asked.
    pub fn next_follows_drops(&mut self) -> bool {
        self.mapping.flags(self.next) & libc::TP_STATUS_LOSING != 0
    }

    /// The next block, if the kernel has filled one.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let blocks = self.mapping.blocks();
        let here = self.next_follows_drops() || self.drops.behind_blocks == 0;
        let taken = self.mapping.take(self.next)?;
        self.next = (self.next + 1) % blocks;
        let dropped_before = if here { std::mem::take(&mut self.drops.packets) } else { 0 };
        self.drops.behind_blocks = self.drops.behind_blocks.saturating_sub(1);
        let block = Block { taken, dropped_before };
        self.taken_packets += u64::from(block.packets().left());
        self.taken_blocks += 1;
        Some(block)
    }

    /// Waits for a block, for news of interfaces, or until `timeout` is over. True: look at
    /// the interfaces again.
    ///
    /// # Errors
    /// Only those that waiting again would not cure.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        let [packets, news] = self.socket.wait(&self.news, timeout).doing("wait for packets")?;
        if packets.failed
            && let Some(error) = self.socket.take_error().doing("ask what is wrong with the socket")?
        {
            match error.raw_os_error() {
                // The interface went down. When it comes up again the kernel goes on by itself (packet(7)).
                Some(libc::ENETDOWN) => warn!(interfaces = %self.options.selection, "interface is down"),
                _ => return Err(CaptureError::System { action: "receive packets", source: error }),
            }
        }
        let changed = news.readable && self.news.drain() || news.failed;
        if changed {
            self.look_again()?;
        }
        Ok(changed)
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

    /// Asks the kernel for its counts, which it forgets in telling, and adds them to ours.
    ///
    /// What it dropped is missing before the first block it closed afterwards. Such a block says so, unless we
    /// asked while it was being filled: then it is the first that is not filled yet.
    fn ask(&mut self) -> Result<(), CaptureError> {
        let filled_blocks = self.filled_blocks();
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

    fn filled_blocks(&self) -> usize {
        let blocks = self.mapping.blocks();
        let filled = |ahead: &usize| self.mapping.flags((self.next + ahead) % blocks) & libc::TP_STATUS_USER != 0;
        (0..blocks).take_while(filled).count()
    }

    /// Finds out whether chosen interfaces appeared or vanished, and listens on those that are there.
    fn look_again(&mut self) -> Result<(), CaptureError> {
        let present = self.options.selection.present();
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

fn ring_request(blocks: usize) -> libc::tpacket_req3 {
    // In version 3 the frame size only has to divide the block: packets lie as close as they fit.
    const FRAME_BYTES: usize = 2048;
    libc::tpacket_req3 {
        tp_block_size: limits::BLOCK_BYTES as u32,
        tp_block_nr: blocks as u32,
        tp_frame_size: FRAME_BYTES as u32,
        tp_frame_nr: (limits::BLOCK_BYTES / FRAME_BYTES * blocks) as u32,
        tp_retire_blk_tov: limits::BLOCK_RETIRE.as_millis() as u32,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    }
}
