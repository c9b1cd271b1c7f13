//! Folders of this machine, which hold names that object_store fails at.

use super::{Names, SnapshotError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names in a folder. Links are followed, but those that lead nowhere or back up are passed by.
pub fn names(folder: &Path) -> io::Result<Names> {
    let above = folder.canonicalize()?;
    let mut names = Names::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let leads_up = entry.file_type()?.is_symlink() && path.canonicalize().is_ok_and(|to| above.starts_with(to));
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_file() {
            names.files.push(name);
        } else if path.is_dir() && !leads_up {
            names.folders.push(name);
        }
    }
    names.files.sort_unstable();
    names.folders.sort_unstable();
    Ok(names)
}

/// The files below a folder, by their paths from there on, with their sizes. A link to a folder is told, as `name/`, and not
/// followed: no recording has one.
pub fn files(folder: &Path) -> Result<Vec<(String, u64)>, SnapshotError> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        let place = folder.join(&below);
        let failed = |source| SnapshotError::Local { path: place.clone(), source };
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = below.join(entry.file_name());
            // A link may lead nowhere.
            match fs::metadata(entry.path()) {
                Ok(file) if file.is_file() => files.push((path.to_string_lossy().into_owned(), file.len())),
                Ok(to) if to.is_dir() && entry.path().is_symlink() => files.push((format!("{}/", path.display()), 0)),
                Ok(inner) if inner.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
