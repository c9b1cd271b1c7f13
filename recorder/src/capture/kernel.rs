//! The kernel's side of a ring: a packet socket and memory shared with it (packet(7); Linux,
//! Documentation/networking/packet_mmap.rst, TPACKET_V3).
//!
//! One socket serves one interface, some, or all: bound to one interface where there is one, to none and with
//! the interfaces in its filter where there are several. So memory does not grow with interfaces, and packets
//! come in the order of their time. Where one ring is too slow for all processors that fill it, several share the
//! packets, flow by flow (packet(7), PACKET_FANOUT): these are bound to no interface, for the kernel lets them not be bound
//! anew when interfaces change.

use super::interfaces::Selection;
use super::links::{Found, links};
use super::sys::{Mapping, Ready, Socket, Wait};
use super::{CaptureError, Doing};
use crate::filter::{self, Expression, Scope};
use crate::limits;
use rustix::process::Resource;
use std::fmt;
use std::io;
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
    /// Size of each ring [bytes].
    pub ring_bytes: usize,
    /// How many rings share the packets.
    pub rings: usize,
    /// Whether to ask interfaces for frames that are not addressed to them.
    pub promiscuous: bool,
    /// Whether one of the named interfaces has to be there from the start.
    pub must_exist: bool,
}

/// Who fills the blocks of a ring, and counts what does not get there.
pub(crate) trait Kernel: fmt::Debug + Send {
    /// How many blocks there are.
    fn blocks(&self) -> usize;

    /// The `TP_STATUS_…` of the block of that number.
    fn flags(&self, block: usize) -> u32;

    /// Header (behind the status) and content of the block of that number, if it is filled.
    fn block(&self, block: usize) -> Option<(&[u8], &[u8])>;

    /// Takes a block back, to fill it again.
    fn release(&mut self, block: usize);

    /// Packets that passed the filter, and how many of them were dropped, since this was last asked.
    fn passed_and_dropped(&mut self) -> Result<(u32, u32), CaptureError>;

    /// Packets that the filter refused since this was last asked.
    fn refused(&mut self) -> Result<u32, CaptureError>;

    /// Lets no further packet in.
    fn shut(&mut self) -> Result<(), CaptureError>;

    /// Has `wait` wait for packets under the name `token`, and for news of interfaces under the next.
    fn wait_in(&self, wait: &dyn Wait, token: u64) -> Result<(), CaptureError>;

    /// Hears what is the matter with it.
    ///
    /// # Errors
    /// Only those that waiting again would not cure.
    fn hear(&self, ready: Ready) -> Result<(), CaptureError>;

    /// Hears the news of interfaces, and listens on those that are chosen and there now: all that are there.
    fn hear_news(&mut self) -> Result<Vec<Found>, CaptureError>;

    /// The interfaces there are.
    fn there(&self) -> Result<Vec<Found>, CaptureError>;

    /// Which of them are listened to.
    fn selection(&self) -> &Selection;
}

/// Linux.
#[derive(Debug)]
pub(super) struct Linux {
    socket: Socket,
    /// Sees what the filter refuses, and keeps nothing of it but the count.
    refused: Option<Socket>,
    news: Socket,
    mapping: Mapping,
    options: RingOptions,
    listening_on: Vec<u32>,
}

impl Linux {
    /// Opens rings in the network namespace of the calling thread; from here on packets are kept.
    pub fn open(options: RingOptions) -> Result<Vec<Self>, CaptureError> {
        let (mut first, on) = Self::prepare(options)?;
        // One of them counts what the filter refuses, and asks for frames that are not for us.
        first.refused = first.options.filter.is_some().then(open_counter).transpose()?;
        if !first.shares() {
            first.begin(on)?;
            return Ok(vec![first]);
        }
        let others = RingOptions { promiscuous: false, must_exist: false, ..first.options.clone() };
        let mut rings = vec![(first, on)];
        for _ in 1..others.rings {
            rings.push(Self::prepare(others.clone())?);
        }
        let mut group = None;
        for (ring, _) in &rings {
            // Between bind and group a socket sees what others see too.
            ring.socket.attach_filter(&filter::refuse_all()).doing("attach the filter")?;
            bind(&ring.socket, 0)?;
            group = Some(ring.socket.share_packets(group).doing("share packets among rings")?);
        }
        for (ring, on) in &mut rings {
            ring.begin(std::mem::take(on))?;
        }
        Ok(rings.into_iter().map(|(ring, _)| ring).collect())
    }

    /// A ring that listens to nothing yet, and the interfaces that it is to listen on.
    fn prepare(options: RingOptions) -> Result<(Self, Vec<u32>), CaptureError> {
        let news = Socket::link_news().doing("listen for news of interfaces")?;
        let there = links(&news).doing("ask which interfaces there are")?;
        let listening_on = indexes(&options.selection.named(&there));
        if let (Selection::Named(names), [], true) = (&options.selection, listening_on.as_slice(), options.must_exist) {
            let mut present: Vec<_> = there.into_iter().map(|link| link.name).collect();
            present.sort_unstable();
            return Err(CaptureError::NoInterface { wanted: names.join(" or "), present: present.join(", ") });
        }
        let socket = open_socket()?;
        // A new descriptor is the lowest that is free: all below it are taken.
        leaves_enough(socket.number(), rustix::process::getrlimit(Resource::Nofile).current)?;
        socket
            .set_number(libc::SOL_PACKET, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as i32)
            .doing("choose the ring's version")?;
        let block_bytes = limits::block_bytes(options.ring_bytes);
        let blocks = (options.ring_bytes / block_bytes).max(limits::RING_BLOCKS_MIN);
        let request = ring_request(block_bytes, blocks);
        socket.set_ring(request).doing("set up the ring")?;
        let mapping = socket.map_ring(block_bytes, blocks).doing("share the ring's memory")?;
        Ok((Self { socket, refused: None, news, mapping, options, listening_on: Vec::new() }, listening_on))
    }

    /// Whether it shares packets with others.
    fn shares(&self) -> bool {
        self.options.rings > 1
    }

    fn begin(&mut self, on: Vec<u32>) -> Result<(), CaptureError> {
        match self.options.selection == Selection::Any || !on.is_empty() {
            true => self.listen(on),
            false => Ok(()), // Until there are news.
        }
    }

    fn listen(&mut self, on: Vec<u32>) -> Result<(), CaptureError> {
        let alone = self.alone(&on);
        let scope = match &self.options.selection {
            Selection::Named(_) if alone.is_some() => Scope::Bound,
            Selection::Named(_) => Scope::Among(&on),
            Selection::Any => Scope::All,
        };
        let programs = filter::programs(self.options.filter.as_ref(), &scope, self.options.snap_bytes);
        self.socket.attach_filter(&programs.keep).doing("attach the filter")?;
        if let Some(refused) = &self.refused {
            refused.attach_filter(&programs.refuse).doing("attach the counting filter")?;
        }
        self.bind(alone.unwrap_or(0))?;
        if self.options.promiscuous {
            for &index in on.iter().filter(|index| !self.listening_on.contains(index)) {
                self.socket.listen_promiscuously(index).doing("make an interface promiscuous")?;
            }
        }
        self.listening_on = on;
        Ok(())
    }

    /// The interface that the kernel can listen to for us, where it is one alone.
    fn alone(&self, on: &[u32]) -> Option<u32> {
        match (&self.options.selection, on) {
            (Selection::Named(names), &[index]) if names.len() == 1 && !self.shares() => Some(index),
            _ => None,
        }
    }

    fn bind(&self, interface_index: u32) -> Result<(), CaptureError> {
        // Those that share packets were bound when they began to.
        let ring = (!self.shares()).then_some(&self.socket);
        self.refused.iter().chain(ring).try_for_each(|socket| bind(socket, interface_index))
    }
}

impl Kernel for Linux {
    fn blocks(&self) -> usize {
        self.mapping.blocks()
    }

    fn flags(&self, block: usize) -> u32 {
        self.mapping.flags(block)
    }

    fn block(&self, block: usize) -> Option<(&[u8], &[u8])> {
        self.mapping.block(block)
    }

    fn release(&mut self, block: usize) {
        self.mapping.release(block);
    }

    fn passed_and_dropped(&mut self) -> Result<(u32, u32), CaptureError> {
        self.socket.packet_statistics().doing("ask for the ring's counts")
    }

    fn refused(&mut self) -> Result<u32, CaptureError> {
        let Some(refused) = &self.refused else { return Ok(0) };
        refused.packet_statistics().map(|(refused, _)| refused).doing("ask for the filter's counts")
    }

    fn shut(&mut self) -> Result<(), CaptureError> {
        for socket in std::iter::once(&self.socket).chain(&self.refused) {
            socket.attach_filter(&filter::refuse_all()).doing("stop receiving packets")?;
        }
        Ok(())
    }

    fn wait_in(&self, wait: &dyn Wait, token: u64) -> Result<(), CaptureError> {
        // Blocks may lie in the ring for a while: only further ones are worth waking up for.
        wait.add(&self.socket, token, true).doing("wait for packets")?;
        wait.add(&self.news, token + 1, false).doing("wait for news of interfaces")
    }

    fn hear(&self, ready: Ready) -> Result<(), CaptureError> {
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

    fn hear_news(&mut self) -> Result<Vec<Found>, CaptureError> {
        self.news.drain();
        let there = self.there()?;
        let present = indexes(&self.options.selection.named(&there));
        if self.options.selection == Selection::Any {
            return Ok(there);
        }
        if present == self.listening_on {
            // One that went away and came back before we looked is off the socket; where it is not, this does nothing.
            if let Some(index) = self.alone(&present) {
                self.bind(index)?;
            }
            return Ok(there);
        }
        info!(interfaces = %self.options.selection, was = ?self.listening_on, now = ?present, "interfaces changed");
        match present.is_empty() {
            true => {
                // Nothing to listen on until the next news, and one that has another name now is none of the chosen.
                self.shut()?;
                self.listening_on = present;
            }
            false => self.listen(present)?,
        }
        Ok(there)
    }

    fn there(&self) -> Result<Vec<Found>, CaptureError> {
        links(&self.news).doing("ask which interfaces there are")
    }

    fn selection(&self) -> &Selection {
        &self.options.selection
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

/// Whether there are descriptors for the rest of the recorder above that one, of so many that there may be.
fn leaves_enough(descriptor: u64, max: Option<u64>) -> Result<(), CaptureError> {
    match max {
        Some(max) if descriptor + limits::DESCRIPTORS_KEPT >= max => Err(CaptureError::NoDescriptors { max }),
        _ => Ok(()),
    }
}

/// A socket whose queue is full from the first packet on: the kernel counts, and copies nothing.
fn open_counter() -> Result<Socket, CaptureError> {
    let socket = open_socket()?;
    socket.set_number(libc::SOL_SOCKET, libc::SO_RCVBUF, 1).doing("make the counting queue small")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_leave_descriptors_to_others() {
        for (descriptor, max, want) in
            [(959, Some(1024), true), (960, Some(1024), false), (5, Some(16), false), (9999, None, true)]
        {
            assert_eq!(leaves_enough(descriptor, max).is_ok(), want, "{descriptor} of {max:?}");
        }
    }
}
