//! Sockets: packets, news of interfaces, and what either is told and asked.

use super::check;
use super::mapping::Mapping;
use crate::filter::Instruction;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A socket, closed when dropped.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// The number of its descriptor.
    pub fn number(&self) -> u64 {
        u64::try_from(self.0.as_raw_fd()).unwrap_or(0)
    }

    /// A packet socket that is bound to nothing, and therefore receives nothing yet.
    pub fn packet() -> io::Result<Self> {
        // Protocol 0: nothing arrives before `bind_packet`, so no packet slips past the filter (packet(7)).
        Self::open(libc::AF_PACKET, libc::SOCK_RAW, 0)
    }

    /// As [`Socket::packet`], but packets begin with what their frame carries.
    pub fn network_packet() -> io::Result<Self> {
        Self::open(libc::AF_PACKET, libc::SOCK_DGRAM, 0)
    }

    /// A socket that hears of every interface that appears, changes or vanishes (rtnetlink(7)).
    pub fn link_news() -> io::Result<Self> {
        let socket = Self::open(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_NONBLOCK, libc::NETLINK_ROUTE)?;
        // SAFETY: sockaddr_nl is plain data, for which all zeroes is a value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = libc::RTMGRP_LINK as u32;
        socket.bind(&address)?;
        Ok(socket)
    }

    fn open(family: i32, kind: i32, protocol: i32) -> io::Result<Self> {
        // SAFETY: no pointer is passed; the descriptor returned is ours alone.
        let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
        // SAFETY: `fd` is open, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sets an option to a number.
    pub fn set_number(&self, level: i32, option: i32, number: i32) -> io::Result<()> {
        self.set(level, option, number)
    }

    /// Has the kernel make a ring of that shape.
    pub fn set_ring(&self, ring: libc::tpacket_req3) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, ring)
    }

    /// Sets an option to a plain value. What a pointer in it points to has to be what the option wants: so nobody else may.
    fn set<T: Copy>(&self, level: i32, option: i32, value: T) -> io::Result<()> {
        let bytes = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel reads `bytes` bytes from `value`, which lives until the call returns.
        check(unsafe { libc::setsockopt(self.fd(), level, option, (&raw const value).cast(), bytes) }).map(drop)
    }

    /// Replaces the filter of the socket, at once: every packet meets either the old or the new one.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> =
            program.iter().map(|&Instruction { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k }).collect();
        let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
        // The kernel copies the program: `filter` need not outlive this call.
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
    }

    /// Starts to receive all protocols on one interface, or on all for index 0.
    pub fn bind_packet(&self, interface_index: u32) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface_index.cast_signed();
        self.bind(&address)
    }

    fn bind<T>(&self, address: &T) -> io::Result<()> {
        let bytes = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel reads `bytes` bytes from `address`, which is a socket address of the socket's family.
        check(unsafe { libc::bind(self.fd(), std::ptr::from_ref(address).cast(), bytes) }).map(drop)
    }

    /// Asks the interface for frames that are not addressed to it, until the socket is closed.
    pub fn listen_promiscuously(&self, interface_index: u32) -> io::Result<()> {
        // SAFETY: packet_mreq is plain data, for which all zeroes is a value.
        let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
        request.mr_ifindex = interface_index.cast_signed();
        request.mr_type = libc::PACKET_MR_PROMISC as u16;
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, request)
    }

    /// Shares packets with the sockets of `group`, or begins one: each packet goes to one of them, and all of a flow, both
    /// ways, to the same, unless that is nearly full. The group. The socket has to be bound, and stays as it is bound.
    ///
    /// Fragments of a datagram go by their addresses alone. They are not put together, which would change what is seen.
    pub fn share_packets(&self, group: Option<u32>) -> io::Result<u32> {
        // Whose number nobody else has in this network namespace, not even we with another recording.
        const BEGIN: u32 =
            libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_ROLLOVER | libc::PACKET_FANOUT_FLAG_UNIQUEID;
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, group.unwrap_or(BEGIN << 16))?;
        let mut group = 0u32;
        let mut bytes = size_of_val(&group) as libc::socklen_t;
        let out = (&raw mut group).cast();
        // SAFETY: the kernel writes at most `bytes` bytes to `group`.
        check(unsafe { libc::getsockopt(self.fd(), libc::SOL_PACKET, libc::PACKET_FANOUT, out, &raw mut bytes) })?;
        Ok(group)
    }

    /// Packets that passed the filter, and how many of them were dropped, since this was last asked:
    /// the kernel forgets them in telling.
    pub fn packet_statistics(&self) -> io::Result<(u32, u32)> {
        let mut statistics = [0u32; 3]; // tpacket_stats_v3: packets, drops, times the queue was frozen.
        let mut bytes = size_of_val(&statistics) as libc::socklen_t;
        let out = statistics.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `bytes` bytes to `statistics`.
        check(unsafe { libc::getsockopt(self.fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, out, &raw mut bytes) })?;
        Ok((statistics[0], statistics[1]))
    }

    /// The error that waits on the socket, which it forgets in telling.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut code = 0i32;
        let mut bytes = size_of_val(&code) as libc::socklen_t;
        let out = (&raw mut code).cast();
        // SAFETY: the kernel writes at most `bytes` bytes to `code`.
        check(unsafe { libc::getsockopt(self.fd(), libc::SOL_SOCKET, libc::SO_ERROR, out, &raw mut bytes) })?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }

    /// Reads and forgets what waits on a socket that does not block; whether there was anything.
    pub fn drain(&self) -> bool {
        let mut news = [0u8; 4096];
        let mut any = false;
        loop {
            match self.receive(&mut news) {
                Ok(_) => any = true,
                // Overrun means that news were lost: there were some.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }

    /// Sends a message to the kernel.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        // SAFETY: the kernel reads `message.len()` bytes from `message`.
        let sent = unsafe { libc::send(self.fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives a message; what does not fit into `message` of it is lost.
    pub fn receive(&self, message: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the kernel writes at most `message.len()` bytes to `message`.
        let read = unsafe { libc::recv(self.fd(), message.as_mut_ptr().cast(), message.len(), 0) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Has [`Socket::receive_marked`] tell marks. Linux 5.19.
    pub fn tell_marks(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_RCVMARK, 1)
    }

    /// As [`Socket::receive`], with the mark of what was received; 0 where that is not told.
    pub fn receive_marked(&self, message: &mut [u8]) -> io::Result<(usize, u32)> {
        // As cmsg(3) wants it aligned.
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
        // SAFETY: msghdr is plain data, for which all zeroes is a value.
        let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
        (head.msg_iov, head.msg_iovlen) = (&raw mut part, 1);
        (head.msg_control, head.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
        // SAFETY: the kernel writes to `message` and `control` no more than they have, as `head` says.
        let read = unsafe { libc::recvmsg(self.fd(), &raw mut head, 0) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: `head` has what recvmsg left there, and lives as long as this is used.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const head) };
        let next = |at: &*mut libc::cmsghdr| {
            // SAFETY: as above; `at` is one of those in it.
            let next = unsafe { libc::CMSG_NXTHDR(&raw const head, *at) };
            (!next.is_null()).then_some(next)
        };
        let mark = std::iter::successors((!first.is_null()).then_some(first), next).find_map(|at| {
            // SAFETY: the macros found it whole in `control`.
            let (level, kind) = unsafe { ((*at).cmsg_level, (*at).cmsg_type) };
            // SAFETY: a mark is a number of 32 bits.
            (level == libc::SOL_SOCKET && kind == libc::SO_MARK)
                .then(|| unsafe { libc::CMSG_DATA(at).cast::<u32>().read_unaligned() })
        });
        Ok((read, mark.unwrap_or(0)))
    }

    /// Shares the ring of the socket, which has `blocks` blocks, with the kernel.
    pub fn map_ring(&self, block_bytes: usize, blocks: usize) -> io::Result<Mapping> {
        Mapping::of_ring(self.0.as_fd(), block_bytes, blocks)
    }

    /// Its descriptor, for calls that are made elsewhere.
    pub(super) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
