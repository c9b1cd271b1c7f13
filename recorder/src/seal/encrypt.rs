//! A finished segment, encrypted beside itself before it is sealed.

use crate::disk::{Disk, DiskFile};
use crate::limits;
use crate::rotate::{Finished, OPEN};
use formats::age::{Encrypt, Recipient};
use formats::hash::Hash256;
use formats::seal::{Encrypted, SealedFile};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Writes a segment anew in `folder`, so that only owners of those keys can read it: where it is now, and what is to be
/// sealed in its place. All of it is on the disk when this returns; the plain file is still there.
///
/// # Bounds
/// [`limits::CIPHER_BYTES`] in memory, and on the disk as much as the segment has.
/// # Errors
/// Those of the disk, also where it does not give back what was written.
pub fn encrypt(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Finished,
    to: &[Recipient],
) -> io::Result<(PathBuf, SealedFile)> {
    let name = segment.file.name.encrypted();
    let path = folder.join(format!("{name}{OPEN}"));
    let written = write(disk, segment, &path, to);
    if written.is_err() {
        // What was begun is in the way of a disk that is full; if it stays, the next attempt begins it anew.
        disk.remove(&path).ok();
    }
    let (bytes, sha256) = written?;
    let plain = &segment.file;
    let encrypted =
        Encrypted { name: plain.name.clone(), bytes: plain.bytes, sha256: plain.sha256, recipients: to.to_vec() };
    Ok((path, SealedFile { name, bytes, sha256, encrypted: Some(encrypted) }))
}

fn write(disk: &dyn Disk, segment: &Finished, path: &Path, to: &[Recipient]) -> io::Result<(u64, Hash256)> {
    let mut plain = disk.open(&segment.path)?;
    let mut hasher = Sha256::new();
    let mut file = Encrypt::new(Hashing::new(disk.create(path)?), to)?;
    let mut piece = vec![0; limits::CIPHER_BYTES];
    loop {
        match plain.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => {
                let read = piece.get(..bytes).unwrap_or_default();
                hasher.update(read);
                file.write_all(read)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if Hash256(hasher.finalize().into()) != segment.file.sha256 {
        // It must not become evidence: recovery reads it again, as far as it is whole.
        let what = format!("{} is not what was written", segment.path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut file = file.finish()?;
    file.inner.sync()?;
    Ok((file.bytes, Hash256(file.hasher.finalize().into())))
}

/// Hashes what is written.
struct Hashing {
    inner: Box<dyn DiskFile>,
    hasher: Sha256,
    bytes: u64,
}

impl Hashing {
    fn new(inner: Box<dyn DiskFile>) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
