//! Types of blocks (§10.1).

/// Begins a section, and says in which order its bytes are.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Describes an interface; its number is how many the section described before it.
pub const INTERFACE: u32 = 1;
/// A packet, as it was written before 2004.
pub const PACKET: u32 = 2;
/// A packet without a time, of the first interface.
pub const SIMPLE_PACKET: u32 = 3;
/// Names of addresses.
pub const NAME_RESOLUTION: u32 = 4;
/// What an interface has counted by then.
pub const INTERFACE_STATISTICS: u32 = 5;
/// A packet.
pub const ENHANCED_PACKET: u32 = 6;
/// An entry of the journal of systemd.
pub const SYSTEMD_JOURNAL: u32 = 9;
/// Keys of what the packets carry.
pub const DECRYPTION_SECRETS: u32 = 10;
/// Somebody's own, to be copied with the capture.
pub const CUSTOM: u32 = 0xbad;
/// Somebody's own, not to be copied.
pub const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// Whether the standard knows it, and so do we.
pub fn is_known(kind: u32) -> bool {
    (INTERFACE..=ENHANCED_PACKET).contains(&kind)
        || [SECTION_HEADER, SYSTEMD_JOURNAL, DECRYPTION_SECRETS, CUSTOM, CUSTOM_NOT_COPIED].contains(&kind)
}

/// Whether such blocks carry packets.
pub fn has_packet(kind: u32) -> bool {
    [PACKET, SIMPLE_PACKET, ENHANCED_PACKET].contains(&kind)
}
