//! Bytes of a capture become frames: bytes with a time and an interface.
//!
//! Enters: anything that reads, by content: pcap, pcapng, snoop, ERF, plain or compressed. Leaves: [`Stretch`]es of
//! [`Frame`]s, without a copy of their bytes. Refused: what begins like no capture. What is damaged is
//! counted, resynchronised where the format allows it, and the rest is read.

mod capture;
mod damage;
mod erf;
mod error;
mod gzip;
mod lz4;
mod pcap;
mod pcapng;
mod record;
mod snoop;
mod source;
mod stretch;
mod summary;
mod take;
#[cfg(test)]
mod tests;

pub use capture::CaptureReader;
pub use damage::Damage;
pub use error::ReadError;
pub use stretch::{Frame, Heard, LinkType, Points, Stretch};
pub use summary::{Interface, Summary};

#[doc(hidden)]
pub mod fuzz {
    /// Reads hostile bytes to their end.
    pub fn fuzz_read(data: &[u8]) {
        let Ok(mut reader) = super::CaptureReader::new("fuzz", Box::new(std::io::Cursor::new(data.to_vec()))) else {
            return;
        };
        let mut stretch = super::Stretch::default();
        while reader.fill(&mut stretch) {
            for frame in &stretch.frames {
                assert_eq!(stretch.data(frame).len(), frame.captured_bytes as usize);
            }
        }
    }
}
