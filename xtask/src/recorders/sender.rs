//! Frames onto an interface, as fast as asked or as fast as it goes (packet(7), sendmmsg(2)).
#![allow(unsafe_code, reason = "packet sockets have no safe interface")]

use anyhow::{Context, bail};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Frames handed to the kernel at once.
const BURST: usize = 64;

/// Send frames of UDP to a host that is not there, from the interface's network namespace.
#[derive(clap::Args)]
pub struct SendArgs {
    /// The interface.
    #[arg(long)]
    interface: String,
    /// Length of a frame [bytes], 60 to 9000.
    #[arg(long, value_parser = clap::value_parser!(u16).range(60..=9000))]
    bytes: u16,
    /// How many.
    #[arg(long)]
    count: u64,
    /// Frames per second; 0 for as many as it can.
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// Sends, and says how long it took.
pub fn send(args: &SendArgs) -> anyhow::Result<()> {
    let socket = open(&args.interface).with_context(|| args.interface.clone())?;
    let mut frames: Vec<Vec<u8>> = (0..BURST).map(|number| frame(number, args.bytes.into())).collect();
    let mut parts: Vec<libc::iovec> = frames
        .iter_mut()
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
        .collect();
    // SAFETY: mmsghdr is plain data, for which all zeroes is a value.
    let mut messages: Vec<libc::mmsghdr> = (0..BURST).map(|_| unsafe { std::mem::zeroed() }).collect();
    for (message, part) in messages.iter_mut().zip(&mut parts) {
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
    }
    let began = Instant::now();
    let mut sent = 0u64;
    while sent < args.count {
        if let Some(due) = (sent * 1_000_000_000).checked_div(args.rate).map(Duration::from_nanos) {
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let burst = (args.count - sent).min(BURST as u64) as libc::c_uint;
        // SAFETY: `burst` messages lie in `messages`, each with one part that points to its frame; all of them live
        // until the end of this function, and the kernel only reads the frames.
        let accepted = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), burst, 0) };
        match accepted {
            0.. => sent += accepted as u64,
            _ => match io::Error::last_os_error() {
                // The queue of the interface is full: it will have room.
                error if error.raw_os_error() == Some(libc::ENOBUFS) => std::thread::yield_now(),
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => bail!("after {sent} frames: {error}"),
            },
        }
    }
    println!("{} {}", sent, began.elapsed().as_secs_f64());
    Ok(())
}

fn open(interface: &str) -> anyhow::Result<OwnedFd> {
    let name = CString::new(interface)?;
    // SAFETY: `name` ends with a zero byte and lives until the call returns.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: no pointer is passed. Protocol 0: nothing is received.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: `fd` is open, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index.cast_signed();
    let bytes = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads `bytes` bytes from `address`.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), bytes) };
    if bound < 0 { Err(io::Error::last_os_error().into()) } else { Ok(socket) }
}

/// Ethernet, IPv4, UDP, and bytes that do not compress. To an address that nobody has, so that nobody answers.
fn frame(number: usize, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    let total = ((bytes - 14) as u16).to_be_bytes();
    frame[14..34]
        .copy_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 1, 10, 77, 0, 99]);
    frame[34..36].copy_from_slice(&(1024 + number as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&9999u16.to_be_bytes());
    frame[38..40].copy_from_slice(&((bytes - 34) as u16).to_be_bytes());
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1);
    for byte in &mut frame[42..] {
        // xorshift64 (Marsaglia 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        *byte = random as u8;
    }
    frame
}
