//! Where an answer is written: a file that is there whole, or as it was before.

use crate::inputs::Found;
use anyhow::{Context, bail};
use formats::tables::TABLES;
use query::Dataset;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is not finished carries this ending, beside what it will be.
const PART: &str = ".part";

/// Fills the file at `path`. One that is there stays as it was until the new one is whole; a device or a pipe is written to
/// directly.
///
/// # Errors
/// What `fill` says, and the disk.
pub fn write<T>(path: &Path, fill: impl FnOnce(&mut BufWriter<Watched<'_>>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let failed = || failed(path);
    let before = fs::metadata(path).ok();
    let Some(real) = replaced(path, before.as_ref()) else {
        return filled(path, &File::create(path).with_context(failed)?, fill);
    };
    let permissions = before.as_ref().map_or_else(|| Permissions::from_mode(0o666), Metadata::permissions);
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part =
        tempfile::Builder::new().suffix(PART).permissions(permissions).tempfile_in(folder).with_context(failed)?;
    let filled = filled(path, part.as_file(), fill)?;
    part.persist(&real).with_context(failed)?;
    Ok(filled)
}

fn filled<T>(
    path: &Path,
    file: &File,
    fill: impl FnOnce(&mut BufWriter<Watched<'_>>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut out = BufWriter::new(Watched { file, has_failed: false });
    let filled = fill(&mut out).and_then(|filled| Ok(out.flush().map(|()| filled)?));
    // What the disk said comes back in many shapes, and none of them names the file.
    match out.get_ref().has_failed {
        true => filled.with_context(|| failed(path)),
        false => filled,
    }
}

/// A file that remembers whether it could not be written.
pub struct Watched<'a> {
    file: &'a File,
    has_failed: bool,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.has_failed |= written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn failed(path: &Path) -> String {
    format!("{}: cannot be written", path.display())
}

/// The file that a new one takes the place of, links followed; none where `path` is no file that could be replaced.
fn replaced(path: &Path, before: Option<&Metadata>) -> Option<PathBuf> {
    match before {
        Some(before) if before.is_file() => path.canonicalize().ok(),
        Some(_) => None,
        // Of a link to nothing, what it names.
        None => Some(fs::read_link(path).map_or(path.to_owned(), |named| path.with_file_name(named))),
    }
}

/// An answer must not take the place of what it is made from.
///
/// # Errors
/// A capture among the inputs, or a file of a dataset among them.
pub fn refuse_input(found: &Found, output: &Path) -> anyhow::Result<()> {
    let Some(real) = output.canonicalize().ok().filter(|real| real.is_file()) else { return Ok(()) };
    let is_real = |path: &Path| path.canonicalize().is_ok_and(|path| path == real);
    let captures = found.sources.iter().flat_map(|source| &source.captures);
    let is_in = |dataset: &Dataset| match dataset {
        Dataset::Folder(folder) => folder
            .canonicalize()
            .is_ok_and(|folder| TABLES.iter().any(|table| real.starts_with(folder.join(table.name)))),
        Dataset::Stored { .. } => false,
    };
    if captures.filter_map(|capture| capture.path()).any(is_real) || found.datasets.iter().any(is_in) {
        bail!("{} is an input: it would be overwritten", output.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(path: &Path, text: &str) -> anyhow::Result<()> {
        write(path, |out| Ok(out.write_all(text.as_bytes())?))
    }

    fn fail(path: &Path) {
        let failed: anyhow::Result<()> = write(path, |out| {
            out.write_all(b"half")?;
            bail!("no more")
        });
        assert!(failed.is_err());
    }

    #[test]
    fn what_cannot_be_filled_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = || {
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        fail(&at("new"));
        assert!(names().is_empty());
        fill(&at("file"), "first").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("later", at("ahead")).unwrap();
        fail(&at("file"));
        fail(&at("link"));
        fail(&at("ahead"));
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "first");
        fs::set_permissions(at("file"), Permissions::from_mode(0o640)).unwrap();
        fill(&at("link"), "second").unwrap();
        fill(&at("ahead"), "third").unwrap();
        assert!(at("link").is_symlink() && at("ahead").is_symlink());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "second");
        assert_eq!(fs::metadata(at("file")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(at("later")).unwrap(), "third");
        assert_eq!(names().len(), 4, "nothing is left over: {:?}", names());
    }

    #[test]
    fn a_full_disk_is_told_with_the_file() {
        let full = Path::new("/dev/full");
        let in_words = |out: &mut BufWriter<Watched<'_>>| {
            // As arrow does.
            out.write_all(&[0; 1 << 16]).map_err(|error| anyhow::anyhow!("Csv error: {error}"))
        };
        for error in [fill(full, "short").unwrap_err(), write(full, in_words).unwrap_err()] {
            assert!(format!("{error:#}").starts_with("/dev/full: cannot be written: "), "{error:#}");
        }
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let read = |pipe: PathBuf| std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
        let reader = read(pipe.clone());
        fail(&pipe);
        assert_eq!(reader.join().unwrap(), "half");
        let reader = read(pipe.clone());
        fill(&pipe, "text").unwrap();
        assert_eq!(reader.join().unwrap(), "text");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
        assert!(fill(folder.path(), "text").is_err(), "a folder");
    }
}
