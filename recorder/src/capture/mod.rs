//! What happens on interfaces becomes packets with a time and an interface, or counts of what was lost.
//!
//! Enters: the names of interfaces, a filter. Leaves: [`Packet`]s, borrowed from the block of the ring that
//! the kernel wrote them to, and [`Tally`]s that account for every packet the kernel showed us. Refused:
//! nothing that is on the wire; what the filter refuses is counted too.

pub(crate) mod block;
mod ends;
mod flow;
mod interfaces;
pub(crate) mod kernel;
pub(crate) mod links;
mod own;
mod ring;
pub(crate) mod sys;

pub use block::{Link, Packet, Packets};
pub use ends::{Ends, Opening};
pub use flow::Flows;
pub use interfaces::{Interface, Interfaces, Numbers, Selection};
pub use kernel::RingOptions;
pub use links::Found as FoundLink;
pub use own::OwnConnections;
pub use ring::{Ring, Tally};
pub use sys::{Poll, Ready, Urgency, Wait, enter_network, hurry, thread_work};

use crate::limits;
use std::io;

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    pub use super::block::fuzz::fuzz_block;
    pub use super::flow::fuzz::fuzz_flow;
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// None of the chosen interfaces is there.
    #[error("there is no interface {wanted}; there are: {present}")]
    NoInterface {
        /// What was asked for.
        wanted: String,
        /// What there is.
        present: String,
    },
    /// The kernel said no for want of a right.
    #[error(
        "capturing packets needs the capability CAP_NET_RAW, which this process has not: \
         run it as root, grant it in the container's security context, or `setcap cap_net_raw+ep` the program"
    )]
    NotAllowed(#[source] io::Error),
    /// The kernel lets us not into another network namespace.
    #[error(
        "entering the network namespace of a target needs the capability CAP_SYS_ADMIN, which this process has not: \
         run it as root, or grant it in the container's security context"
    )]
    NotAllowedInside(#[source] io::Error),
    /// Others have all the descriptors for rings.
    #[error(
        "no descriptors are left for another ring: this process may have {max}, and keeps {} for other work; let it have more \
         (LimitNOFILE, ulimit -Hn), or choose fewer targets",
        limits::DESCRIPTORS_KEPT
    )]
    NoDescriptors {
        /// How many this process may have.
        max: u64,
    },
    /// Others have all the memory for rings.
    #[error(
        "no memory is left for another ring: {rings} have the {bytes} bytes there are; make --ring larger, or choose \
         fewer targets"
    )]
    NoMemory {
        /// What all rings may have together.
        bytes: usize,
        /// How many rings have it.
        rings: usize,
    },
    /// The kernel said no for another reason.
    #[error("could not {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// More interfaces than a filter can name.
    #[error("{named} interfaces are named, at most {max} can be; 'any' takes all")]
    TooManyInterfaces {
        /// How many were named.
        named: usize,
        /// How many can be.
        max: usize,
    },
}

/// Says what failed.
trait Doing<T> {
    /// Turns the kernel's answer into an error that says what was tried.
    fn doing(self, action: &'static str) -> Result<T, CaptureError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: &'static str) -> Result<T, CaptureError> {
        self.map_err(|source| CaptureError::System { action, source })
    }
}
