//! The kernel's calls, each made safe here. Nothing else in the recorder is `unsafe`.
#![allow(unsafe_code, reason = "packet sockets and their rings have no safe interface")]

mod mapping;
mod own;
mod poll;
mod socket;
mod thread;

use std::io;

pub use mapping::{BLOCK_HEADER_BYTES, Mapping};
pub use own::{OwnSocket, own_sockets};
pub use poll::{Poll, Ready, Wait};
pub use socket::Socket;
pub use thread::{Urgency, enter_network, hurry, thread_work};

/// What the kernel returned, or why not.
fn check(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
