//! The bytes of an input: hashed as stored, then decompressed by content.

use super::take::{read_full, skip};
use super::{gzip, lz4};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Compression of a capture within compression: an archive of a compressed file, no deeper.
const NESTED_MAX: usize = 2;

/// Read buffers of decompressors: a read of 1 MiB costs no more than copying it.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes hashed at a time: read into the processor's cache and hashed there.
const HASHED_BYTES: usize = 256 << 10;

/// The input as stored, and what passed of it: hashed and counted.
struct Passed {
    input: Box<dyn Read + Send>,
    /// None where nobody wants one.
    digest: Option<Sha256>,
    bytes: u64,
    /// Those of them that a decompressor took.
    taken_bytes: u64,
}

impl Read for Passed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let piece = to.len().min(HASHED_BYTES);
        let read = self.input.read(to.get_mut(..piece).unwrap_or_default())?;
        if let (Some(digest), Some(bytes)) = (&mut self.digest, to.get(..read)) {
            digest.update(bytes);
        }
        self.bytes += read as u64;
        Ok(read)
    }
}

/// [`Passed`] as its readers share it.
#[derive(Clone)]
struct Passing(Arc<Mutex<Passed>>);

impl Read for Passing {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        lock(&self.0).read(to)
    }
}

/// Counts what a decompressor takes out of its buffer.
struct Taken<R> {
    buffer: R,
    /// None within another compression: there it is not of the input as stored.
    passing: Option<Passing>,
}

impl<R> Taken<R> {
    fn count(&self, bytes: usize) {
        if let Some(passing) = &self.passing {
            lock(&passing.0).taken_bytes += bytes as u64;
        }
    }
}

impl<R: Read> Read for Taken<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.buffer.read(to)?;
        self.count(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Taken<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.buffer.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.count(bytes);
        self.buffer.consume(bytes);
    }
}

/// The decompressed bytes of an input.
pub struct Source {
    bytes: Box<dyn Read + Send>,
    passing: Passing,
    /// How many stored bytes had been taken when something last came out of them; none where nothing is compressed.
    gave_until: Option<u64>,
}

impl Source {
    /// Looks at the first bytes and undoes gzip, zstd and lz4.
    pub fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let passed = Passed { input, digest: Some(Sha256::new()), bytes: 0, taken_bytes: 0 };
        let passing = Passing(Arc::new(Mutex::new(passed)));
        let mut bytes: Box<dyn Read + Send> = Box::new(passing.clone());
        let (mut gave_until, mut nested) = (None, 0);
        while nested < NESTED_MAX {
            let mut magic = [0; 4];
            let got = read_full(&mut bytes, &mut magic)?;
            if let [0x50..=0x5f, 0x2a, 0x4d, 0x18] = magic {
                // A frame to skip, of zstd and lz4 alike (RFC 8878 §3.1.2): what follows says which.
                let mut skipped_bytes = [0; 4];
                bytes.read_exact(&mut skipped_bytes)?;
                skip(&mut bytes, u32::from_le_bytes(skipped_bytes))?;
                if nested == 0 {
                    let mut passed = lock(&passing.0);
                    passed.taken_bytes = passed.bytes;
                }
                continue;
            }
            let front = Cursor::new(magic.get(..got).unwrap_or_default().to_vec());
            let again = front.chain(bytes);
            let counted = (nested == 0).then(|| passing.clone());
            let buffered =
                |bytes| Taken { buffer: std::io::BufReader::with_capacity(BUFFER_BYTES, bytes), passing: counted };
            bytes = match magic {
                [0x1f, 0x8b, ..] => Box::new(gzip::Members::new(buffered(again))),
                [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(again))?),
                lz4::LEGACY_MAGIC => Box::new(lz4::Legacy::new(buffered(again))),
                [0x04, 0x22, 0x4d, 0x18] => Box::new(lz4::Frames::new(buffered(again))),
                _ => return Ok(Self { bytes: Box::new(again), passing, gave_until }),
            };
            gave_until = Some(0);
            nested += 1;
        }
        Ok(Self { bytes, passing, gave_until })
    }

    /// Makes no digest.
    pub fn without_digest(self) -> Self {
        lock(&self.passing.0).digest = None;
        self
    }

    /// Bytes of the input as stored that were read so far.
    pub fn stored_bytes(&self) -> u64 {
        lock(&self.passing.0).bytes
    }

    /// Reads a compressed input that broke off to its end: its stored bytes out of which nothing came.
    pub fn rest_bytes(&mut self) -> u64 {
        let Some(gave_until) = self.gave_until else { return 0 };
        let _ = io::copy(&mut self.passing, &mut io::sink());
        self.stored_bytes().saturating_sub(gave_until)
    }

    /// SHA-256 of the input as stored, as far as it was read.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        lock(&self.passing.0).digest.clone().map(|digest| digest.finalize().into())
    }
}

fn lock(passed: &Mutex<Passed>) -> MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(to)?;
        if let Some(gave_until) = self.gave_until.as_mut().filter(|_| read > 0) {
            *gave_until = lock(&self.passing.0).taken_bytes;
        }
        Ok(read)
    }
}
