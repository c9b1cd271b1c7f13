//! Captures, wherever they lie.

use super::known::Known;
use super::object::Object;
use crate::keys::Keys;
use anyhow::Context;
use dissect::{Input, Origin, Unit};
use formats::age::Recipient;
use formats::pcapng::write;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One capture.
#[derive(Clone)]
pub struct Capture {
    /// Its name without folder, as the tables show it.
    pub name: String,
    /// What its store knows of it.
    pub origin: Origin,
    /// Whose keys decrypt it, as its seal says.
    pub(super) recipients: Vec<Recipient>,
    pub(super) keys: Keys,
    pub(super) place: Place,
}

#[derive(Clone)]
pub(super) enum Place {
    File(PathBuf),
    /// A recording of which no packets are there: all there is to read is what its seals say.
    Nothing,
    Object(Arc<Object>),
    /// What can be read once only, copied into a file without a name.
    Spooled(Arc<File>),
    Stdin,
}

impl Capture {
    /// Standard input.
    pub(super) fn stdin() -> Self {
        let (origin, recipients, keys) = (Origin::default(), Vec::new(), Keys::default());
        Self { name: "stdin".to_owned(), origin, recipients, keys, place: Place::Stdin }
    }

    /// Its bytes from the first on, decrypted. Of a store they are fetched into an unnamed file of `spool` first, so that a
    /// line that breaks is an error and not a damaged capture.
    pub fn open(&self, spool: &Path) -> io::Result<Box<dyn Read + Send>> {
        match &self.place {
            Place::Nothing => {
                let mut section = Vec::new();
                write::section_header(&mut section, &[]);
                Ok(Box::new(Cursor::new(section)))
            }
            Place::File(path) => self.keys.open(File::open(path)?, &self.recipients),
            Place::Object(object) => self.keys.open(object.fetch(spool)?, &self.recipients),
            Place::Spooled(file) => self.keys.open(FromBegin { file: Arc::clone(file), at: 0 }, &self.recipients),
            Place::Stdin => self.keys.open(io::stdin(), &self.recipients),
        }
    }

    /// Its bytes as stored, from anywhere; none where they can be read once only.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn stored(&self) -> io::Result<Option<Stored>> {
        Ok(match &self.place {
            Place::File(path) => Some(Stored::File(File::open(path)?)).filter(Stored::can_seek),
            Place::Object(object) => Some(Stored::Object(Arc::clone(object))),
            Place::Spooled(file) => Some(Stored::File(file.try_clone()?)),
            Place::Nothing | Place::Stdin => None,
        })
    }

    /// The file it is, where it is one of this machine.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// Adds to `key` what tells its content from any other: all of it, or what a store says of its version.
    fn identify(&self, key: &mut Sha256, known: &Known) -> anyhow::Result<()> {
        key.update(format!("{:?}{:?}", self.name, self.origin));
        self.keys.identify(key);
        match &self.place {
            Place::File(path) => {
                let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
                let content = known.content(&file, || hash(&file));
                key.update(content.with_context(|| format!("{}: cannot be read", path.display()))?);
                Ok(())
            }
            Place::Object(object) => {
                key.update(object.version());
                Ok(())
            }
            Place::Spooled(file) => {
                key.update(hash(FromBegin { file: Arc::clone(file), at: 0 })?);
                Ok(())
            }
            Place::Nothing | Place::Stdin => Ok(()),
        }
    }
}

/// The bytes of a capture as they are stored.
pub enum Stored {
    /// In a file of this machine.
    File(File),
    /// In a store.
    Object(Arc<Object>),
}

impl Stored {
    /// Bytes from `at` on, fewer where it ends before.
    ///
    /// # Errors
    /// What the disk or the store says.
    pub fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        match self {
            Stored::Object(object) => object.range(at, bytes),
            Stored::File(file) => {
                let mut read = vec![0; bytes];
                let mut filled = 0;
                while let Some(rest) = read.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, at + filled as u64) {
                        Ok(0) => break,
                        Ok(more) => filled += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                read.truncate(filled);
                Ok(read)
            }
        }
    }

    fn can_seek(&self) -> bool {
        !matches!(self, Stored::File(file) if !file.metadata().is_ok_and(|file| file.is_file()))
    }
}

/// Captures that belong together: the segments of a recording, in order, or one of its own.
#[derive(Clone)]
pub struct Source {
    /// The captures.
    pub captures: Vec<Capture>,
}

impl Source {
    /// Whether a capture is the next segment of the same recording.
    pub(super) fn is_continued_by(&self, next: &Capture) -> bool {
        let folder = |capture: &Capture| match &capture.place {
            Place::File(path) => path.parent().map(Path::to_owned),
            Place::Object(object) => Some(object.folder()),
            Place::Nothing | Place::Spooled(_) | Place::Stdin => None,
        };
        self.captures.last().is_some_and(|last| {
            last.origin.recording.is_some()
                && last.origin.recording == next.origin.recording
                && folder(last) == folder(next)
        })
    }

    /// What the analyzer takes at a time.
    pub fn unit(&self, spool: &Path) -> Unit {
        let input = |capture: &Capture| {
            let (name, origin) = (capture.name.clone(), capture.origin.clone());
            let (capture, spool) = (capture.clone(), spool.to_owned());
            Input { name, origin, open: Box::new(move || capture.open(&spool)) }
        };
        Unit { inputs: self.captures.iter().map(input).collect() }
    }

    /// Copies what can be read once only into a file of `spool`, for it is read more than once: standard input, and pipes.
    ///
    /// # Errors
    /// What the input or the disk says.
    pub fn spool(&mut self, spool: &Path) -> anyhow::Result<()> {
        for capture in &mut self.captures {
            let mut input: Box<dyn Read> = match &capture.place {
                Place::Stdin => Box::new(io::stdin().lock()),
                Place::File(path) if path.metadata().is_ok_and(|file| !file.is_file()) => {
                    Box::new(File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?)
                }
                _ => continue,
            };
            let mut file = tempfile::tempfile_in(spool).context("no room to keep what can be read once only")?;
            io::copy(&mut input, &mut file).with_context(|| format!("{} cannot be kept", capture.name))?;
            capture.place = Place::Spooled(Arc::new(file));
        }
        Ok(())
    }

    /// Adds to `key` what tells the content from any other. The cache at `cache` knows files that were hashed before.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn identify(&self, key: &mut Sha256, cache: &Path) -> anyhow::Result<()> {
        let known = Known::new(cache);
        self.captures.iter().try_for_each(|capture| capture.identify(key, &known))
    }
}

/// A file from its begin on, wherever others read it.
struct FromBegin {
    file: Arc<File>,
    at: u64,
}

impl Read for FromBegin {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(to, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// BLAKE3 in hex, which takes a fifth of the time of SHA-256. Nobody but the cache sees it.
fn hash(file: impl Read) -> io::Result<String> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(file)?;
    Ok(hash.finalize().to_hex().to_string())
}
