//! What decrypts captures, and what is said of one that none of it decrypts.

use anyhow::Context;
use formats::age::{self, AgeError, Decrypt, ENDING, INTRO, Identity, KEY_FILE_BYTES_MAX, Recipient};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Secret keys, read from files.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<[Identity]>);

/// A capture that cannot be decrypted.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}: name the file of a secret key with --identity", whose(recipients))]
struct Locked {
    error: AgeError,
    recipients: Vec<Recipient>,
}

fn whose(recipients: &[Recipient]) -> String {
    let names: Vec<String> = recipients.iter().map(Recipient::to_string).collect();
    if names.is_empty() { String::new() } else { format!(" (its seal says {})", names.join(", ")) }
}

impl Keys {
    /// Reads files of age's secret keys.
    ///
    /// # Errors
    /// One that cannot be read, or has something else in it.
    pub fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let read = |path: &PathBuf| -> anyhow::Result<Vec<Identity>> {
            let mut text = String::new();
            File::open(path)?.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
            Ok(age::identities(&text)?)
        };
        let keys = files.iter().map(|path| read(path).with_context(|| path.display().to_string()));
        Ok(Self(keys.collect::<anyhow::Result<Vec<_>>>()?.concat().into()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to `key` who reads: without a key there is less to read.
    pub fn identify(&self, key: &mut Sha256) {
        self.0.iter().for_each(|identity| key.update(identity.recipient().to_string()));
    }

    /// The bytes of a file, decrypted if it is one of age's. `recipients` are those that its seal tells of.
    ///
    /// # Errors
    /// What reading says, and that none of the keys decrypts it.
    pub fn open(
        &self,
        mut file: impl Read + Send + 'static,
        recipients: &[Recipient],
    ) -> io::Result<Box<dyn Read + Send>> {
        let mut front = Vec::new();
        file.by_ref().take(INTRO.len() as u64).read_to_end(&mut front)?;
        let is_age = age::is_age(&front);
        let whole = Cursor::new(front).chain(file);
        if !is_age {
            return Ok(Box::new(whole));
        }
        match Decrypt::open(whole, &self.0) {
            Ok(plain) => Ok(Box::new(plain)),
            Err(error) => Err(match error.get_ref().and_then(|error| error.downcast_ref::<AgeError>()) {
                Some(&error @ (AgeError::NoKey { .. } | AgeError::NotOurs { .. })) => {
                    io::Error::new(io::ErrorKind::PermissionDenied, Locked { error, recipients: recipients.to_vec() })
                }
                _ => error,
            }),
        }
    }
}

/// Whether a file is called as one that is encrypted, and how it is called decrypted.
pub fn decrypted_name(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(ENDING.len())?;
    let (plain, ending) = name.split_at_checked(at)?;
    (ending.eq_ignore_ascii_case(ENDING) && !plain.is_empty()).then_some(plain)
}

/// Whether a file is there decrypted too, as `is_there` says: then that one is read.
pub fn is_decrypted(path: &Path, is_there: impl Fn(&Path) -> bool) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let plain = name.as_deref().and_then(decrypted_name).map(|plain| path.with_file_name(plain));
    plain.is_some_and(|plain| is_there(&plain))
}
