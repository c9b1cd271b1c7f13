//! What Remora writes down and promises to read for ever: capture blocks, segments, seals and the
//! columns of its tables; and what all of it share about stores: how the environment is read, and the line that says
//! what went wrong with one; and how sizes and times are written. Nothing here opens a file, a socket or a clock.

pub mod age;
pub mod bytes;
pub mod chain;
pub mod environment;
pub mod hash;
pub mod pcapng;
pub mod said;
pub mod seal;
pub mod signature;
pub mod size;
pub mod store;
pub mod tables;
