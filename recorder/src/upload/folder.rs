//! A folder of this machine as a store. What has its name there is whole and stays so, whatever becomes of this process or of the
//! power: object_store has the name first, and cannot create a file where a file system has no hard links. It reads here.
//!
//!     000001.pcapng.zst#1795399200000000000    being written; of whoever was killed meanwhile, removed before the close
//!     000001.pcapng.zst                        linked to, or renamed into place, once its bytes are on the disk

use crate::disk::{Disk, Entry, SystemDisk, gone};
use async_trait::async_trait;
use formats::store::{CLOSE, FileName};
use futures::FutureExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every folder of this machine, by its whole path.
#[derive(Debug, Default)]
pub(super) struct Folder {
    inside: LocalFileSystem,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inside.fmt(f)
    }
}

const PUT: PutResult = PutResult { e_tag: None, version: None };

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.inside.path_to_filesystem(location)?;
        let is_new = options.mode == PutMode::Create;
        let put = blocking(move || {
            if path.ends_with(CLOSE) {
                remove_staged(path.parent().unwrap_or(&path))?;
            }
            if is_new && path.try_exists()? {
                return Ok(false);
            }
            let staged = Staged::begin(path)?;
            staged.write(&payload)?;
            if is_new { staged.create(|from, to| fs::hard_link(from, to)) } else { staged.replace().map(|()| true) }
        });
        match put.await? {
            true => Ok(PUT),
            false => Err(Error::AlreadyExists { path: location.to_string(), source: "it is there".into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inside.path_to_filesystem(location)?;
        let staged = blocking(|| Staged::begin(path)).await?;
        Ok(Box::new(Parts(Some(Arc::new(staged)))))
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.inside.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.inside.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inside.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.inside.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.inside.copy_opts(from, to, options).await
    }
}

/// A file that is sent in parts, until it is complete.
#[derive(Debug)]
struct Parts(Option<Arc<Staged>>);

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let staged = self.0.clone();
        blocking(move || staged.ok_or(ErrorKind::NotFound)?.write(&part)).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.0.take();
        blocking(move || staged.ok_or(ErrorKind::NotFound)?.replace()).await.map(|()| PUT)
    }

    async fn abort(&mut self) -> Result<()> {
        self.0 = None;
        Ok(())
    }
}

/// A file that has not its own name yet; removed unless it gets it.
#[derive(Debug)]
struct Staged {
    file: File,
    staged: PathBuf,
    path: PathBuf,
}

impl Staged {
    fn begin(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        // A number nobody had before: whoever else writes the same file has a file of its own.
        let mut staged = path.clone().into_os_string();
        staged.push(format!("#{}", Timestamp::now().as_nanosecond()));
        let staged = PathBuf::from(staged);
        Ok(Self { file: File::create_new(&staged)?, staged, path })
    }

    fn write(&self, content: &PutPayload) -> io::Result<()> {
        content.iter().try_for_each(|bytes| (&self.file).write_all(bytes))
    }

    /// Gives it its name; false where something has that.
    fn create(&self, link: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<bool> {
        self.file.sync_all()?;
        match link(&self.staged, &self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // No hard links: the look before is all there is. Nobody but this node writes to this folder.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                match self.path.try_exists()? {
                    true => Ok(false),
                    false => fs::rename(&self.staged, &self.path).map(|()| true),
                }
            }
            linked => linked.map(|()| true),
        }
    }

    /// Gives it its name, in place of what had it.
    fn replace(&self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.staged, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        fs::remove_file(&self.staged).ok();
    }
}

/// Removes what was being written to a recording's folder when somebody was killed.
fn remove_staged(folder: &Path) -> io::Result<()> {
    let entries = SystemDisk.list(folder).or_else(gone(Vec::new()))?;
    for Entry { name, .. } in entries.into_iter().filter(|entry| entry.name.to_str().is_some_and(FileName::is_staged)) {
        SystemDisk.remove(&folder.join(name)).or_else(gone(()))?;
    }
    Ok(())
}

/// Does what waits for a disk where nobody else waits for it.
async fn blocking<T: Send + 'static>(what: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(what).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|source| Error::Generic { store: "folder", source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_also_where_there_are_no_hard_links() {
        let refused = |_: &Path, _: &Path| Err(io::Error::from_raw_os_error(libc::EPERM));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/000001.seal.json");
        let create = |content: &'static [u8]| {
            let staged = Staged::begin(path.clone()).unwrap();
            staged.write(&content.into()).unwrap();
            staged.create(refused).unwrap()
        };
        assert_eq!([create(b"one"), create(b"two")], [true, false]);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }
}
