//! A way through the headers of one frame, outermost first.

use super::packet::{Packet, Tunnel};
use crate::read::LinkType;
use std::net::Ipv6Addr;

/// The header that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// IEEE 802.3 with addresses.
    Ethernet,
    /// What an EtherType says.
    EtherType(u16),
    /// What an IPv6 header, or one of its extensions, says is next.
    Extension(u8),
    /// IPv4 or IPv6, by its first four bits.
    Ip,
    /// What a link type says.
    Link(LinkType),
    /// IEEE 802.2.
    Llc,
    /// A label stack (RFC 3032).
    Mpls,
    /// A network service header (RFC 8300).
    Nsh,
    /// PPP, its address and control bytes optional (RFC 1661, 1662).
    Ppp,
    /// What an IP protocol number says.
    Transport(u8),
}

/// What a header led to.
#[derive(Debug)]
pub enum Turn {
    /// A packet, whole.
    Done,
    /// A fragment of a datagram.
    Fragment(Fragment),
    /// The next header.
    Next(Layer),
    /// Nothing we can make a packet of.
    Refused(&'static str),
}

/// A piece of a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Where its first byte belongs.
    pub offset: u32,
    /// Whether more follow.
    pub more: bool,
    /// Protocol of the whole, or its first header; of IPv6 only the first fragment tells (RFC 8200 §4.5).
    pub protocol: u8,
    /// Whether the snap length cut it.
    pub cut: bool,
}

/// What the headers around some content say of it.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Innermost VLAN.
    pub vlan: u16,
    /// Innermost tunnel.
    pub tunnel: Tunnel,
    /// Addresses of the innermost IP header.
    pub source: [u8; 16],
    /// The same, where it goes.
    pub destination: [u8; 16],
    /// 4 or 6; 0 before any IP header.
    pub ip_version: u8,
    /// Identification of the innermost IPv4 header.
    pub ip_id: u16,
    /// Where a header in front says that it was seen, as one number: an interface captures all others; 0 where none does.
    pub device: u32,
    /// The network namespace that the frame was seen in, where the capture says it; else 0.
    pub netns: u32,
}

impl Around {
    /// The same where the addresses mean another end in each: loopback leaves none (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3),
    /// unless a tunnel takes it along. Of all others 0: what passes between namespaces is seen in several.
    pub fn own_netns(&self) -> u32 {
        let is_loopback = |ip: [u8; 16]| Ipv6Addr::from(ip).to_canonical().is_loopback();
        let stays = self.netns != 0
            && self.tunnel == Tunnel::None
            && (is_loopback(self.source) || is_loopback(self.destination));
        if stays { self.netns } else { 0 }
    }
}

/// Where one is in a frame.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a> {
    /// The frame, or the datagram put together from fragments.
    pub data: &'a [u8],
    /// Position of the next header.
    pub at: usize,
    /// Position behind the last captured byte that belongs to the current header's content.
    pub end: usize,
    /// Bytes of that content by its headers that were not captured.
    pub cut_bytes: u32,
    /// What the headers so far said.
    pub around: Around,
}

impl<'a> Walk<'a> {
    /// At the front of a frame seen in that namespace.
    pub fn new(netns: u32, data: &'a [u8], cut_bytes: u32) -> Self {
        let (vlan, tunnel, source, destination) = (0, Tunnel::None, [0; 16], [0; 16]);
        let around = Around { vlan, tunnel, source, destination, ip_version: 0, ip_id: 0, device: 0, netns };
        Self::within(around, data, cut_bytes)
    }

    /// At the front of what such headers were around.
    pub fn within(around: Around, data: &'a [u8], cut_bytes: u32) -> Self {
        Self { data, at: 0, end: data.len(), cut_bytes, around }
    }

    /// What lies ahead.
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..self.end).unwrap_or_default()
    }

    /// The next `N` bytes, stepped over.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.rest().first_chunk::<N>().copied()?;
        self.at += N;
        Some(bytes)
    }

    /// Steps over bytes, as far as they go.
    pub fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.end);
    }

    /// The header that the next two bytes say: up to 1500 they are a length, from 1536 on an EtherType (IEEE 802.3 §3.2.6).
    pub fn typed(&mut self) -> Turn {
        let Some(kind) = self.take().map(u16::from_be_bytes) else { return Turn::Refused("cut in a link header") };
        if kind >= 0x600 {
            return Turn::Next(Layer::EtherType(kind));
        }
        if usize::from(kind) <= self.rest().len() {
            self.limit(kind.into());
        }
        Turn::Next(Layer::Llc)
    }

    /// The content ends after `bytes` more, by its header. What is behind is padding; what is missing was cut.
    pub fn limit(&mut self, bytes: usize) {
        let there = self.end - self.at;
        if bytes <= there {
            self.end = self.at + bytes;
            self.cut_bytes = 0;
        } else {
            self.cut_bytes = (bytes - there) as u32;
        }
    }
}

/// Two bytes, most significant first.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
}

/// Four bytes, most significant first.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

/// Where packets of a frame go.
pub type Packets = Vec<Packet>;
