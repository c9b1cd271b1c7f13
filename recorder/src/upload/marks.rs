//! What the spool remembers of a recording's way into the store: marks beside its files.

use super::UploadError;
use super::source::spool_error;
use crate::disk::{Disk, gone};
use crate::spool::{UNSENT, is_full};
use std::path::Path;

/// What [`UNSENT`] is called once something of a recording was sent.
const TRIED: &str = "tried";
/// Names the file of a recording that was created in the store from here and is not proved yet; one at most, for the next waits
/// for it.
const CREATED: &str = "created";

/// Whether nothing of the recording of this file was sent before; it counts as sent from here on. What has no mark may have
/// been.
pub(super) fn try_first(disk: &dyn Disk, file: &Path) -> Result<bool, UploadError> {
    let is_first = disk.exists(&file.with_file_name(UNSENT)).map_err(|source| spool_error(file, source))?;
    if is_first {
        rename(disk, file, UNSENT, TRIED)?;
    }
    Ok(is_first)
}

/// Takes back [`try_first`].
pub(super) fn not_tried(disk: &dyn Disk, file: &Path) -> Result<(), UploadError> {
    rename(disk, file, TRIED, UNSENT)
}

/// Renames the mark that stands beside a file, to stay.
fn rename(disk: &dyn Disk, file: &Path, from: &str, to: &str) -> Result<(), UploadError> {
    let renamed = disk.rename(&file.with_file_name(from), &file.with_file_name(to));
    let synced = renamed.and_then(|()| file.parent().map_or(Ok(()), |folder| disk.sync_folder(folder)));
    synced.map_err(|source| spool_error(file, source))
}

/// Whether a file was created in the store from here and could not be proved then.
pub(super) fn is_created(disk: &dyn Disk, file: &Path) -> Result<bool, UploadError> {
    let name = disk.read(&file.with_file_name(CREATED)).or_else(gone(Vec::new()));
    let name = name.map_err(|source| spool_error(file, source))?;
    Ok(file.file_name().is_some_and(|file| file.as_encoded_bytes() == name))
}

/// Remembers that, or forgets it once the file is proved. On a disk that is full nobody will know.
pub(super) fn set_created(disk: &dyn Disk, file: &Path, is_created: bool) -> Result<(), UploadError> {
    let (mark, name) = (file.with_file_name(CREATED), file.file_name().unwrap_or_default());
    let set = match is_created {
        true => disk.write_durably(&mark, name.as_encoded_bytes()),
        false => disk.remove(&mark).or_else(gone(())),
    };
    match set {
        Err(error) if is_full(&error) => Ok(()),
        set => set.map_err(|source| spool_error(file, source)),
    }
}

#[cfg(test)]
mod tests {
    use crate::simulation::disk::SimDisk;
    use crate::simulation::random::Random;
    use crate::simulation::store::SimStore;
    use crate::upload::{Store, UploadError};
    use formats::hash::Hash256;
    use futures::FutureExt;
    use object_store::{ObjectStoreExt, path::Path as StorePath};
    use std::path::Path;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    /// A store in memory is waited for by asking again.
    fn done<T>(of: impl Future<Output = T>) -> T {
        let mut of = pin!(of);
        loop {
            if let Poll::Ready(done) = of.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return done;
            }
        }
    }

    #[test]
    fn what_was_created_here_and_damaged_is_replaced_also_by_the_next_process_and_nothing_else_is() {
        let (objects, disk) = (Arc::new(SimStore::new(Random::new(1), false)), SimDisk::new(Random::new(1)));
        let disk: &dyn crate::disk::Disk = &disk;
        disk.create_folders(Path::new("/spool")).unwrap();
        let put = |name: &str| {
            let path = StorePath::from(name);
            objects.inside.put(&path, "evidence".into()).now_or_never().unwrap().unwrap();
        };
        let send = |name: &str| {
            let file = Path::new("/spool").join(name);
            disk.write_durably(&file, name.as_bytes()).unwrap();
            let store = Store::over(objects.clone(), StorePath::from("captures"));
            done(store.send(disk, name, &file, Hash256::of(name.as_bytes()))).map(drop)
        };
        objects.damage(Some(1));
        let conflict = |sent| assert!(matches!(sent, Err(UploadError::Conflict { .. })), "{sent:?}");
        conflict(send("ours"));
        conflict(send("ours"));
        put("captures/others");
        objects.damage(None);
        conflict(send("others"));
        send("ours").unwrap();
        assert!(!disk.exists(Path::new("/spool/created")).unwrap());
        // Proved, it is no longer ours to replace.
        put("captures/ours");
        conflict(send("ours"));
    }
}
