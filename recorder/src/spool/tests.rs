//! What the disk cannot tell, and what is not ours, costs nothing.

use super::Spool;
use crate::clock::SystemClock;
use crate::disk::Disk;
use crate::ready::recover_all;
use crate::rotate::{OpenSegment, SegmentOptions};
use crate::schedule::{Config, StoreTarget};
use crate::seal::Chain;
use crate::simulation::disk::{Faults, SimDisk};
use crate::simulation::random::Random;
use crate::sync::lock;
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn target() -> StoreTarget {
    let config = "{cluster: c, store: /s, windows: [{name: w, always: true, interfaces: [any]}]}";
    Config::from_yaml(config).unwrap().windows[0].store.clone()
}

fn id(window: &str) -> RecordingId {
    RecordingId::parse_folder(&format!("c/{window}/20261124T100000Z/n")).unwrap()
}

/// A recording with two segments: one is sealed, and one was left open.
fn record(spool: &Spool, window: &str) -> RecordingId {
    let id = id(window);
    let folder = spool.begin(&id, &target()).unwrap();
    let mut chain = Chain::new(spool.clone(), id.clone(), Hash256::of(b""), Arc::new(SystemClock));
    let options = SegmentOptions { folder, ..SegmentOptions::default() };
    let segment =
        |sequence| OpenSegment::begin(spool.disk().as_ref(), sequence, 0, Default::default(), &options).unwrap();
    chain.seal(segment(1).finish().unwrap(), None).unwrap();
    drop(segment(2));
    id
}

#[test]
fn what_the_disk_cannot_tell_is_neither_removed_nor_given_up() {
    let disk = SimDisk::new(Random::new(1));
    let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    let id = record(&spool, "w");
    let segment = spool.seal(&id, 1).unwrap().unwrap();
    let before = disk.files();
    disk.set(Faults { look_fails_one_of: Some(1), ..Faults::default() });
    recover_all(&spool, &EndReason::Crash, Timestamp::UNIX_EPOCH).unwrap();
    assert!(spool.done(&id).is_err() && spool.tidy(&id).is_err() && spool.give_up(&id, &segment).is_err());
    assert!(spool.begin(&id, &target()).is_err() && Chain::resume(spool.clone(), id.clone()).is_err());
    assert_eq!(disk.files(), before);
    disk.set(Faults::default());
    recover_all(&spool, &EndReason::Crash, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(spool.close(&id).unwrap().unwrap().unwrap().segments, 2);
}

#[test]
fn a_recording_that_cannot_be_recovered_keeps_back_no_other() {
    let disk = SimDisk::new(Random::new(1));
    let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    let ids: Vec<RecordingId> = ["a", "b", "c", "d", "e", "f"].map(|window| record(&spool, window)).into();
    disk.set(Faults { look_fails_one_of: Some(12), ..Faults::default() });
    let closed = |id: &&RecordingId| disk.exists(&spool.path(id, &FileName::Close));
    let closed = [(); 3].map(|()| {
        recover_all(&spool, &EndReason::Crash, Timestamp::UNIX_EPOCH).unwrap();
        ids.iter().filter(closed).count()
    });
    assert!(0 < closed[0] && closed[0] <= closed[1] && closed[0] < closed[2], "{closed:?}");
}

#[test]
fn starts_that_cannot_be_read_keep_nobody_from_recording() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".starts/w")).unwrap();
    Spool::open(folder.path()).unwrap();
}

#[test]
fn what_was_given_up_is_not_given_up_again_nor_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let ids = ["pinned", "w"].map(|window| record(&spool, window));
    assert!(spool.pin(&ids[0], Timestamp::UNIX_EPOCH).unwrap());
    let given_up = ids.each_ref().map(|id| {
        let seal = spool.seal(id, 1).unwrap().unwrap();
        [(); 2].map(|()| spool.give_up(id, &seal).unwrap() > 0)
    });
    assert_eq!(given_up, [[false, false], [true, false]]);
    assert_eq!(ids.map(|id| spool.untold(&id).unwrap().0), [vec![], vec![1]]);
}

#[test]
fn what_is_not_ours_to_read_is_passed_over() {
    let disk = SimDisk::new(Random::new(1));
    let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    let id = record(&spool, "w");
    let used_bytes = spool.used_bytes().unwrap();
    for folder in ["lost+found", "c/lost+found", "c/w/lost+found", "c/guarded", "guarded", ".guarded"] {
        let folder = Path::new("/spool").join(folder);
        disk.create_folders(&folder).unwrap();
        disk.create(&folder.join("file")).unwrap().write_all(b"bytes").unwrap();
        disk.guard(&folder);
    }
    assert_eq!(spool.recordings().unwrap(), std::slice::from_ref(&id));
    let used = [spool.used_bytes().unwrap(), spool.used_bytes_of(&id.window).unwrap()];
    assert_eq!(used, [used_bytes; 2]);
    let told: Vec<PathBuf> = lock(&spool.passed_over).iter().cloned().collect();
    assert!(told.contains(&"/spool/c/guarded".into()) && !told.contains(&"/spool/lost+found".into()), "{told:?}");
}

#[test]
fn what_is_stored_and_could_not_be_removed_is_owed_to_nobody_and_removed_later() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let id = record(&spool, "w");
    let in_the_way = spool.folder(&id).join("000000");
    std::fs::create_dir(&in_the_way).unwrap();
    spool.done(&id).unwrap();
    assert_eq!((spool.unsent().unwrap(), spool.recordings().unwrap()), (vec![], vec![id]));
    std::fs::remove_dir(&in_the_way).unwrap();
    spool.remove_rest();
    assert_eq!((spool.recordings().unwrap(), lock(&spool.unremoved).len()), (vec![], 0));
}

#[test]
fn names_may_be_as_long_as_a_store_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let windows = [250, 251, 252, 253].map(|bytes| "w".repeat(bytes));
    windows.iter().for_each(|window| drop(record(&spool, window)));
    let taken = std::fs::read_dir(folder.path().join(".starts")).unwrap();
    let mut taken: Vec<String> = taken.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    taken.sort();
    assert_eq!(taken, windows);
}

#[test]
fn an_error_names_what_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    for in_the_way in ["c", ".starts"] {
        let path = folder.path().join(in_the_way);
        std::fs::write(&path, b"").unwrap();
        let error = spool.begin(&id("w"), &target()).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
