//! Which packets are kept: a filter expression becomes a program that the kernel runs on each packet.
//!
//! Enters: an expression in the language of tcpdump (pcap-filter(7)), or the larger part of it. Leaves:
//! [`Programs`] for a packet socket. Refused: expressions we do not know, with the word that is not understood;
//! names of hosts and services, for a recorder asks nobody.
//!
//! `expression.rs` is what others see; `grammar.rs` makes a `tree.rs` of the text, `compile.rs` a program of that: `headers.rs`
//! has the questions, `layout.rs` where a frame keeps the answers, `assemble.rs` the instructions.
//!
//! Differences to tcpdump, all of them on purpose: a test looks below VLAN tags wherever they are, and `vlan 5`
//! is true of any tag of a packet and changes nothing for the tests behind it; a test of what a cut packet
//! does not have is false, where tcpdump's whole expression is.

mod assemble;
mod compile;
mod expression;
mod grammar;
mod headers;
mod layout;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;
mod tree;

pub use assemble::Instruction;
pub use compile::{Programs, Scope, refuse_all};
pub use expression::{Expression, fuzz, programs};

/// Why an expression is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Addresses with bits set beyond their mask.
    #[error("{net:?} has bits set beyond its mask: {hint} is the network")]
    BitsBeyondMask {
        /// What was written.
        net: String,
        /// What was probably meant.
        hint: String,
    },
    /// Parentheses and negations inside one another.
    #[error("parentheses and 'not' lie more than {max} deep")]
    TooDeep {
        /// How deep they may lie.
        max: u32,
    },
    /// Too long as text.
    #[error("has {bytes} bytes, at most {max} are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// Too long once compiled.
    #[error("compiles to {instructions} instructions, the kernel takes {max}")]
    TooManyInstructions {
        /// How many there would be.
        instructions: usize,
        /// How many the kernel takes.
        max: usize,
    },
    /// A word that does not fit where it stands.
    #[error("{found} at byte {at_byte}, where {expected} should be")]
    Unexpected {
        /// The word, quoted; or that the end came.
        found: String,
        /// Where it begins.
        at_byte: usize,
        /// What would have fitted.
        expected: &'static str,
    },
}
