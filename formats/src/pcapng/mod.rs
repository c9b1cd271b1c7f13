//! What our pcapng blocks say beside the standard (draft-ietf-opsawg-pcapng; drawn in FORMATS.md).

mod target;

pub use target::{Labels, Point, Target};
