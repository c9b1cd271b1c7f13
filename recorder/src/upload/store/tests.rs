//! What stands where something is to be sent.

use super::*;
use crate::simulation::disk::SimDisk;
use crate::simulation::random::Random;
use futures::FutureExt;
use object_store::memory::InMemory;

/// Who can read compares, and overwrites nothing; who cannot sends its own again.
#[test]
fn what_is_there_is_compared_or_sent_again() {
    let (disk, file) = (SimDisk::new(Random::new(1)), Path::new("/spool/file"));
    disk.create_folders(Path::new("/spool")).unwrap();
    disk.write_durably(file, b"sealed").unwrap();
    let send = |store: &Store| store.send(&disk, "file", file, Hash256::of(b"sealed")).now_or_never().expect("memory");
    for (there, can_read, is_sent, left) in [
        (&b"sealed"[..], true, true, &b"sealed"[..]),
        (b"other", true, false, b"other"),
        (b"other", false, true, b"sealed"),
    ] {
        let (objects, place) = (Arc::new(InMemory::new()), StorePath::from("file"));
        objects.put(&place, there.to_vec().into()).now_or_never().unwrap().unwrap();
        let store = Store::over(objects.clone(), StorePath::default());
        let store = if can_read { store } else { store.write_only() };
        assert_eq!(send(&store).is_ok(), is_sent, "{there:?} {can_read}");
        let found = async { objects.get(&place).await.unwrap().bytes().await.unwrap() }.now_or_never().unwrap();
        assert_eq!(found, left, "{there:?} {can_read}");
    }
}
