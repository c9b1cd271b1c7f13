//! The kernel's calls, each made safe here. Nothing else in the recorder is `unsafe`.
#![allow(unsafe_code, reason = "packet sockets and their rings have no safe interface")]

use crate::filter::Instruction;
use std::ffi::{CStr, CString};
use std::io;
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

    /// Sets an option to a plain value.
    pub fn set<T: Copy>(&self, level: i32, option: i32, value: T) -> io::Result<()> {
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
            // SAFETY: the kernel writes at most `news.len()` bytes to `news`.
            let read = unsafe { libc::recv(self.fd(), news.as_mut_ptr().cast(), news.len(), 0) };
            // Overrun (ENOBUFS) means that news were lost: there were some.
            if read < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::ENOBUFS) {
                return any;
            }
            any = true;
        }
    }

    /// Waits until one of two sockets has something to say, or `timeout` is over.
    pub fn wait(&self, other: &Self, timeout: Duration) -> io::Result<[Ready; 2]> {
        let asked = |socket: &Self| libc::pollfd { fd: socket.fd(), events: libc::POLLIN, revents: 0 };
        let mut polled = [asked(self), asked(other)];
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the kernel reads and writes the two entries of `polled`.
        match check(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) }) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(polled.map(|socket| Ready {
                readable: socket.revents & libc::POLLIN != 0,
                failed: socket.revents & libc::POLLERR != 0,
            })),
        }
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

// SAFETY: the mapping belongs to the process, not to a thread; blocks are reached through `&mut self` only.
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

    /// The block of that number, if the kernel has handed it to us. Dropping it hands it back.
    pub fn take(&mut self, block: usize) -> Option<Taken<'_>> {
        let status = self.status(block);
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: `status` has asserted that the block is inside. Once its status says so it is ours until we
        // write it again, which `Taken` does when it is dropped; `&mut self` lets one `Taken` exist. The status
        // word itself is in neither slice.
        let (header, content) = unsafe {
            let start = self.base.as_ptr().add(block * self.block_bytes);
            (
                std::slice::from_raw_parts(start.add(STATUS_AT + 4), BLOCK_HEADER_BYTES - STATUS_AT - 4),
                std::slice::from_raw_parts(start.add(BLOCK_HEADER_BYTES), self.block_bytes - BLOCK_HEADER_BYTES),
            )
        };
        Some(Taken { status, header, content })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `map_ring` mapped; whoever borrowed from it is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.block_bytes * self.blocks) };
    }
}

/// A block that is ours until it is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    status: &'a AtomicU32,
    /// Its header behind the status: packets, offset of the first from the front of the block, length, …
    pub header: &'a [u8],
    /// All behind the header, [`BLOCK_HEADER_BYTES`] from the front of the block.
    pub content: &'a [u8],
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// Index of the interface of that name, now, in the network namespace of the calling thread.
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` ends with a zero byte and lives until the call returns.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// Index and name of every interface there is, now, in the network namespace of the calling thread.
pub fn interfaces() -> Vec<(u32, String)> {
    // SAFETY: no pointer is passed; the list returned ends with an entry of index 0, and is freed below.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut entry = list;
    // SAFETY: `entry` walks from the front of the list to its last entry and not beyond; names end with a zero
    // byte and live until the list is freed, which happens once, after the last use.
    unsafe {
        while (*entry).if_index != 0 {
            found.push(((*entry).if_index, CStr::from_ptr((*entry).if_name).to_string_lossy().into_owned()));
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    found
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
