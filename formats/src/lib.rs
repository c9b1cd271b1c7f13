//! What Remora writes down and promises to read for ever: capture blocks, segments, seals and the
//! columns of its tables; and the line in which all of it say what went wrong with a store. Nothing here
//! opens a file, a socket or a clock.

pub mod age;
pub mod bytes;
pub mod chain;
pub mod hash;
pub mod pcapng;
pub mod said;
pub mod seal;
pub mod signature;
pub mod store;
pub mod tables;
