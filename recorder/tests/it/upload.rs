//! The upload room over stores in memory and in folders, with and without faults.

use crate::made::{self, Recording, verify};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use recorder::clock::{Clock, Moment};
use recorder::disk::SystemDisk;
use recorder::schedule::{SpoolFull, StoreTarget};
use recorder::spool::Spool;
use recorder::upload::{Progress, Proof, Room, Sender, Store, UploadError};
use std::sync::Arc;
use std::time::Duration;

fn target(url: &str) -> StoreTarget {
    StoreTarget { url: url.parse().unwrap(), write_only: false, encrypt_to: Vec::new(), object_lock: None }
}

/// A spool, and a store in memory that stands for the target.
struct Place {
    folder: tempfile::TempDir,
    target: StoreTarget,
    objects: Arc<dyn ObjectStore>,
}

impl Place {
    fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        Self { folder: tempfile::tempdir().unwrap(), target: target("s3://in/memory"), objects }
    }

    fn spool(&self) -> Spool {
        Spool::open(self.folder.path()).unwrap()
    }

    fn sender(&self) -> Sender {
        Sender::new(self.spool()).with_store(self.target.clone(), Store::over(self.objects.clone(), prefix()))
    }

    fn left_in_spool(&self) -> Vec<String> {
        self.spool().recordings().unwrap().iter().map(ToString::to_string).collect()
    }
}

/// A clock that only goes on when it is told to.
#[derive(Debug, Default)]
struct Steady(std::sync::Mutex<Duration>);

impl Clock for Steady {
    fn now(&self) -> Moment {
        Moment { steady: *self.0.lock().unwrap(), ..Moment::default() }
    }

    fn state(&self) -> Option<formats::seal::Clock> {
        None
    }
}

fn prefix() -> Path {
    Path::from("captures")
}

#[tokio::test]
async fn what_was_sealed_is_stored_and_the_spool_is_empty() {
    let place = Place::new();
    let spool = place.spool();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    recording.segment(1000);
    // Larger than a part: sent in several.
    recording.segment((8 << 20) + 17);
    recording.segment(0);
    recording.close();
    let mut sender = place.sender();
    let progress = sender.progress();
    sender.sweep().await.unwrap();
    let sound = verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.segments, sound.counts.written.packets), (3, 30));
    assert_eq!((place.left_in_spool().len(), spool.used_bytes().unwrap()), (0, 0));
    let progress = progress.borrow().clone();
    assert_eq!((progress.segments, progress.recordings), (3, 1));
    assert_eq!(progress.stores, [(Some(place.target.clone()), None)].into());
}

#[tokio::test]
async fn into_a_folder() {
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::new());
    let spool = place.spool();
    let target = target(folder.path().join("with a space").to_str().unwrap());
    let mut recording = Recording::begin(&spool, "nightly", &target);
    recording.segment(1000);
    recording.segment((8 << 20) + 17);
    recording.close();
    // Somebody was killed while he sent to it.
    let stored = folder.path().join("with a space").join(made::id("nightly").folder());
    std::fs::create_dir_all(&stored).unwrap();
    for name in ["000001.pcapng.zst#1", "close.json#17", "somebody's#1"] {
        std::fs::write(stored.join(name), b"{").unwrap();
    }
    Sender::new(spool).sweep().await.unwrap();
    let names = std::fs::read_dir(&stored).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains('#')).collect::<Vec<_>>(), ["somebody's#1"]);
    let objects = object_store::local::LocalFileSystem::new_with_prefix(folder.path().join("with a space")).unwrap();
    assert_eq!(verify(&objects, &Path::default(), &made::id("nightly")).await.unwrap().segments, 2);
    assert!(place.left_in_spool().is_empty());
}

#[tokio::test]
async fn a_recording_goes_on_while_it_is_sent() {
    let place = Place::new();
    let spool = place.spool();
    let mut sender = place.sender();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    sender.sweep().await.unwrap();
    recording.segment(10);
    sender.sweep().await.unwrap();
    let fault = verify(&place.objects, &prefix(), &recording.id).await.unwrap_err();
    assert!(fault.starts_with("close.json is missing"), "{fault}");
    assert_eq!(spool.waiting(&recording.id).unwrap(), [0; 0]);
    recording.segment(10);
    recording.close();
    // Another process, after a crash: nothing but the spool is known.
    drop(sender);
    place.sender().sweep().await.unwrap();
    assert_eq!(verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap().segments, 2);
}

#[tokio::test]
async fn nothing_in_the_store_is_overwritten_and_nothing_unproved_is_removed() {
    let place = Place::new();
    let spool = place.spool();
    for (window, there) in [("other-bytes", &b"evidence"[..]), ("same-bytes", b"inventory 1"), ("no-bytes", b"")] {
        let mut recording = Recording::begin(&spool, window, &place.target);
        recording.segment(10);
        recording.close();
        let folder = made::id(window).folder();
        let path = Path::from(format!("captures/{folder}/000001.inventory.jsonl.zst"));
        place.objects.put(&path, PutPayload::from_static(there)).await.unwrap();
    }
    let error = place.sender().sweep().await.unwrap_err();
    assert!(matches!(&error, UploadError::Conflict { path, .. } if path.contains("other-bytes")), "{error}");
    assert_eq!(place.left_in_spool(), [made::id("other-bytes").to_string()]);
    assert_eq!(spool.waiting(&made::id("other-bytes")).unwrap(), [1]);
    for window in ["same-bytes", "no-bytes"] {
        verify(&place.objects, &prefix(), &made::id(window)).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_the_disk_lost_is_told_of_and_keeps_nothing_back() {
    let place = Place::new();
    let spool = place.spool();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    recording.segment(100);
    recording.segment(100);
    std::fs::write(spool.folder(&recording.id).join("000001.pcapng.zst"), [0; 100]).unwrap();
    std::fs::remove_file(spool.folder(&recording.id).join("000002.pcapng.zst")).unwrap();
    let mut sender = place.sender();
    sender.sweep().await.unwrap();
    recording.segment(100);
    recording.close();
    sender.sweep().await.unwrap();
    let sound = verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.forgotten, sound.counts.dropped.spool.packets), ([1, 2].into(), 20));
    assert_eq!(sender.progress().borrow().given_up.packets, 20);
}

#[tokio::test]
async fn a_full_spool_gives_up_the_oldest_and_the_ledger_says_so() {
    let place = Place::new();
    let spool = place.spool();
    let sender = place.sender();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    for _ in 0..4 {
        recording.segment(10_000);
    }
    let bound = |bytes_max, full| sender.bound(bytes_max, full).enforce().unwrap();
    assert_eq!(bound(100_000, SpoolFull::Stop), Room::Left);
    assert_eq!(bound(30_000, SpoolFull::Stop), Room::Full);
    assert_eq!(bound(30_000, SpoolFull::DropOldest), Room::Left);
    assert!(spool.used_bytes().unwrap() <= 30_000);
    // The next seal tells of 1 and 2; of 3, given up later, only the close can.
    recording.segment(10_000);
    recording.close();
    assert_eq!(bound(25_000, SpoolFull::DropOldest), Room::Left);
    // Seals and totals themselves are never given up.
    assert_eq!(bound(10, SpoolFull::DropOldest), Room::Full);
    let mut sender = place.sender();
    sender.sweep().await.unwrap();
    assert_eq!(sender.progress().borrow().segments, 0, "seals alone");
    let sound = verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.forgotten, sound.segments, sound.files), ([1, 2, 3, 4, 5].into(), 5, 0));
    assert_eq!((sound.counts.dropped.spool.packets, sound.forgotten_at_close.packets), (20, 30));
}

#[tokio::test]
async fn what_is_stored_makes_room_and_is_not_lost_though_its_seal_is_not() {
    let place = Place::new();
    let spool = place.spool();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    (0..2).for_each(|_| recording.segment(10_000));
    let seal = Path::from(format!("captures/{}/000001.seal.json", made::id("nightly").folder()));
    place.objects.put(&seal, PutPayload::from_static(b"{}")).await.unwrap();
    let mut sender = place.sender();
    sender.sweep().await.unwrap_err();
    let bound = sender.bound(15_000, SpoolFull::DropOldest);
    let full = spool.used_bytes().unwrap();
    assert_eq!((bound.enforce().unwrap(), bound.enforce().unwrap()), (Room::Left, Room::Left));
    assert!(full - spool.used_bytes().unwrap() > 10_000);
    assert_eq!((sender.progress().borrow().given_up.packets, spool.untold(&recording.id).unwrap().0), (0, vec![]));
    sender.bound(5000, SpoolFull::DropOldest).enforce().unwrap();
    assert_eq!((sender.progress().borrow().given_up.packets, spool.untold(&recording.id).unwrap().0), (10, vec![2]));
    recording.close();
    place.objects.delete(&seal).await.unwrap();
    place.sender().sweep().await.unwrap();
    let sound = verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.forgotten, sound.forgotten_at_close.packets), ([2].into(), 10));
    assert_eq!(place.left_in_spool().len(), 0);
}

#[tokio::test]
async fn a_window_gives_up_its_own_segments_for_its_share() {
    let place = Place::new();
    let spool = place.spool();
    let mut recordings = ["hourly", "nightly"].map(|window| Recording::begin(&spool, window, &place.target));
    for recording in &mut recordings {
        (0..4).for_each(|_| recording.segment(10_000));
    }
    let config = "{cluster: c, store: /s, windows: [
        {name: hourly, always: true, interfaces: [any]},
        {name: nightly, always: true, interfaces: [any], budget: {spool: 25%}}]}";
    let config = recorder::schedule::Config::from_yaml(config).unwrap();
    let [hourly, nightly] = &config.windows[..] else { panic!("two windows") };
    let sender = place.sender();
    let room = |full, window| sender.bound(100_000, full).enforce_for(window).unwrap();
    assert_eq!((room(SpoolFull::Stop, hourly), room(SpoolFull::Stop, nightly)), (Room::Left, Room::ShareFull));
    assert_eq!((room(SpoolFull::DropOldest, hourly), room(SpoolFull::DropOldest, nightly)), (Room::Left, Room::Left));
    let untold = recordings.each_ref().map(|recording| spool.untold(&recording.id).unwrap().0);
    assert_eq!(untold, [vec![], vec![1, 2]]);
}

#[tokio::test]
async fn what_waited_too_long_is_given_up_and_the_ledger_says_so() {
    let place = Place::new();
    let spool = place.spool();
    let outside = tempfile::tempdir().unwrap();
    let store = outside.path().join("store");
    std::fs::write(&store, b"").unwrap();
    let mut recording = Recording::begin(&spool, "nightly", &target(store.to_str().unwrap()));
    recording.segment(10);
    // Sealed while the clock of the node stood wrong.
    let old = std::fs::File::open(spool.path(&recording.id, &"000001.seal.json".parse().unwrap())).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let (minute, clock) = (Duration::from_secs(60), Arc::new(Steady::default()));
    let mut sender = Sender::new(spool.clone()).with_age_max(Some(60 * minute), clock.clone());
    for (minutes, given_up) in [(7, 0), (59, 0), (60, 0), (67, 0), (69, 10)] {
        *clock.0.lock().unwrap() = minutes * minute;
        sender.sweep().await.unwrap_err();
        assert_eq!(sender.progress().borrow().given_up.packets, given_up, "after {minutes} min");
        if minutes == 59 {
            recording.segment(10);
        }
    }
    recording.close();
    assert_eq!(sender.progress().borrow().given_up.packets, 10);
    std::fs::remove_file(&store).unwrap();
    sender.sweep().await.unwrap();
    let objects = object_store::local::LocalFileSystem::new_with_prefix(&store).unwrap();
    let sound = verify(&objects, &Path::default(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.forgotten, sound.forgotten_at_close.packets, sound.segments), ([1].into(), 10, 2));
}

#[tokio::test]
async fn what_is_pinned_is_given_up_last_of_all() {
    let place = Place::new();
    let spool = place.spool();
    let mut recordings = ["hourly", "nightly"].map(|window| Recording::begin(&spool, window, &place.target));
    for recording in &mut recordings {
        (0..4).for_each(|_| recording.segment(10_000));
    }
    assert_eq!(spool.pin(&recordings[0].id, jiff::Timestamp::UNIX_EPOCH).unwrap(), Some(vec![]));
    let sender = place.sender();
    assert_eq!(sender.bound(60_000, SpoolFull::DropOldest).enforce().unwrap(), Room::Left);
    assert_eq!(sender.bound(10_000, SpoolFull::DropOldest).enforce().unwrap(), Room::Full);
    let untold = recordings.each_ref().map(|recording| spool.untold(&recording.id).unwrap().0);
    assert_eq!(untold, [vec![], vec![1, 2, 3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_and_everything_arrives() {
    let place = Place::new();
    let spool = place.spool();
    let outside = tempfile::tempdir().unwrap();
    let store = outside.path().join("store");
    // Where the store's folder should be, something else is.
    std::fs::write(&store, b"").unwrap();
    let mut recording = Recording::begin(&spool, "nightly", &target(store.to_str().unwrap()));
    recording.segment(10);
    recording.close();
    let sender = Sender::new(spool.clone());
    let mut progress = sender.progress();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(sender.run(stopped));
    progress.wait_for(|progress| progress.failures == 8).await.unwrap();
    let failing = |progress: &Progress| progress.by_url().into_values().next().flatten();
    let first = failing(&progress.borrow()).unwrap();
    assert!(first.why.starts_with(&format!("store {}: ", target(store.to_str().unwrap()).url)), "{}", first.why);
    progress.wait_for(|progress| progress.failures == 9).await.unwrap();
    assert_eq!(failing(&progress.borrow()).unwrap().since, first.since);
    std::fs::remove_file(&store).unwrap();
    progress.wait_for(|progress| progress.recordings == 1 && failing(progress).is_none()).await.unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
    let objects = object_store::local::LocalFileSystem::new_with_prefix(&store).unwrap();
    verify(&objects, &Path::default(), &made::id("nightly")).await.unwrap();
}

#[tokio::test]
async fn a_panic_over_one_store_is_a_failure_of_that_store() {
    let place = Place::new();
    let spool = place.spool();
    for (window, url) in [("a", "s3://{x}/one"), ("b", "s3://in/memory")] {
        let mut recording = Recording::begin(&spool, window, &target(url));
        recording.segment(10);
        recording.close();
    }
    // object_store panics over a bucket that no host is called like.
    let names =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"].map(|name| (name, "true"));
    let panics = Store::open_with(&target("s3://{x}/one"), names).unwrap();
    let mut sender = place.sender().with_store(target("s3://{x}/one"), panics);
    let progress = sender.progress();
    for failures in 1..3 {
        let error = sender.sweep().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: a bug: ", made::id("a"))), "{error}");
        assert_eq!((progress.borrow().recordings, progress.borrow().failures), (1, failures));
        let fails = progress.borrow().by_url().into_iter().map(|(url, failing)| (url, failing.is_some()));
        assert!(fails.eq([("s3://in/memory".to_owned(), false), ("s3://{x}/one".to_owned(), true)]));
    }
    assert_eq!(place.left_in_spool(), [made::id("a").to_string()]);
    assert!(!progress.borrow().is_over);
    drop(sender);
    assert!(progress.borrow().is_over);
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_told() {
    let open = |value: &str| Store::open_with(&target("s3://captures/x"), [("AWS_ENDPOINT", value)]);
    let error = open("minio:9000").unwrap_err().to_string();
    assert_eq!(error, "store s3://captures/x: AWS_ENDPOINT is not like http://host:9000 or https://host");
    open("").unwrap();
}

#[tokio::test(start_paused = true)]
async fn stores_that_do_not_answer_keep_no_other_waiting() {
    let place = Place::new();
    let spool = place.spool();
    let late = std::time::Duration::from_secs(100);
    let mut sender = place.sender();
    for silent in ["s3://silent/one", "s3://silent/two"] {
        let config = ThrottleConfig { wait_put_per_call: late, ..ThrottleConfig::default() };
        let objects = Arc::new(ThrottledStore::new(InMemory::new(), config));
        sender = sender.with_store(target(silent), Store::over(objects, prefix()));
    }
    let windows = [
        ("a", "s3://silent/one"),
        ("b", "s3://in/memory"),
        ("c", "s3://silent/two"),
        ("d", "s3://in/memory"),
        ("e", "s3://silent/one"),
    ];
    for (window, url) in windows {
        let mut recording = Recording::begin(&spool, window, &target(url));
        (0..5).for_each(|_| recording.segment(1000));
        recording.close();
    }
    let mut progress = sender.progress();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let began = tokio::time::Instant::now();
    let running = tokio::spawn(sender.run(stopped));
    progress.wait_for(|progress| progress.recordings == 2).await.unwrap();
    assert!(began.elapsed().as_secs() < 60, "after {:?}", began.elapsed());
    assert_eq!(place.left_in_spool().len(), 3);
    // By themselves they have all the time there is.
    progress.wait_for(|progress| progress.recordings == 5).await.unwrap();
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_told_of_before_its_request_is_over() {
    let place = Place::new();
    let spool = place.spool();
    let config = ThrottleConfig { wait_put_per_call: std::time::Duration::from_secs(100), ..ThrottleConfig::default() };
    let objects = Arc::new(ThrottledStore::new(InMemory::new(), config));
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    recording.segment(10);
    recording.close();
    let sender = Sender::new(spool.clone()).with_store(place.target.clone(), Store::over(objects, prefix()));
    let mut progress = sender.progress();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(sender.run(stopped));
    let failing = |progress: &Progress| progress.by_url().into_values().next().flatten();
    for _ in 0..2 {
        let told = progress.wait_for(|progress| failing(progress).is_some()).await.unwrap().clone();
        assert!(failing(&told).unwrap().why.ends_with("no answer since then"), "{told:?}");
        assert_eq!((told.failures, told.segments), (0, 0));
        progress.wait_for(|progress| failing(progress).is_none()).await.unwrap();
    }
    progress.wait_for(|progress| progress.recordings == 1 && failing(progress).is_none()).await.unwrap();
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_one_spool_are_in_each_others_way_unharmed() {
    let place = Place::new();
    let spool = place.spool();
    let mut recording = Recording::begin(&spool, "nightly", &place.target);
    (0..3).for_each(|_| recording.segment(10));
    recording.close();
    let config = ThrottleConfig { wait_put_per_call: std::time::Duration::from_secs(1), ..ThrottleConfig::default() };
    let slow = Arc::new(ThrottledStore::new(Arc::clone(&place.objects), config));
    let mut slow = Sender::new(place.spool()).with_store(place.target.clone(), Store::over(slow, prefix()));
    let mut quick = place.sender();
    let (first, second) = tokio::join!(slow.sweep(), quick.sweep());
    first.unwrap();
    second.unwrap();
    let sound = verify(&place.objects, &prefix(), &made::id("nightly")).await.unwrap();
    assert_eq!((sound.segments, sound.forgotten.len()), (3, 0));
    assert_eq!(slow.progress().borrow().given_up.packets, 0);
    assert!(place.left_in_spool().is_empty());
}

#[tokio::test]
async fn a_receipt_says_how_it_was_proved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"abc").unwrap();
    let store = Store::open(&target(folder.path().to_str().unwrap())).unwrap();
    let sealed = formats::hash::Hash256::of(b"abc");
    let receipt = store.send(&SystemDisk, "a/b", &file, sealed).await.unwrap();
    assert_eq!((receipt.proof, receipt.bytes, receipt.sha256), (Proof::ReadBack, 3, sealed));
    let damaged = store.send(&SystemDisk, "a/c", &file, formats::hash::Hash256::of(b"abd")).await.unwrap_err();
    assert!(matches!(damaged, UploadError::Damaged { .. }), "{damaged}");
    assert!(!folder.path().join("a/c").exists());
}
