//! Frames of lz4 one after the other (LZ4 Frame Format, "Frame Concatenation"): what follows the first is part of the file.

use lz4_flex::frame::{Error, FrameDecoder};
use std::io::{self, BufRead, Read};

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

/// Steps over so many bytes.
pub fn skip(from: &mut impl Read, bytes: u32) -> io::Result<()> {
    let skipped = io::copy(&mut from.take(bytes.into()), &mut io::sink())?;
    if skipped < bytes.into() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
