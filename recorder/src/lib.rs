//! Remora's recorder: what happens on the wire during a window is kept, sealed and sent to a store.
//!
//! Start reading at [`capture`]; a room imports only from rooms before it.

pub mod capture;
pub mod filter;
pub mod limits;
pub mod link;
