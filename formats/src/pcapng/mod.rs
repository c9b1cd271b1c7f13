//! pcapng blocks (draft-ietf-opsawg-pcapng), read and written, and what ours say beside the standard (FORMATS.md).

pub mod kind;
pub mod option;
pub mod read;
mod target;
#[cfg(test)]
mod tests;
pub mod write;

pub use target::{Labels, Point, Target};
