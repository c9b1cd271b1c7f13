//! The TCP sockets of this process, as the kernel knows them.

use super::check;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A TCP socket of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnSocket {
    fd: i32,
    /// Our end.
    pub local: SocketAddr,
    /// The other; none where it waits for others to connect.
    pub remote: Option<SocketAddr>,
}

/// The TCP sockets of this process that are connected, connect, were refused, or wait for others.
pub fn own_sockets() -> Vec<OwnSocket> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(own_socket).collect()
}

fn own_socket(fd: i32) -> Option<OwnSocket> {
    let option = |option: i32| {
        let mut value = 0i32;
        let mut bytes = size_of_val(&value) as libc::socklen_t;
        // SAFETY: the kernel writes at most `bytes` bytes to `value`. Whatever `fd` is by now, it is only asked.
        let got = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut bytes) };
        (got == 0).then_some(value)
    };
    if option(libc::SO_PROTOCOL)? != libc::IPPROTO_TCP {
        return None;
    }
    // SAFETY: sockaddr_storage is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut bytes = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes to `address`, which any address of a socket fits into.
    if unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut bytes) } != 0 {
        return None;
    }
    let local = socket_address(&address)?;
    if option(libc::SO_ACCEPTCONN)? != 0 {
        return Some(OwnSocket { fd, local, remote: None });
    }
    // Unlike getpeername this also tells whom a socket connects to, or did until it was refused. It wants room for no more than
    // an address of that family, which `bytes` is by now.
    let (level, out) = (libc::SOL_SOCKET, (&raw mut address).cast());
    // SAFETY: as above.
    let got = unsafe { libc::getsockopt(fd, level, libc::SO_PEERNAME, out, &raw mut bytes) };
    let remote = if got == 0 { socket_address(&address) } else { None };
    Some(OwnSocket { fd, local, remote: Some(remote?) })
}

impl OwnSocket {
    /// The number of its descriptor.
    pub fn number(&self) -> u32 {
        self.fd.unsigned_abs()
    }

    /// Has each packet that it sends carry a mark (socket(7), `SO_MARK`).
    pub fn mark(&self, mark: u32) -> io::Result<()> {
        let bytes = size_of_val(&mark) as libc::socklen_t;
        // SAFETY: the kernel reads `bytes` bytes from `mark`. Where the descriptor is another by now, that is marked: of whatever
        // this process has, only a socket can be.
        let set =
            unsafe { libc::setsockopt(self.fd, libc::SOL_SOCKET, libc::SO_MARK, (&raw const mark).cast(), bytes) };
        check(set).map(drop)
    }
}

/// An address of IP; an IPv4 address of an IPv6 socket is one of IPv4, as on the wire.
fn socket_address(address: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let (ip, port) = match i32::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which address it is; the storage is large enough and aligned for each.
            let address = unsafe { &*(&raw const *address).cast::<libc::sockaddr_in>() };
            (IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()), address.sin_port)
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { &*(&raw const *address).cast::<libc::sockaddr_in6>() };
            (IpAddr::from(address.sin6_addr.s6_addr).to_canonical(), address.sin6_port)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be(port)))
}
