//! Where tables lie: a folder, or a prefix of an object store, with a folder for each table.

use crate::errors::QueryError;
use formats::tables::TABLES;
use object_store::ObjectStore;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// A dataset.
#[derive(Clone)]
pub enum Dataset {
    /// In a folder.
    Folder(PathBuf),
    /// In an object store.
    Stored {
        /// Scheme and bucket.
        root: Url,
        /// Path below them.
        prefix: String,
        /// The store behind `root`.
        objects: Arc<dyn ObjectStore>,
        /// The tables it has.
        tables: BTreeSet<&'static str>,
    },
}

impl Dataset {
    /// Whether it has rows of a table.
    pub fn has(&self, table: &str) -> bool {
        match self {
            Dataset::Folder(folder) => folder.join(table).is_dir(),
            Dataset::Stored { tables, .. } => tables.contains(table),
        }
    }

    /// A file of a table without a byte in it: begun by somebody, or lost by a disk. The engine would take it for no rows.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn empty_file(&self, table: &str) -> io::Result<Option<PathBuf>> {
        self.find_file(table, |path, bytes| if bytes == 0 { Some(path.to_owned()) } else { None })
    }

    /// A file of a table that is not whole, and what is wrong with it; of a store nobody is asked.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn damaged_file(&self, table: &str) -> io::Result<Option<(PathBuf, String)>> {
        self.find_file(table, |path, _| {
            let read = File::open(path).map_err(ParquetError::from);
            let read = read.and_then(|file| ParquetMetaDataReader::new().parse_and_finish(&file));
            read.err().map(|error| (path.to_owned(), error.to_string()))
        })
    }

    /// What `look` says of the first file of a table it says something of.
    fn find_file<T>(&self, table: &str, look: impl Fn(&Path, u64) -> Option<T>) -> io::Result<Option<T>> {
        let Dataset::Folder(folder) = self else { return Ok(None) };
        let mut folders = vec![folder.join(table)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let (path, file) = (entry.path(), entry.metadata()?);
                if file.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "parquet")
                    && let Some(found) = look(&path, file.len())
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The folder of a table, as the engine names places.
    ///
    /// # Errors
    /// [`QueryError::Place`] where it cannot be named.
    pub(crate) fn place(&self, table: &str) -> Result<String, QueryError> {
        match self {
            Dataset::Folder(folder) => {
                let refused = |detail: String| QueryError::Place { place: folder.display().to_string(), detail };
                // As a URL: in a path the engine would read '*', '?' and '[' as a pattern.
                let absolute = folder.canonicalize().map_err(|error| refused(error.to_string()))?;
                let url = Url::from_directory_path(absolute.join(table));
                url.map(String::from).map_err(|()| refused("not an absolute path".to_owned()))
            }
            Dataset::Stored { root, prefix, .. } => {
                let mut url = root.clone();
                url.set_path(&format!("{prefix}/{table}/"));
                Ok(url.into())
            }
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dataset::Folder(folder) => write!(f, "{}", folder.display()),
            Dataset::Stored { root, prefix, .. } => write!(f, "{root}{prefix}"),
        }
    }
}

/// Whether a folder is a dataset: it has a folder for one of the tables.
pub fn is_dataset(folder: &Path) -> bool {
    TABLES.iter().any(|table| folder.join(table.name).is_dir())
}
