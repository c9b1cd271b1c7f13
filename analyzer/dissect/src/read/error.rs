//! What cannot be read at all, and why.

use std::io;

/// Why an input cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing in it.
    #[error("{name} is empty: 0 bytes, not even the header of a capture")]
    Empty {
        /// The input.
        name: String,
    },
    /// The system failed.
    #[error("{name} cannot be read: {error}")]
    Io {
        /// The input.
        name: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It ends within the header.
    #[error("{name} ends within its header, after {bytes} bytes")]
    ShortHeader {
        /// The input.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// It is something else.
    #[error(
        "{name} begins with {magic:#010x}, {}; pcap, pcapng, snoop and ERF are read, plain or with gzip, zstd or lz4",
        known_as(*magic)
    )]
    UnknownMagic {
        /// The input.
        name: String,
        /// Its first four bytes.
        magic: u32,
    },
}

/// What else begins so, to say more than that it is not read.
fn known_as(magic: u32) -> &'static str {
    match magic {
        0x736e_6f6f => "as snoop captures do, and is not of version 2",
        0x474d_4255 => "as captures of Network Monitor do",
        0x5452_534e => "as captures of Network General's Sniffer do",
        0xfd37_7a58 => "as files compressed with xz do",
        0x425a_6831..=0x425a_6839 => "as files compressed with bzip2 do",
        0x504b_0304 => "as zip archives do",
        _ => "which is no capture format",
    }
}
