//! A store to read from.

mod local;

use super::SnapshotError;
use formats::environment::store_options;
use formats::said::said;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;
use object_store::{GetOptions, GetRange, GetResultPayload, ListResult, ObjectMeta, ObjectStore};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Bytes read from a local file at a time.
const READ_BYTES: usize = 1 << 20;

/// What lies directly in a folder.
#[derive(Debug, Default)]
pub struct Names {
    /// Its folders.
    pub folders: Vec<String>,
    /// Its files.
    pub files: Vec<String>,
}

/// A store that is open.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: StorePath,
    /// Where it is on this machine; none where it is not.
    folder: Option<PathBuf>,
    shown: String,
}

impl Store {
    /// Opens a folder, or what a URL names, with the options of the environment (`AWS_…`, `AZURE_…`, `GOOGLE_…`).
    pub fn open(store: &str) -> Result<Self, SnapshotError> {
        let refused = |reason: String| SnapshotError::NoStore { store: store.to_owned(), reason };
        refuse_secrets(store)?;
        let url = match Url::parse(store) {
            // It may be a signature, and is not told again.
            Ok(url) if url.query().is_some() => {
                let store = store.split('?').next().unwrap_or_default().to_owned();
                let reason = "'?' means nothing in its URL".to_owned();
                return Err(SnapshotError::NoStore { store, reason });
            }
            Ok(url) if url.scheme() != "file" => url,
            Ok(url) => folder_url(&url.to_file_path().map_err(|()| refused("no path of this machine".into()))?)?,
            Err(_) => folder_url(Path::new(store))?,
        };
        let is_url = |text: &str| Url::parse(text).is_ok();
        let read = |path: &str| std::fs::read_to_string(path);
        let options = store_options(url.scheme(), std::env::vars_os(), is_url, read);
        let options = options.map_err(|error| refused(error.to_string()))?;
        let (objects, prefix) =
            object_store::parse_url_opts(&url, options).map_err(|error| refused(error.to_string()))?;
        let folder = if url.scheme() == "file" { url.to_file_path().ok() } else { None };
        Ok(Self { objects: objects.into(), prefix, folder, shown: store.trim_end_matches('/').to_owned() })
    }

    /// Its name, as it was given.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it is not on this machine: there are no empty folders then.
    pub fn is_remote(&self) -> bool {
        self.folder.is_none()
    }

    /// The location of `path` below the store; the store itself for an empty one.
    pub fn location(&self, path: &str) -> StorePath {
        path.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |location, part| location.join(part))
    }

    /// The store as the engine opens it: the root of its URL, and where in it this store begins.
    pub fn objects(&self) -> (Arc<dyn ObjectStore>, &StorePath) {
        (Arc::clone(&self.objects), &self.prefix)
    }

    /// What is known of a file; none where there is no file of that name.
    pub async fn file(&self, location: &StorePath) -> Result<Option<ObjectMeta>, SnapshotError> {
        match self.objects.get_opts(location, GetOptions::new().with_head(true)).await {
            Ok(found) => Ok(Some(found.meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.error(location, source)),
        }
    }

    /// The files below a folder: all, or one more than `files_max`. Where they cannot be listed at once, each folder is by
    /// itself: those that cannot be are told, and the others are there.
    ///
    /// # Errors
    /// The store's, where the folder itself cannot be listed.
    pub async fn first_files(
        &self,
        folder: &StorePath,
        files_max: usize,
    ) -> Result<(Vec<ObjectMeta>, Vec<SnapshotError>), SnapshotError> {
        let at_once = self.objects.list(Some(folder)).take(files_max.saturating_add(1)).try_collect().await;
        if let Ok(files) = at_once {
            return Ok((files, Vec::new()));
        }
        let ListResult { common_prefixes: mut folders, objects: mut files, .. } = self.children(folder).await?;
        let mut failed = Vec::new();
        while let Some(next) = folders.pop().filter(|_| files.len() <= files_max) {
            match self.children(&next).await {
                Ok(inside) => {
                    folders.extend(inside.common_prefixes);
                    files.extend(inside.objects);
                }
                Err(error) => failed.push(error),
            }
        }
        Ok((files, failed))
    }

    /// The folders and files directly in a folder.
    pub async fn children(&self, folder: &StorePath) -> Result<ListResult, SnapshotError> {
        self.objects.list_with_delimiter(Some(folder)).await.map_err(|source| self.error(folder, source))
    }

    /// The names directly in the folder at `path` below the store.
    pub async fn names(&self, path: &str) -> Result<Names, SnapshotError> {
        if let Some(folder) = &self.folder {
            let folder = folder.join(path);
            return local::names(&folder).map_err(|source| SnapshotError::Local { path: folder, source });
        }
        let location = self.location(path);
        let inside = self.children(&location).await?;
        // The mark of an empty folder is called as the folder.
        let files = inside.objects.iter().map(|file| &file.location).filter(|file| **file != location);
        let name = |path: &StorePath| path.filename().map(str::to_owned);
        Ok(Names {
            folders: inside.common_prefixes.iter().filter_map(name).collect(),
            files: files.filter_map(name).collect(),
        })
    }

    /// Every file below the folder at `path` below the store: its path from there on, and its size.
    pub async fn files(&self, path: &str) -> Result<Vec<(String, u64)>, SnapshotError> {
        if let Some(folder) = &self.folder {
            return local::files(&folder.join(path));
        }
        let folder = self.location(path);
        let listed: Vec<ObjectMeta> =
            self.objects.list(Some(&folder)).try_collect().await.map_err(|source| self.error(&folder, source))?;
        let inside = |location: &StorePath| {
            let parts: Vec<_> = location.prefix_match(&folder)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/")).filter(|path| !path.is_empty())
        };
        let mut files: Vec<_> = listed.iter().filter_map(|file| Some((inside(&file.location)?, file.size))).collect();
        files.sort_unstable();
        Ok(files)
    }

    /// Reads a file from byte `from` to its end, piece by piece.
    ///
    /// # Errors
    /// The store's, and whatever `each` returns.
    pub async fn read(
        &self,
        location: &StorePath,
        from: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let range = (from > 0).then_some(GetRange::Offset(from));
        let found = self.objects.get_opts(location, GetOptions { range, ..GetOptions::default() }).await;
        let found = found.map_err(|source| self.error(location, source))?;
        match found.payload {
            // Without the thousands of hops between threads that a stream of a file makes.
            GetResultPayload::File(file, path) => tokio::task::block_in_place(|| read_file(file, path, from, each)),
            GetResultPayload::Stream(mut pieces) => {
                while let Some(piece) = pieces.try_next().await.map_err(|source| self.error(location, source))? {
                    each(&piece)?;
                }
                Ok(())
            }
        }
    }

    /// A range of the version of a file that `meta` knows.
    ///
    /// # Errors
    /// The store's, also when the file is another by now.
    pub async fn range(&self, meta: &ObjectMeta, range: Range<u64>) -> Result<Vec<u8>, SnapshotError> {
        let (range, if_match) = (Some(GetRange::Bounded(range)), meta.e_tag.clone());
        let options = GetOptions { range, if_match, version: meta.version.clone(), ..GetOptions::default() };
        let found = async { self.objects.get_opts(&meta.location, options).await?.bytes().await };
        found.await.map(Into::into).map_err(|source| self.error(&meta.location, source))
    }

    /// The first bytes of a file, at most `bytes_max`.
    pub async fn head(&self, location: &StorePath, bytes_max: u64) -> Result<Vec<u8>, SnapshotError> {
        let options = GetOptions { range: Some(GetRange::Bounded(0..bytes_max)), ..GetOptions::default() };
        let found = async { self.objects.get_opts(location, options).await?.bytes().await };
        match found.await {
            Ok(bytes) => Ok(bytes.into()),
            // A range cannot be had of an empty file.
            Err(source) => match self.objects.get_opts(location, GetOptions::new().with_head(true)).await {
                Ok(found) if found.meta.size == 0 => Ok(Vec::new()),
                _ => Err(self.error(location, source)),
            },
        }
    }

    /// The name of one of its files or folders, with that of the store.
    pub fn shown_at(&self, of: &StorePath) -> String {
        let parts = of.prefix_match(&self.prefix).into_iter().flatten();
        parts.fold(self.shown.clone(), |shown, part| format!("{shown}/{}", part.as_ref()))
    }

    /// What the store said of one of its files or folders.
    fn error(&self, of: &StorePath, source: object_store::Error) -> SnapshotError {
        SnapshotError::Store { store: self.shown_at(of), said: said(&source) }
    }
}

/// Refuses a URL with a login in it, also one that cannot be read for what is in the login; it is not told again.
///
/// # Errors
/// [`SnapshotError::Secret`].
pub fn refuse_secrets(text: &str) -> Result<(), SnapshotError> {
    let holds_secret = match Url::parse(text) {
        Ok(url) => {
            // There the container stands where a login does elsewhere.
            let names_container = matches!(url.scheme(), "abfs" | "abfss");
            !(url.username().is_empty() || names_container) || url.password().is_some()
        }
        Err(_) => text.split_once("://").is_some_and(|(_, rest)| rest.contains('@')),
    };
    if holds_secret { Err(SnapshotError::Secret) } else { Ok(()) }
}

/// A folder that is there: a mistyped one would only look empty.
fn folder_url(folder: &Path) -> Result<Url, SnapshotError> {
    let absolute = folder.canonicalize().map_err(|source| SnapshotError::Local { path: folder.to_owned(), source })?;
    let refused =
        |reason: &str| Err(SnapshotError::NoStore { store: folder.display().to_string(), reason: reason.to_owned() });
    match Url::from_directory_path(&absolute) {
        _ if !absolute.is_dir() => refused("not a folder"),
        Ok(url) => Ok(url),
        Err(()) => refused("not an absolute path"),
    }
}

fn read_file(
    mut file: std::fs::File,
    path: PathBuf,
    from: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let local = |source| SnapshotError::Local { path: path.clone(), source };
    file.seek(SeekFrom::Start(from)).map_err(local)?;
    let mut piece = vec![0; READ_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(bytes) => each(piece.get(..bytes).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(local(source)),
        }
    }
}
