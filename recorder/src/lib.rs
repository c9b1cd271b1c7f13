//! Keeps what was on the wire during scheduled windows, and seals it into a store.
//!
//! Rooms, in the order data takes: `schedule` → `capture` → `targets` → `rotate` → `seal` → `upload`.

pub mod budget;
pub mod capture;
pub mod clock;
pub mod control;
pub mod disk;
pub mod filter;
pub mod limits;
pub mod link;
pub mod log;
pub mod observe;
pub mod orders;
pub mod pipeline;
pub mod ready;
pub mod recover;
pub mod rotate;
pub mod schedule;
pub mod seal;
#[cfg(test)]
mod simulation;
pub mod spool;
mod sync;
pub mod targets;
pub mod upload;
