//! What is in encrypted files, for whoever has a key: the chain holds it against what was sealed.

use super::SnapshotError;
use super::hashed::{Hashed, Sealed};
use crate::keys::{Keys, decrypted_name};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::thread::JoinHandle;

/// Reads along while a file goes by, on a thread of its own.
pub struct Along {
    pipe: PipeWriter,
    thread: JoinHandle<io::Result<Sealed>>,
    name: String,
}

impl Along {
    /// Begins with a file of that name; none where it is not encrypted, or there is no key.
    pub fn begin(name: &str, keys: &Keys) -> Result<Option<Self>, SnapshotError> {
        if keys.is_empty() || decrypted_name(name).is_none() {
            return Ok(None);
        }
        let keys = keys.clone();
        let begun = io::pipe().and_then(|(reader, pipe)| {
            let thread = std::thread::Builder::new().name("decrypt".into());
            Ok((pipe, thread.spawn(move || read(reader, &keys))?))
        });
        let (pipe, thread) = begun.map_err(locked(name))?;
        Ok(Some(Self { pipe, thread, name: name.to_owned() }))
    }

    /// The next bytes of the file.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        self.pipe.write_all(piece).map_err(locked(&self.name))
    }

    /// What was in it.
    ///
    /// # Errors
    /// [`SnapshotError::Locked`], also where none of the keys is for it.
    pub fn finish(self) -> Result<Sealed, SnapshotError> {
        drop(self.pipe);
        let read = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.map_err(locked(&self.name))
    }
}

/// Takes what comes to its end, also behind an error: whoever writes must not wait for ever.
fn read(reader: PipeReader, keys: &Keys) -> io::Result<Sealed> {
    let rest = reader.try_clone();
    let read = keys.open(reader, &[]).and_then(hash);
    io::copy(&mut rest?, &mut io::sink())?;
    read
}

fn hash(mut plain: Box<dyn Read + Send>) -> io::Result<Sealed> {
    let (mut hashed, mut piece) = (Hashed::default(), vec![0; 1 << 18]);
    loop {
        match plain.read(&mut piece)? {
            0 => return Ok(hashed.sum()),
            read => hashed.add(piece.get(..read).unwrap_or_default()),
        }
    }
}

fn locked(name: &str) -> impl FnOnce(io::Error) -> SnapshotError {
    let name = name.to_owned();
    |source| SnapshotError::Locked { name, source }
}
