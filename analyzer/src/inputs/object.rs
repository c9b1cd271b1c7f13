//! A capture in an object store.

use crate::snapshot::{FILES_AT_ONCE, SnapshotError, Store};
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokio::runtime::Runtime;

/// A capture in a store.
pub struct Object {
    pub(super) store: Store,
    pub(super) meta: ObjectMeta,
}

impl Object {
    /// What tells this version of it from any other, as its store says.
    pub fn version(&self) -> String {
        let ObjectMeta { location, last_modified, size, e_tag, version } = &self.meta;
        format!("{} {location} {last_modified} {size} {e_tag:?} {version:?}", self.store.shown())
    }

    /// Bytes from `at` on, fewer where it ends before.
    ///
    /// # Errors
    /// The store's; one that changed since it was found is refused.
    pub fn range(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let end = at.saturating_add(bytes as u64).min(self.meta.size);
        if at >= end {
            return Ok(Vec::new());
        }
        runtime()?.block_on(self.store.range(&self.meta, at..end)).map_err(io::Error::other)
    }

    /// Where it lies.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(folder(&self.meta.location).as_ref())
    }

    /// Copies it into an unnamed file of `folder`.
    pub fn fetch(&self, folder: &Path) -> io::Result<File> {
        let mut file = tempfile::tempfile_in(folder)?;
        let failed = |source| SnapshotError::Local { path: folder.to_owned(), source };
        let append = |piece: &[u8]| file.write_all(piece).map_err(failed);
        runtime()?.block_on(self.store.read(&self.meta.location, 0, append)).map_err(io::Error::other)?;
        file.rewind()?;
        Ok(file)
    }
}

/// One for all stores: their connections live as long as it does.
pub(super) fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(FILES_AT_ONCE).enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

pub(super) fn folder(file: &StorePath) -> StorePath {
    let mut parts: Vec<_> = file.parts().collect();
    parts.pop();
    parts.into_iter().collect()
}
