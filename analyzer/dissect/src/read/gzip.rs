//! Members of gzip one after the other (RFC 1952 §2.2), with zeros between and behind them passed by, as gzip(1) does: what
//! writes whole blocks fills them up so.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// What the members of an input hold, as one.
pub struct Members<R> {
    /// None behind the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// At the front of the first one.
    pub fn new(bytes: R) -> Self {
        Self { member: Some(GzDecoder::new(bytes)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(to)?;
            if read > 0 || to.is_empty() {
                return Ok(read);
            }
            let more = skip_zeros(member.get_mut())?;
            self.member = self.member.take().filter(|_| more).map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

/// Steps over zeros; says whether anything follows them.
fn skip_zeros(from: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let there = from.fill_buf()?;
        let (zeros, there) = (there.iter().take_while(|byte| **byte == 0).count(), there.len());
        from.consume(zeros);
        if there == 0 || zeros < there {
            return Ok(there > 0);
        }
    }
}
