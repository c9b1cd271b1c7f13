//! What the disk cannot tell, and what is not ours, costs nothing.

use super::Spool;
use crate::clock::SystemClock;
use crate::disk::Disk;
use crate::ready::recover_all;
use crate::rotate::{OpenSegment, SegmentOptions, Untold};
use crate::schedule::{Config, StoreTarget};
use crate::seal::Chain;
use crate::simulation::disk::{Faults, SimDisk};
use crate::simulation::random::Random;
use crate::sync::lock;
use formats::hash::Hash256;
use formats::seal::{Counts, EndReason, Volume};
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
pub(crate) fn record(spool: &Spool, window: &str) -> RecordingId {
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
fn what_may_be_told_already_is_told_once() {
    let disk = SimDisk::new(Random::new(1));
    let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    let id = record(&spool, "w");
    let lost = |packets| {
        let seen = Volume { packets, bytes: packets };
        Untold { counts: Counts { seen, ..Counts::default() }, ..Untold::default() }
    };
    let folder = spool.folder(&id);
    let seal = |sequence| vec![spool.path(&id, &FileName::seal(sequence))];
    spool.keep_untold(&folder, lost(1), seal(1));
    spool.keep_untold(&folder, lost(2), seal(2));
    spool.keep_untold(&folder, lost(4), Vec::new());
    disk.set(Faults { look_fails_one_of: Some(1), ..Faults::default() });
    spool.take_untold(&folder).unwrap_err();
    disk.set(Faults::default());
    assert_eq!([(); 2].map(|()| spool.take_untold(&folder).unwrap()), [lost(6), lost(0)]);
}

#[test]
fn starts_that_cannot_be_read_keep_nobody_from_recording() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".starts/w")).unwrap();
    Spool::open(folder.path()).unwrap();
}

#[test]
fn starts_that_an_earlier_version_wrote_are_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".starts")).unwrap();
    std::fs::write(folder.path().join(".starts/w"), br#"["2026-11-24T10:00:00Z"]"#).unwrap();
    for taken_ms in 1..3 {
        let spool = Spool::open(folder.path()).unwrap();
        let mut id = RecordingId::parse_folder("c/w/20261124T100000Z/n").unwrap();
        spool.starts().take(&mut id);
        assert_eq!(id.start.time().subsec_millisecond(), taken_ms);
        spool.keep_starts(&id.window).unwrap();
    }
}

#[test]
fn what_was_given_up_is_not_given_up_again_nor_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let ids = ["pinned", "w"].map(|window| record(&spool, window));
    assert_eq!(spool.pin(&ids[0], Timestamp::UNIX_EPOCH).unwrap(), Some(vec![]));
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
    let used = [spool.used_bytes().unwrap(), spool.waiting_bytes_of(&id.window).unwrap()];
    assert_eq!(used, [used_bytes; 2]);
    let told: Vec<PathBuf> = lock(&spool.passed_over).iter().cloned().collect();
    assert!(told.contains(&"/spool/c/guarded".into()) && !told.contains(&"/spool/lost+found".into()), "{told:?}");
}

#[test]
fn what_is_stored_and_pinned_waits_no_longer_and_what_had_gone_is_told() {
    let disk = SimDisk::new(Random::new(1));
    let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    assert_eq!(spool.pin(&id("none"), Timestamp::UNIX_EPOCH).unwrap(), None);
    let [early, late] = ["early", "late"].map(|window| record(&spool, window));
    let seals = [&early, &late].map(|id| spool.seal(id, 1).unwrap().unwrap());
    let waiting_bytes = |id: &RecordingId| spool.waiting_bytes_of(&id.window).unwrap();
    let segment_bytes = seals[0].files[0].bytes;
    let before = waiting_bytes(&early);
    assert_eq!(spool.pin(&early, Timestamp::UNIX_EPOCH).unwrap(), Some(vec![]));
    spool.sent(&early, &seals[0]).unwrap();
    spool.sent(&late, &seals[1]).unwrap();
    for _ in 0..2 {
        assert_eq!(spool.pin(&early, Timestamp::UNIX_EPOCH).unwrap(), Some(vec![]), "it stayed");
        assert_eq!(spool.pin(&late, Timestamp::UNIX_EPOCH).unwrap(), Some(vec![1]), "it had gone");
    }
    assert!(waiting_bytes(&early) + segment_bytes <= before);
    spool.done(&early).unwrap();
    assert_eq!(waiting_bytes(&early), 0);
    assert!(disk.exists(&spool.path(&early, &seals[0].files[0].name)) && spool.used_bytes().unwrap() > segment_bytes);
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
