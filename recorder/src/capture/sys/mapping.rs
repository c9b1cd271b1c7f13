//! The memory of a ring, shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Header of a block: version, offsets, status, counts, times (linux/if_packet.h, `tpacket_block_desc`).
pub const BLOCK_HEADER_BYTES: usize = size_of::<libc::tpacket_block_desc>();

/// Where in the header the status lies.
const STATUS_AT: usize = 8;

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
    /// Shares the ring of a socket, which has `blocks` blocks, with the kernel.
    pub(super) fn of_ring(socket: BorrowedFd<'_>, block_bytes: usize, blocks: usize) -> io::Result<Self> {
        let bytes = block_bytes.checked_mul(blocks).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address the kernel chooses touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, block_bytes, blocks })
    }

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
        // SAFETY: exactly what `of_ring` mapped; whoever borrowed from it is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.block_bytes * self.blocks) };
    }
}
