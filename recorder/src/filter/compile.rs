//! What an expression asks becomes a program that keeps what matches, or one that sees the rest, to be counted.
//!
//! Enters: a [`Node`]. Leaves: instructions that fit into the kernel. Refused: expressions that compile to more of them.
//!
//! The kernel takes the outer VLAN tag out of a frame before we see it, and tells it beside the frame
//! (`SKF_AD_VLAN_TAG`); inner tags, and outer ones that a driver did not take out, stay. So the same tests are
//! compiled once for each place where the network header can be, and the program's first steps choose.

use super::FilterError;
use super::assemble::{Assembler, Instruction, Label, Load, Test as Is};
use super::headers;
use super::layout::{ETHERNET_BYTES, Layout, RAW_IP, TAG_BYTES, TAGS, TAGS_MAX, UNKNOWN, ancillary, has};
use super::tree::Node;
use crate::limits;
use crate::link::{self, Framing};

/// Which interfaces the packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All of the network namespace.
    All,
    /// Those of these indexes, among all.
    Among(&'a [u32]),
    /// The one the socket is bound to.
    Bound,
}

/// What the kernel runs on each packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Keeps what matches.
    pub keep: Vec<Instruction>,
    /// Keeps what does not, of the same interfaces.
    pub refuse: Vec<Instruction>,
}

/// A program that keeps nothing: what runs into a socket before it is closed.
pub fn refuse_all() -> Vec<Instruction> {
    let mut out = Assembler::default();
    let end = out.keep(0);
    out.finish(end)
}

/// Refuses expressions that the kernel would refuse, in the longest program that can be made of them.
pub(super) fn check_size(root: &Node) -> Result<(), FilterError> {
    let longest = program(Some(root), &Scope::Among(&[1; limits::INTERFACES_NAMED_MAX]), 1, false);
    let (instructions, max) = (longest.len(), libc::BPF_MAXINSNS as usize);
    if instructions > max { Err(FilterError::TooManyInstructions { instructions, max }) } else { Ok(()) }
}

/// A program that keeps what matches, or else what does not; no `root` matches everything.
pub(super) fn program(root: Option<&Node>, scope: &Scope<'_>, snap_bytes: u32, matching: bool) -> Vec<Instruction> {
    let mut out = Assembler::default();
    let refuse = out.keep(0);
    let keep = out.keep(snap_bytes);
    let (yes, no) = if matching { (keep, refuse) } else { (refuse, keep) };
    let mut entry = match root {
        Some(root) => by_link(&mut out, root, yes, no),
        None => yes,
    };
    entry = once_on_loopback(&mut out, entry, refuse);
    if let Scope::Among(interfaces) = scope {
        let mut one_of = refuse;
        for &index in *interfaces {
            one_of = out.test(Is::Equal(index), entry, one_of);
        }
        entry = out.load(Load::U32(ancillary(libc::SKF_AD_IFINDEX)), one_of);
    }
    out.finish(entry)
}

/// A packet on loopback is sent and then received: only the latter is kept.
fn once_on_loopback(out: &mut Assembler, next: Label, refuse: Label) -> Label {
    let sent = out.test(Is::Equal(libc::PACKET_OUTGOING.into()), refuse, next);
    let direction = out.load(Load::U32(ancillary(libc::SKF_AD_PKTTYPE)), sent);
    let loopback = out.test(Is::Equal(libc::ARPHRD_LOOPBACK.into()), direction, next);
    out.load(Load::U32(ancillary(libc::SKF_AD_HATYPE)), loopback)
}

/// Chooses the layout by what kind of link the packet was seen on.
fn by_link(out: &mut Assembler, root: &Node, yes: Label, no: Label) -> Label {
    let unknown = node(out, root, UNKNOWN, yes, no);
    let raw = node(out, root, RAW_IP, yes, no);
    let mut ethernet = node(out, root, Layout::ethernet(TAGS_MAX), yes, no);
    for tags in (0..TAGS_MAX).rev() {
        let layout = Layout::ethernet(tags);
        let deeper = ethernet;
        let here = node(out, root, layout, yes, no);
        let tagged = TAGS.iter().fold(here, |other, &tag| out.test(Is::Equal(tag), deeper, other));
        let tagged = out.load(Load::U16(layout.protocol), tagged);
        // Frames too short to have the next tag have none.
        let fits = out.test(Is::AtLeast(layout.network + TAG_BYTES), tagged, here);
        ethernet = out.load(Load::Length, fits);
    }
    ethernet = has(out, ETHERNET_BYTES, RAW_IP, ethernet, no);
    let chosen = link::KNOWN.iter().fold(unknown, |other, &(hardware, framing)| {
        let entry = match framing {
            Framing::Cooked => unknown,
            Framing::Ethernet => ethernet,
            Framing::Ip => raw,
        };
        out.test(Is::Equal(hardware.into()), entry, other)
    });
    out.load(Load::U32(ancillary(libc::SKF_AD_HATYPE)), chosen)
}

fn node(out: &mut Assembler, root: &Node, at: Layout, yes: Label, no: Label) -> Label {
    match root {
        Node::And(left, right) => {
            let right = node(out, right, at, yes, no);
            node(out, left, at, right, no)
        }
        Node::Not(inner) => node(out, inner, at, no, yes),
        Node::Or(left, right) => {
            let right = node(out, right, at, yes, no);
            node(out, left, at, yes, right)
        }
        Node::Test(asked) => headers::test(out, asked, at, yes, no),
    }
}
