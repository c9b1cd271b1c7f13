//! A part of a capture: how it is cut, and how its rows relate to those of the whole.

pub mod cut;
pub mod relation;
