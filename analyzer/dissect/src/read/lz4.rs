//! Frames of lz4 one after the other (LZ4 Frame Format, "Frame Concatenation"): what follows the first is part of the file.
//! And what was before them, which `lz4 -l` and Linux images still are ("Legacy frame").

use super::take::{read_full, skip};
use lz4_flex::block::decompress_into;
use lz4_flex::frame::{Error, FrameDecoder};
use std::io::{self, BufRead, Read};
use std::ops::Range;

/// Notes where the input ended: the decoder ends a frame that lacks its end mark without a word.
struct Compressed<R> {
    bytes: R,
    ended: bool,
}

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(to)?;
        self.ended |= read == 0 && !to.is_empty();
        Ok(read)
    }
}

/// What the frames of an input hold, as one.
pub struct Frames<R: Read> {
    frame: FrameDecoder<Compressed<R>>,
    within: bool,
}

impl<R: BufRead> Frames<R> {
    /// At the front of the first one.
    pub fn new(bytes: R) -> Self {
        Self { frame: FrameDecoder::new(Compressed { bytes, ended: false }), within: false }
    }

    /// Steps over a frame that says it is for others; any other error stays one.
    fn skip(&mut self, error: io::Error) -> io::Result<()> {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(&Error::SkippableFrame(bytes)) => skip(self.frame.get_mut(), bytes),
            _ => Err(error),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && self.frame.get_mut().bytes.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.within = true;
            match self.frame.read(to) {
                Ok(0) if !to.is_empty() => {
                    if self.frame.get_ref().ended {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame of lz4"));
                    }
                    self.within = false;
                }
                Err(error) => {
                    self.skip(error)?;
                    self.within = false;
                }
                read => return read,
            }
        }
    }
}

/// How a legacy frame begins, as its blocks' lengths stand: least significant byte first.
pub const LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// What each block of a legacy frame but its last one holds, and none more.
const LEGACY_BLOCK_BYTES: usize = 8 << 20;

/// The longest that such a block is, where nothing in it repeats ("LZ4_COMPRESSBOUND").
const LEGACY_PACKED_BYTES_MAX: usize = LEGACY_BLOCK_BYTES + LEGACY_BLOCK_BYTES / 255 + 16;

/// What legacy frames hold, as one. Nothing but the end of the input ends the last.
pub struct Legacy<R> {
    bytes: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    /// What of the block was not read yet.
    left: Range<usize>,
}

impl<R: Read> Legacy<R> {
    /// At the front of the first one.
    pub fn new(bytes: R) -> Self {
        Self { bytes, packed: Vec::new(), block: Vec::new(), left: 0..0 }
    }

    /// Reads the next block; false where none follows.
    fn next(&mut self) -> io::Result<bool> {
        let mut length = LEGACY_MAGIC;
        while length == LEGACY_MAGIC {
            match read_full(&mut self.bytes, &mut length)? {
                0 => return Ok(false),
                1..4 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        let packed_bytes = u32::from_le_bytes(length) as usize;
        if packed_bytes > LEGACY_PACKED_BYTES_MAX {
            return Err(io::Error::other(format!("a block of lz4 claims {packed_bytes} bytes")));
        }
        self.packed.resize(packed_bytes, 0);
        if read_full(&mut self.bytes, &mut self.packed)? < packed_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.block.resize(LEGACY_BLOCK_BYTES, 0);
        self.left = 0..decompress_into(&self.packed, &mut self.block).map_err(io::Error::other)?;
        Ok(true)
    }
}

impl<R: Read> Read for Legacy<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let read = self.block.get(self.left.clone()).unwrap_or_default().read(to)?;
        self.left.start += read;
        Ok(read)
    }
}
