//! Every bound we chose, its arithmetic and its reason.

/// Bytes of a capture handled at a time. Two stretches are held (one read while the other is dissected):
/// 2 × 16 MiB. Also the longest record we accept: libpcap's own limit for network links is 256 KiB, USB's 128 MiB.
pub const STRETCH_BYTES: usize = 16 << 20;

/// Logical shards a capture is dissected in, whatever the number of threads: bounds hold per shard,
/// so that what is evicted does not depend on the machine.
pub const SHARDS: usize = 16;

/// Default for the most bytes of a body that a row keeps.
pub const BODY_BYTES_DEFAULT: usize = 256 << 10;

/// Headers nested around a packet (tunnels, tags, extension headers) before it is given up:
/// real stacks stay below ten, a crafted packet could nest thousands in 64 KiB.
pub const HEADERS_NESTED_MAX: usize = 32;
