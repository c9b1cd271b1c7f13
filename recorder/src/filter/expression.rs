//! A filter expression: from its text to the programs that the kernel runs.
//!
//! Enters: what was typed. Leaves: [`Programs`]. Refused: what is too long as text, what `grammar.rs` does not understand, and
//! what would not fit into the kernel.

use super::compile::{self, Programs, Scope, program};
use super::tree::Node;
use super::{FilterError, grammar};
use crate::limits;
use std::fmt;
use std::str::FromStr;

/// A filter expression that was understood, and can be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    root: Node,
}

impl FromStr for Expression {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (bytes, max) = (text.len(), limits::FILTER_BYTES_MAX);
        if bytes > max {
            return Err(FilterError::TooLong { bytes, max });
        }
        let root = grammar::parse(text)?;
        compile::check_size(&root)?;
        Ok(Self { text: text.to_owned(), root })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Compiles an expression; none matches everything.
///
/// # Bounds
/// What [`Expression`] was checked for: each program fits into the kernel.
pub fn programs(expression: Option<&Expression>, scope: &Scope<'_>, snap_bytes: u32) -> Programs {
    let root = expression.map(|expression| &expression.root);
    Programs { keep: program(root, scope, snap_bytes, true), refuse: program(root, scope, 1, false) }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    use super::{Expression, Scope, programs};

    /// Whatever is understood compiles, and fits into the kernel.
    pub fn fuzz_filter(data: &[u8]) {
        if let Ok(Ok(expression)) = std::str::from_utf8(data).map(str::parse::<Expression>) {
            let programs = programs(Some(&expression), &Scope::Among(&[1, 2]), 1);
            assert!(programs.keep.len().max(programs.refuse.len()) <= libc::BPF_MAXINSNS as usize);
        }
    }
}
