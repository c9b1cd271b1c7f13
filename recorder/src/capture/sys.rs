//! The kernel's calls, each made safe here. Nothing else in the recorder is `unsafe`.
#![allow(unsafe_code, reason = "packet sockets and their rings have no safe interface")]

use crate::filter::Instruction;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Header of a block: version, offsets, status, counts, times (linux/if_packet.h, `tpacket_block_desc`).
pub const BLOCK_HEADER_BYTES: usize = size_of::<libc::tpacket_block_desc>();

/// Where in the header the status lies.
const STATUS_AT: usize = 8;

/// A socket, closed when dropped.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// What happened on sockets that were waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is something to read.
    pub readable: bool,
    /// The socket has an error to tell: [`Socket::take_error`].
    pub failed: bool,
}

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

    /// Shares the ring of the socket, which has `blocks` blocks, with the kernel.
    pub fn map_ring(&self, block_bytes: usize, blocks: usize) -> io::Result<Mapping> {
        let bytes = block_bytes.checked_mul(blocks).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                self.fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, block_bytes, blocks })
    }

    fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// The ring's memory, which the kernel writes and we read, block by block.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    block_bytes: usize,
    blocks: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread. It is not `Sync`: whoever borrows a block does so on the thread
// that also gives it back.
unsafe impl Send for Mapping {}

impl Mapping {
    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The `TP_STATUS_…` of the block of that number.
    pub fn flags(&self, block: usize) -> u32 {
        self.status(block).load(Ordering::Acquire)
    }

    fn status(&self, block: usize) -> &AtomicU32 {
        assert!(block < self.blocks, "a ring has no block behind its last");
        // SAFETY: the block lies inside the mapping, as just asserted; blocks are aligned to pages, so the
        // status is to four bytes. The kernel writes it as one word, and we only use it atomically.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(block * self.block_bytes + STATUS_AT).cast()) }
    }

    /// Header (behind the status) and content of the block of that number, if the kernel has handed it to us.
    pub fn block(&self, block: usize) -> Option<(&[u8], &[u8])> {
        if self.flags(block) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: `flags` has asserted that the block is inside. Once its status says so it is ours until we write
        // it again, which only `release` does: `&mut self` there says that nobody borrows. The status word itself
        // is in neither slice.
        Some(unsafe {
            let start = self.base.as_ptr().add(block * self.block_bytes);
            (
                std::slice::from_raw_parts(start.add(STATUS_AT + 4), BLOCK_HEADER_BYTES - STATUS_AT - 4),
                std::slice::from_raw_parts(start.add(BLOCK_HEADER_BYTES), self.block_bytes - BLOCK_HEADER_BYTES),
            )
        })
    }

    /// Hands a block back to the kernel.
    pub fn release(&mut self, block: usize) {
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `map_ring` mapped; whoever borrowed from it is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.block_bytes * self.blocks) };
    }
}

/// Waits for many sockets at once (epoll(7)). Closed sockets leave it by themselves.
#[derive(Debug)]
pub struct Poll(OwnedFd);

/// Sockets that are told of in one go: the rest is told of next time.
const EVENTS: usize = 64;

impl Poll {
    /// Waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed; the descriptor returned is ours alone.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` is open, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

/// Waits for many sockets at once.
pub trait Wait: std::fmt::Debug + Send {
    /// Waits for `socket` too, and calls it `token`. With `news_only` it is told of when something more comes, and not
    /// because something is still there.
    fn add(&self, socket: &Socket, token: u64, news_only: bool) -> io::Result<()>;

    /// Waits until a socket has something to say, or `timeout` is over: tokens, and what they have to say.
    fn wait(&self, timeout: Duration) -> io::Result<Vec<(u64, Ready)>>;
}

impl Wait for Poll {
    fn add(&self, socket: &Socket, token: u64, news_only: bool) -> io::Result<()> {
        let how = libc::EPOLLIN | if news_only { libc::EPOLLET } else { 0 };
        let mut event = libc::epoll_event { events: how.cast_unsigned(), u64: token };
        // SAFETY: the kernel reads `event`, which lives until the call returns.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.fd(), &raw mut event) })
            .map(drop)
    }

    fn wait(&self, timeout: Duration) -> io::Result<Vec<(u64, Ready)>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // Rounded up, or the last part of a millisecond is spent in asking again and again.
        let timeout_ms = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most EVENTS entries to `events`.
        let told = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout_ms) };
        let told = match check(told) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            told => told?,
        };
        let ready = |event: &libc::epoll_event| {
            let (events, token) = (event.events.cast_signed(), event.u64);
            let has = |what: i32| events & what != 0;
            (token, Ready { readable: has(libc::EPOLLIN), failed: has(libc::EPOLLERR) })
        };
        Ok(events.iter().take(told.cast_unsigned() as usize).map(ready).collect())
    }
}

/// Moves the calling thread into the network namespace of an open `/proc/<pid>/ns/net`.
pub fn enter_network(namespace: &std::fs::File) -> io::Result<()> {
    // SAFETY: no pointer is passed; sockets that are open stay where they were opened.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// A TCP socket of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnSocket {
    /// Our end.
    pub local: SocketAddr,
    /// The other; none where it waits for others to connect.
    pub remote: Option<SocketAddr>,
}

/// The TCP sockets of this process that are connected, or wait for others.
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
    let address = |ask: unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32| {
        // SAFETY: sockaddr_storage is plain data, for which all zeroes is a value.
        let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let mut bytes = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel writes at most `bytes` bytes to `address`, which any address of a socket fits into.
        let got = unsafe { ask(fd, (&raw mut address).cast(), &raw mut bytes) };
        if got == 0 { socket_address(&address) } else { None }
    };
    let local = address(libc::getsockname)?;
    match option(libc::SO_ACCEPTCONN)? {
        0 => address(libc::getpeername).map(|remote| OwnSocket { local, remote: Some(remote) }),
        _ => Some(OwnSocket { local, remote: None }),
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

/// How urgent the capture thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// As any other.
    Normal,
    /// Nice -10.
    #[default]
    Nice,
    /// Before all that is not real-time (`SCHED_RR`), at the least of its priorities.
    RealTime,
}

/// Asks for a more urgent schedule of the calling thread; without the right to it nothing changes.
pub fn hurry(urgency: Urgency) -> io::Result<()> {
    // On Linux, 0 is the calling thread (setpriority(2), "C library/kernel differences").
    match urgency {
        Urgency::Normal => Ok(()),
        // SAFETY: no pointer is passed.
        Urgency::Nice => check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) }).map(drop),
        Urgency::RealTime => {
            let parameters = libc::sched_param { sched_priority: 1 };
            // Threads it begins are as any other.
            let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
            // SAFETY: the kernel reads `parameters`, which lives until the call returns.
            check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
        }
    }
}

/// How long the calling thread has worked since it began.
pub fn thread_work() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to `time`.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

fn check(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
