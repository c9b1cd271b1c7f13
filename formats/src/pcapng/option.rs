//! Codes of options (§3.5, §4). What one means depends on the block it stands in.

/// `opt_endofopt`: none follows.
pub const END: u16 = 0;
/// `opt_comment`: text for people.
pub const COMMENT: u16 = 1;

/// `shb_hardware`: the machine, as text.
pub const SHB_HARDWARE: u16 = 2;
/// `shb_os`: the operating system, as text.
pub const SHB_OS: u16 = 3;
/// `shb_userappl`: the program that wrote, as text.
pub const SHB_USERAPPL: u16 = 4;

/// `if_name`: text.
pub const IF_NAME: u16 = 2;
/// `if_description`: text.
pub const IF_DESCRIPTION: u16 = 3;
/// `if_tsresol`: the unit of times; one byte, a negative power of ten, or of two with the highest bit set.
pub const IF_TSRESOL: u16 = 9;
/// `if_filter`: one byte that says of which sort, then the filter.
pub const IF_FILTER: u16 = 11;
/// `if_tsoffset`: seconds to be added to times; 64 bits with a sign.
pub const IF_TSOFFSET: u16 = 14;

/// `epb_flags`: 32 bits.
pub const EPB_FLAGS: u16 = 2;
/// `epb_dropcount`: packets lost between this one and the one before; 64 bits.
pub const EPB_DROPCOUNT: u16 = 4;
/// `epb_packetid`: the same wherever the same packet was seen; 64 bits.
pub const EPB_PACKETID: u16 = 5;
/// `epb_queue`: of the interface; 32 bits.
pub const EPB_QUEUE: u16 = 6;

/// `isb_endtime`: when counting ended; a time.
pub const ISB_ENDTIME: u16 = 3;
/// `isb_ifrecv`: packets the interface received; 64 bits, as the others.
pub const ISB_IFRECV: u16 = 4;
/// `isb_ifdrop`: packets the interface had no room for.
pub const ISB_IFDROP: u16 = 5;
/// `isb_filteraccept`: packets the filter let pass.
pub const ISB_FILTERACCEPT: u16 = 6;
/// `isb_osdrop`: packets the operating system had no room for.
pub const ISB_OSDROP: u16 = 7;
/// `isb_usrdeliv`: packets that came to the writer.
pub const ISB_USRDELIV: u16 = 8;
