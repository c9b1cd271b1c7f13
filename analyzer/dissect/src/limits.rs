//! The bounds that rooms share or that share the memory, their arithmetic and their reason. What one protocol or one file
//! alone is bound by stands at the head of its file.

/// Bytes of a capture handled at a time. Two stretches are held, one read while the other is dissected: with their
/// packets they stay in the cache that a core of the processor has for itself. A longer block makes a longer stretch.
pub const STRETCH_BYTES: usize = 1 << 20;

/// Longest block of a capture that is read whole. Half of it is the longest record we accept; libpcap's own limit for
/// network links is 256 KiB.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Interfaces whose targets are known. Our segments describe 1024 and a batch more; a hostile capture's descriptions, of
/// 4 KiB each, take some 64 MiB as read.
pub const POINTS_MAX: usize = 1 << 13;

/// Logical shards a capture is dissected in, whatever the number of threads: bounds hold per shard,
/// so that what is evicted does not depend on the machine.
pub const SHARDS: usize = 16;

/// Default for the most bytes of a body that a row keeps.
pub const BODY_BYTES_DEFAULT: usize = 256 << 10;

/// Bytes of a JSON or GraphQL body that are looked through for operations, whatever bodies rows keep: with all
/// connections of a shard they count against [`HELD_BYTES_PER_SHARD_MAX`]. Servers refuse queries past 100 KiB.
pub const GRAPHQL_BYTES_MAX: usize = 256 << 10;

/// Bytes that one compressed byte may unfold to: as many as deflate can make of one. What other codings make more of is
/// nothing but repeats, in which a capture of some MiB could hide many GiB. What is beyond is not decoded, and said to be
/// missing.
pub const UNFOLDED_PER_BYTE_MAX: usize = 1032;

/// Bytes that may come out of however few.
pub const UNFOLDED_BYTES_MIN: usize = 64 << 10;

/// Most bytes that come out of so many compressed ones.
pub fn unfolded_bytes_max(coded_bytes: usize) -> usize {
    coded_bytes.saturating_mul(UNFOLDED_PER_BYTE_MAX).max(UNFOLDED_BYTES_MIN)
}

/// Bytes that the gRPC messages of one side, uncompressed, may have in a row: four default body limits, for
/// messages are often compressed to a quarter.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Headers nested around a packet (tunnels, tags, extension headers) before it is given up:
/// real stacks stay below ten, a crafted packet could nest thousands in 64 KiB.
pub const HEADERS_NESTED_MAX: usize = 32;

/// Flows a shard keeps: a SYN flood fills 16 × 6,144 of about 0.75 KiB and as much again in tables, 96 MiB. The one
/// quiet longest makes room.
pub const FLOWS_PER_SHARD_MAX: usize = 6144;

/// Bytes the flows of a shard cost beyond that, once they carry payload: their streams (1 to 2 KiB), and what they
/// hold for later (out of order, unread, waiting calls): 16 × 6 MiB. Past it the flow that was quiet longest is ended. What
/// grows by doubling holds up to twice what is counted (`tests/held.rs`), and the last packet of each shard what it brought.
pub const HELD_BYTES_PER_SHARD_MAX: usize = 6 << 20;

/// Out-of-order bytes one direction holds before the hole in front of them is given up: a TCP window is
/// rarely above 4 MiB, and a lost segment comes again within one.
pub const OUT_OF_ORDER_BYTES_MAX: usize = 4 << 20;

/// Out-of-order segments one direction holds: small segments cost their bookkeeping, about 160 bytes,
/// which counts against [`HELD_BYTES_PER_SHARD_MAX`].
pub const OUT_OF_ORDER_SEGMENTS_MAX: usize = 8192;

/// Packets of a flow after which a hole that the receiver acknowledged is held for lost by the capture:
/// queues of a network card and capture points mix up tens of packets, not more.
pub const ACKED_HOLE_PACKETS: u64 = 64;

/// The same by time [ns].
pub const ACKED_HOLE_NS: i64 = 1_000_000_000;

/// Time after which a hole nobody acknowledged is given up where the other side is not seen [ns]:
/// a retransmission comes within the doubled timeouts of RFC 6298 §5.
pub const UNACKED_HOLE_NS: i64 = 10_000_000_000;

/// Quiet time after which a conversation of datagrams is over [ns]: RFC 4787 §4.3 asks NATs for five
/// minutes, and DNS answers within seconds.
pub const DATAGRAM_IDLE_NS: i64 = 300_000_000_000;

/// Time within which a datagram is answered, if it is [ns]: one in another VLAN or tunnel may be the other side of its
/// conversation; and under pressure conversations quiet for longer make room before connections do.
pub const ANSWER_NS: i64 = 10_000_000_000;

/// Quiet time after which a connection that is over is let go [ns]: as long as Linux keeps TIME-WAIT.
pub const CLOSED_IDLE_NS: i64 = 60_000_000_000;

/// Packets of a connection joined in the middle before its streams begin: captures of several queues mix up
/// neighbours, and the first segment seen need not be the first sent.
pub const SETTLE_PACKETS: u64 = 8;

/// The same by time [ns].
pub const SETTLE_NS: i64 = 10_000_000;

/// How far in front of the first segment seen the stream may begin after all: one segment of offloading.
pub const SETTLE_BYTES: u64 = 64 << 10;

/// Most unread bytes of a connection whose protocol is not recognised yet.
pub const DETECT_BYTES_MAX: usize = 8 << 10;

/// Anomaly rows of one flow; further ones are counted in a last row.
pub const ANOMALIES_PER_FLOW_MAX: u32 = 64;

/// Rows of all tables handed to the writer at once.
pub const ROWS_PER_PASS_MAX: usize = 32 << 10;

/// Bytes of rows handed to the writer at once. While one lot is written the next is gathered, and writing
/// holds it three times (gathered, in order, encoded): 4 × 8 MiB, in pieces the allocator keeps for the next lot. Columns that
/// grow hold up to twice what is in them.
pub const ROW_BYTES_PER_PASS_MAX: usize = 8 << 20;

/// Bytes of rows a shard makes before it is looked whether they are handed to the writer: a stretch makes 8 MiB with all its
/// packets, but what it compresses or ends may come to hundreds. So a lot has at most 8 + 16 × 1 MiB, and for each shard
/// what the packet brought that was the last: what a connection held, or a message unfolds to.
pub const ROW_BYTES_PER_TURN_MAX: usize = 1 << 20;

/// Time a row waits for rows that belong in front of it, by the rows' own times [ns]: most calls last no longer.
/// At most half of what the writer has waits, however dense the traffic.
pub const ROWS_WAIT_NS: i64 = 2_000_000_000;

/// Passes whose rows are kept as they came while some of them wait, 4 × 8 MiB: those that wait longer are copied.
pub const ROWS_WAIT_PASSES: u64 = 4;

/// Rows of a row group.
pub const ROWS_PER_GROUP_MAX: usize = 128 << 10;

/// Encoded bytes of a row group.
pub const ROW_GROUP_BYTES_MAX: usize = 16 << 20;

/// Bytes of a page before they are compressed. What they grow in, up to twice as much, the allocator keeps for the next page;
/// past 512 KiB it fetches memory anew each time.
pub const PAGE_BYTES_MAX: usize = 384 << 10;

/// Encoded bytes of the row groups of all tables that are under construction: past it the largest is closed. What repeats takes
/// little room, so that a group of its rows would grow for many GiB of capture.
pub const ROW_GROUPS_BYTES_MAX: usize = 24 << 20;

/// Parquet files open at a time for one table: one for each UTC day; a capture with crafted times names many.
pub const OPEN_FILES_PER_TABLE_MAX: usize = 8;

/// Fragments held for datagrams that are not whole, with what each costs beside its bytes.
pub const FRAGMENT_BYTES_MAX: usize = 8 << 20;

/// What a fragment costs beside its bytes: 28 in a node of a tree, as much for what is empty there, 32 of the allocator, and
/// a part of what leads to the node.
pub const FRAGMENT_PIECE_BYTES: usize = 96;

/// Tunnels whose packets are fragments within fragments, where the capture ends and none of them is whole: each time what is
/// held is copied.
pub const FRAGMENTS_NESTED_MAX: usize = 4;

/// Bytes of datagrams put together that a stretch takes: all that is held, four tunnels deep. A frame of 64 KiB may hold
/// thirty fragments one within the other, each of them nearly all of it.
pub const JOINED_BYTES_MAX: usize = FRAGMENT_BYTES_MAX * FRAGMENTS_NESTED_MAX;

/// Datagrams that may wait for fragments: 8 MiB in pieces of 1 KiB.
pub const DATAGRAMS_MAX: usize = 8192;

/// Time within which two capture points see the same packet or fragment [ns].
pub const SEEN_TWICE_NS: i64 = 10_000_000;

/// Fragments of datagrams that are whole, remembered for other capture points: what comes within these 10 ms at 10 Gbit/s.
/// About 2 MiB.
pub const WHOLE_PIECES_MAX: usize = 8192;

/// Time fragments wait [ns]: RFC 1122 §3.3.2 says 60 to 120 s.
pub const FRAGMENT_AGE_NS: i64 = 60_000_000_000;

/// Longest datagram: the offset field of IPv4 and IPv6 reaches 65,528, and a last piece follows.
pub const DATAGRAM_BYTES_MAX: usize = 65_535 + 8;

/// Anomalies the decode room reports of one stretch; their bytes are in the tally all the same.
pub const DECODE_ANOMALIES_MAX: usize = 256;

/// Ids of flows that are over and remembered by a shard: 16 × 32 Ki of 16 bytes, 8 MiB. Past it a port used
/// again after its connection was forgotten gives the same id.
pub const USED_IDS_PER_SHARD_MAX: usize = 32 << 10;

/// Bytes of a file of redaction rules: ten thousand names.
pub const REDACT_RULES_BYTES_MAX: usize = 256 << 10;

/// Redaction rules of all files: each may give an anomaly for each row.
pub const REDACT_RULES_MAX: usize = 256;

/// Names and paths of all redaction rules: each is tried on each header and field.
pub const REDACT_PATTERNS_MAX: usize = 4096;

/// Longest name of a redaction rule.
pub const REDACT_PATTERN_BYTES_MAX: usize = 256;

/// Steps of a path of a redaction rule.
pub const REDACT_STEPS_MAX: usize = 32;
