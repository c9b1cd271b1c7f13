//! A file of the spool on its way to a store: read in parts, and hashed.

use super::UploadError;
use crate::disk::Disk;
use crate::limits;
use bytes::Bytes;
use formats::hash::{Hash256, hex};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file of the spool, read in parts and hashed on the way.
pub(super) struct Source {
    /// Where it is.
    pub path: PathBuf,
    file: Box<dyn Read + Send>,
    hasher: Sha256,
    /// Bytes read.
    pub bytes: u64,
    /// What a store would call it, where that is to be known.
    pub e_tags: Option<ETags>,
}

impl Source {
    /// At its begin.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, UploadError> {
        let file = disk.open(path).map_err(|source| spool_error(path, source))?;
        Ok(Self { path: path.to_owned(), file, hasher: Sha256::new(), bytes: 0, e_tags: None })
    }

    /// The next part, shorter than [`limits::PART_BYTES`] only at the end. Disk reads of a part block a worker for
    /// milliseconds; the recorder's runtime has one for this.
    pub fn part(&mut self) -> Result<Bytes, UploadError> {
        let mut part = Vec::new();
        let read = (&mut self.file).take(limits::PART_BYTES as u64).read_to_end(&mut part);
        read.map_err(|source| spool_error(&self.path, source))?;
        self.hasher.update(&part);
        if let Some(e_tags) = self.e_tags.as_mut().filter(|e_tags| !part.is_empty() || e_tags.md5s.is_empty()) {
            e_tags.md5s.push(Md5::digest(&part).into());
        }
        self.bytes += part.len() as u64;
        Ok(part.into())
    }

    /// All of it, where it is one part.
    ///
    /// # Errors
    /// [`UploadError::Damaged`]: whatever was not hashed as sealed must not become evidence.
    pub fn whole(&mut self, sealed: Hash256) -> Result<Bytes, UploadError> {
        let content = self.part()?;
        if self.hash() == sealed { Ok(content) } else { Err(UploadError::Damaged { path: self.path.clone() }) }
    }

    /// SHA-256 of all parts so far.
    pub fn hash(&self) -> Hash256 {
        Hash256(self.hasher.clone().finalize().into())
    }
}

/// The MD5 of each part that was read, of which S3 makes ETags, but for what it encrypts with keys of KMS or of the client (S3 API
/// reference, Object: ETag).
#[derive(Debug, Default)]
pub(super) struct ETags {
    md5s: Vec<[u8; 16]>,
    /// Whether it was sent in parts.
    pub in_parts: bool,
}

impl ETags {
    /// Whether that is the ETag of what was read.
    pub fn is(&self, told: &str) -> bool {
        let made = match (self.in_parts, self.md5s.as_slice()) {
            (false, [md5]) => hex(md5),
            (true, md5s) => format!("{}-{}", hex(&Md5::digest(md5s.concat())), md5s.len()),
            _ => return false,
        };
        told.trim_matches('"').eq_ignore_ascii_case(&made)
    }
}

/// What the spool did not do.
pub(super) fn spool_error(path: &Path, source: io::Error) -> UploadError {
    UploadError::Spool { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_tag_is_the_md5_of_what_was_sent_or_of_those_of_its_parts() {
        let [a, b] = [b"a", b"b"].map(|part| Md5::digest(part).into());
        for (md5s, in_parts, told, is) in [
            (vec![a], false, "\"0cc175b9c0f1b6a831c399e269772661\"", true),
            (vec![a], false, "0CC175B9C0F1B6A831C399E269772661", true),
            (vec![a, b], true, "\"96e024ba2074fe77e8e965ba43a704be-2\"", true),
            (vec![a, b], true, "\"96e024ba2074fe77e8e965ba43a704be-3\"", false),
            (vec![a], true, "\"0cc175b9c0f1b6a831c399e269772661\"", false),
            (vec![b], false, "0cc175b9c0f1b6a831c399e269772661", false),
            (vec![], false, "", false),
        ] {
            assert_eq!(ETags { md5s, in_parts }.is(told), is, "{told}");
        }
    }
}
