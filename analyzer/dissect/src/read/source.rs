//! The bytes of an input: hashed as stored, then decompressed by content.

use super::take::{read_full, skip};
use super::{gzip, lz4};
use sha2::{Digest, Sha256};
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Compression of a capture within compression: an archive of a compressed file, no deeper.
const NESTED_MAX: usize = 2;

/// Read buffers of decompressors: a read of 1 MiB costs no more than copying it.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes hashed at a time: read into the processor's cache and hashed there.
const HASHED_BYTES: usize = 256 << 10;

/// What passed of the input as stored.
struct Passed {
    /// None where nobody wants one.
    digest: Option<Sha256>,
    bytes: u64,
}

/// Hashes and counts what passes.
struct Passing<R> {
    inner: R,
    passed: Arc<Mutex<Passed>>,
}

impl<R: Read> Read for Passing<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let piece = to.len().min(HASHED_BYTES);
        let read = self.inner.read(to.get_mut(..piece).unwrap_or_default())?;
        if let Some(bytes) = to.get(..read) {
            let mut passed = lock(&self.passed);
            if let Some(digest) = &mut passed.digest {
                digest.update(bytes);
            }
            passed.bytes += read as u64;
        }
        Ok(read)
    }
}

/// The decompressed bytes of an input.
pub struct Source {
    bytes: Box<dyn Read + Send>,
    passed: Arc<Mutex<Passed>>,
}

impl Source {
    /// Looks at the first bytes and undoes gzip, zstd and lz4.
    pub fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let passed = Arc::new(Mutex::new(Passed { digest: Some(Sha256::new()), bytes: 0 }));
        let mut bytes: Box<dyn Read + Send> = Box::new(Passing { inner: input, passed: Arc::clone(&passed) });
        let mut nested = 0;
        while nested < NESTED_MAX {
            let mut magic = [0; 4];
            let got = read_full(&mut bytes, &mut magic)?;
            if let [0x50..=0x5f, 0x2a, 0x4d, 0x18] = magic {
                // A frame to skip, of zstd and lz4 alike (RFC 8878 §3.1.2): what follows says which.
                let mut skipped_bytes = [0; 4];
                bytes.read_exact(&mut skipped_bytes)?;
                skip(&mut bytes, u32::from_le_bytes(skipped_bytes))?;
                continue;
            }
            let front = Cursor::new(magic.get(..got).unwrap_or_default().to_vec());
            let again = front.chain(bytes);
            let buffered = |bytes| std::io::BufReader::with_capacity(BUFFER_BYTES, bytes);
            bytes = match magic {
                [0x1f, 0x8b, ..] => Box::new(gzip::Members::new(buffered(again))),
                [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(again))?),
                lz4::LEGACY_MAGIC => Box::new(lz4::Legacy::new(buffered(again))),
                [0x04, 0x22, 0x4d, 0x18] => Box::new(lz4::Frames::new(buffered(again))),
                _ => return Ok(Self { bytes: Box::new(again), passed }),
            };
            nested += 1;
        }
        Ok(Self { bytes, passed })
    }

    /// Makes no digest.
    pub fn without_digest(self) -> Self {
        lock(&self.passed).digest = None;
        self
    }

    /// Bytes of the input as stored that were read so far.
    pub fn stored_bytes(&self) -> u64 {
        lock(&self.passed).bytes
    }

    /// SHA-256 of the input as stored, as far as it was read.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        lock(&self.passed).digest.clone().map(|digest| digest.finalize().into())
    }
}

fn lock(passed: &Mutex<Passed>) -> MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(to)
    }
}
