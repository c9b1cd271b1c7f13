//! Crashes between any two steps, each state made by hand.

mod restarts;

use super::backlog::Backlog;
use super::folder::Mark;
use super::recover::recover;
use super::{recover_all, remove_others};
use crate::clock::{Clock, Moment};
use crate::disk::{Disk, SystemDisk};
use crate::orders::{Orders, Trigger};
use crate::rotate::{Compression, Finished, OpenSegment, SegmentOptions};
use crate::schedule::{Config, Recording};
use crate::seal::Chain;
use crate::simulation::disk::SimDisk;
use crate::simulation::random::Random;
use crate::spool::Spool;
use formats::age::Identity;
use formats::chain::{Content, Found, Sound};
use formats::hash::Hash256;
use formats::seal::{Close, Counts, EndReason, SealedFile, Volume};
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WINDOW: &str = "{cluster: c, store: /s, windows: [{name: w, on_demand: true, duration: 10m, \
                      pre_trigger: 5m, interfaces: [any]}]}";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_525_500 + second).unwrap()
}

fn recording() -> Recording {
    let config = Config::from_yaml(WINDOW).unwrap();
    let id = RecordingId::parse_folder("c/w/20261124T100000Z/n").unwrap();
    let window = config.windows[0].clone();
    Recording { id, ends: Timestamp::MAX, window, configuration_sha256: config.sha256, spent: Volume::default() }
}

fn counts(packets: u64) -> Counts {
    let volume = Volume { packets, bytes: 100 * packets };
    Counts { seen: volume, written: volume, ..Counts::default() }
}

/// A clock that is set by hand, to seconds; both of its times go on alike.
#[derive(Debug, Default)]
struct Hand(Mutex<Moment>);

impl Hand {
    fn set(&self, second: i64) {
        *self.0.lock().unwrap() = Moment { wall: at(second), steady: Duration::from_secs(second as u64) };
    }
}

impl Clock for Hand {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }

    fn state(&self) -> Option<formats::seal::Clock> {
        let offset_ns = self.now().wall.as_second() - at(0).as_second();
        Some(formats::seal::Clock {
            offset_ns,
            source: "hand".to_owned(),
            synchronised: None,
            error_max_ns: None,
            steps: Vec::new(),
        })
    }
}

fn hand(second: i64) -> Arc<Hand> {
    let hand = Hand::default();
    hand.set(second);
    Arc::new(hand)
}

/// A segment as the writer leaves it, with `packets` packets as far as its counts say.
fn segment(folder: &Path, sequence: u32, packets: u64) -> Finished {
    segment_on(&SystemDisk, folder, sequence, packets)
}

fn segment_on(disk: &dyn Disk, folder: &Path, sequence: u32, packets: u64) -> Finished {
    let options = SegmentOptions {
        folder: folder.to_owned(),
        compression: Compression::Zstd,
        last_sequence: sequence - 1,
        ..SegmentOptions::default()
    };
    let mut segment = OpenSegment::begin(disk, sequence, 0, Moment::default(), &options).unwrap();
    segment.add(counts(packets));
    segment.finish().unwrap()
}

/// Three segments of 10 packets that are kept, numbered from 7, one a minute; the first 6 have expired.
fn kept(spool: &Spool) -> (Backlog, Arc<Hand>) {
    let clock = hand(0);
    let mut backlog = Backlog::open(spool, &recording(), clock.clone()).unwrap();
    for sequence in 1..10 {
        let finished = segment(backlog.folder(), sequence, 10);
        clock.set(60 * i64::from(sequence));
        backlog.take(finished).unwrap();
    }
    // What ended at 360 s is just too old.
    clock.set(661);
    backlog.expire(u64::MAX).unwrap();
    (backlog, clock)
}

/// What the chain says of the one recording of a spool, and its close.
fn verify(spool: &Spool) -> (Sound, Close) {
    let [id] = &spool.recordings().unwrap()[..] else { panic!("one recording") };
    let mut found = Vec::new();
    let disk = spool.disk();
    for entry in disk.list(&spool.folder(id)).unwrap() {
        let bytes = disk.read(&spool.folder(id).join(&entry.name)).unwrap();
        let name = entry.name.into_string().unwrap();
        if name.parse::<FileName>().is_err() {
            continue; // The spool's own, which is never stored.
        }
        let content = match Found::is_ledger(&name) {
            true => Content::Ledger(bytes),
            false => Content::Hashed { bytes: bytes.len() as u64, sha256: Hash256::of(&bytes) },
        };
        found.push(Found { name, content });
    }
    let close = Close::from_bytes(&disk.read(&spool.path(id, &FileName::Close)).unwrap()).unwrap();
    (formats::chain::verify(id, &found).unwrap(), close)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_trigger_makes_a_recording_and_a_second_one_extends_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let (mut backlog, clock) = kept(&spool);
    let orders = Orders::default();
    let (tell, told) = channel();
    for (second, ends) in [(661, 1000), (700, 900), (800, 1200)] {
        let tell = tell.clone();
        let told = move |id: Result<&RecordingId, String>| tell.send(id.map(RecordingId::folder)).unwrap();
        let trigger = Trigger { at: at(second), by: "test".to_owned(), ends: at(ends), told: Box::new(told) };
        backlog.trigger(trigger, &orders);
        assert_eq!(orders.ends(), Some(at(ends.max(1000))));
    }
    // Once nothing more is captured, the next one is triggered; nobody is told before.
    assert!(!orders.time_is_over(Some(at(1000))) && orders.time_is_over(Some(at(1200))));
    let trigger = Trigger { at: at(1190), by: "late".to_owned(), ends: at(1500), told: Box::new(|_| panic!("told")) };
    backlog.trigger(trigger, &orders);
    assert_eq!(orders.take_triggers().len(), 1);
    // It begins when its first segment did: as the one before ended.
    let id = orders.past().triggered.unwrap().0;
    assert_eq!(id.start.time(), at(360));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), vec![Ok(id.folder()); 3]);
    let finished = segment(backlog.folder(), 10, 10);
    clock.set(1100);
    backlog.take(finished).unwrap();
    let promoted = backlog.finish().unwrap().unwrap();
    promoted.chain.close(EndReason::Duration, at(1200)).unwrap();
    let (sound, close) = verify(&spool);
    assert_eq!((sound.segments, sound.counts, sound.recovered.len()), (4, counts(40), 0));
    // Each seal tells of the clock as it was when the segment was finished.
    let seals = (1..5).map(|sequence| spool.seal(&close.recording, sequence).unwrap().unwrap());
    assert_eq!(seals.map(|seal| seal.clock.unwrap().offset_ns).collect::<Vec<_>>(), [420, 480, 540, 1100]);
    let trigger = close.trigger.unwrap();
    assert_eq!((trigger.at, trigger.ready_since), (at(661), at(0)));
    assert_eq!((trigger.expired, trigger.expired_segments), (counts(60).written, 6));
    assert!(files(&spool.ready_folder(&recording().window.name)).is_empty());
}

#[test]
fn what_is_removed_while_the_disk_takes_no_count_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let (mut backlog, clock) = kept(&spool);
    // Where the count is to be written something else is.
    let in_the_way = backlog.folder().join("expired.json.open");
    fs::create_dir(&in_the_way).unwrap();
    backlog.make_room(1).unwrap_err();
    fs::remove_dir(&in_the_way).unwrap();
    clock.set(781); // The second of three is too old by now.
    backlog.expire(u64::MAX).unwrap();
    let trigger = Trigger { at: at(780), by: "test".to_owned(), ends: at(1000), told: Box::new(|_| {}) };
    backlog.trigger(trigger, &Orders::default());
    let promoted = backlog.finish().unwrap().unwrap();
    let close = promoted.chain.close(EndReason::Duration, at(800)).unwrap();
    let trigger = close.trigger.unwrap();
    assert_eq!((trigger.expired, trigger.expired_segments, close.counts), (counts(80).written, 8, counts(10)));
}

#[test]
fn room_and_age_bound_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let (mut backlog, clock) = kept(&spool);
    let since = |backlog: &Backlog| backlog.past().since.unwrap();
    assert_eq!(since(&backlog), at(360));
    let bytes = fs::metadata(backlog.folder().join("000009.pcapng.zst")).unwrap().len();
    backlog.expire(2 * bytes).unwrap();
    assert_eq!(since(&backlog), at(420));
    backlog.make_room(1).unwrap();
    assert_eq!(since(&backlog), at(480));
    // Whoever sets the time of day makes nothing older.
    clock.0.lock().unwrap().wall = at(100_000);
    backlog.expire(u64::MAX).unwrap();
    assert_eq!(since(&backlog), at(480));
    clock.set(10_000);
    backlog.expire(u64::MAX).unwrap();
    backlog.make_room(u64::MAX).unwrap();
    assert_eq!((since(&backlog), files(backlog.folder())), (at(540), vec!["expired.json".to_owned()]));
    // Numbers go on where they were.
    drop(backlog);
    assert_eq!(Backlog::open(&spool, &recording(), hand(0)).unwrap().last_sequence(), 9);
}

#[test]
fn crashes_before_the_trigger() {
    for (case, packets, crash) in [
        ("none", 30, (|_| {}) as fn(&Path)),
        ("renamed, not yet kept", 20, |folder| fs::remove_file(folder.join("000009.kept.json")).unwrap()),
        ("still open", 20, |folder| {
            fs::remove_file(folder.join("000009.kept.json")).unwrap();
            fs::rename(folder.join("000009.pcapng.zst"), folder.join("000009.pcapng.zst.open")).unwrap();
        }),
        ("being kept", 20, |folder| {
            fs::rename(folder.join("000009.kept.json"), folder.join("000009.kept.json.open")).unwrap();
        }),
        ("what was known is lost", 20, |folder| fs::write(folder.join("000009.kept.json"), b"{").unwrap()),
        ("removed, not yet counted", 30, |folder| {
            let expired = fs::read_to_string(folder.join("expired.json")).unwrap();
            let before = expired.replace("\"through\":6", "\"through\":5").replace("\"segments\":6", "\"segments\":5");
            fs::write(folder.join("expired.json"), before).unwrap();
            let kept = fs::read_to_string(folder.join("000007.kept.json")).unwrap();
            fs::write(folder.join("000006.kept.json"), kept.replace("000007", "000006")).unwrap();
        }),
        ("counted, not yet removed", 30, |folder| {
            fs::copy(folder.join("000009.pcapng.zst"), folder.join("000006.pcapng.zst")).unwrap();
            fs::copy(folder.join("000009.kept.json"), folder.join("000005.kept.json")).unwrap();
        }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        crash(kept(&spool).0.folder());
        assert!(recover(&spool, at(700)).unwrap().rests.is_empty(), "{case}");
        let mut backlog = Backlog::open(&spool, &recording(), hand(661)).unwrap();
        let trigger = Trigger { at: at(661), by: String::new(), ends: at(1000), told: Box::new(|_| {}) };
        backlog.trigger(trigger, &Orders::default());
        backlog.finish().unwrap().unwrap().chain.close(EndReason::Duration, at(1000)).unwrap();
        let (sound, close) = verify(&spool);
        // What is read back of a segment without packets has none.
        assert_eq!((sound.segments, sound.counts), (3, counts(packets)), "{case}");
        assert_eq!(sound.recovered.len(), usize::from(packets == 20), "{case}");
        assert_eq!(close.trigger.unwrap().expired_segments, 6, "{case}");
    }
}

#[test]
fn what_the_disk_lost_of_a_segment_that_is_kept_keeps_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    drop(kept(&spool));
    // What is encrypted is read before it is sealed.
    let mut recording = recording();
    Arc::make_mut(&mut recording.window).store.encrypt_to = vec![Identity::from_bytes([7; 32]).recipient()];
    let mut backlog = Backlog::open(&spool, &recording, hand(661)).unwrap();
    let lost = backlog.folder().join("000008.pcapng.zst");
    fs::write(&lost, vec![0; fs::read(&lost).unwrap().len()]).unwrap();
    let trigger = Trigger { at: at(661), by: String::new(), ends: at(1000), told: Box::new(|_| {}) };
    backlog.trigger(trigger, &Orders::default());
    backlog.finish().unwrap().unwrap().chain.close(EndReason::Duration, at(1000)).unwrap();
    let (sound, _) = verify(&spool);
    assert_eq!((sound.segments, sound.counts), (3, counts(20)));
    assert_eq!(sound.recovered, [2]);
}

/// As a recorder does it that dies before it seals what it moved.
fn move_first(spool: &Spool, ring: &Path, mark: &Mark) {
    spool.set_off(&mark.recording, &mark.trigger, &mark.store).unwrap();
    let name = FileName::segment(1, "pcapng.zst");
    fs::rename(ring.join("000007.pcapng.zst"), spool.path(&mark.recording, &name)).unwrap();
}

/// As a recorder does it that dies before it forgets what it has sealed.
fn seal_all(spool: &Spool, ring: &Path, mark: &Mark) {
    spool.set_off(&mark.recording, &mark.trigger, &mark.store).unwrap();
    let mut chain = Chain::resume(spool.clone(), mark.recording.clone()).unwrap();
    for sequence in 7..10 {
        let path = ring.join(format!("{sequence:06}.pcapng.zst"));
        let bytes = fs::read(&path).unwrap();
        let name = FileName::segment(sequence - 6, "pcapng.zst");
        let file = SealedFile { name, bytes: bytes.len() as u64, sha256: Hash256::of(&bytes), encrypted: None };
        let finished = Finished {
            path,
            file,
            counts: counts(10),
            targets: Default::default(),
            first_packet: None,
            last_packet: None,
            until: None,
            steps: Vec::new(),
            pause: None,
        };
        chain.seal(finished, None).unwrap();
    }
}

/// As a recorder does it that dies once nothing is kept any more.
fn promote_all(spool: &Spool, ring: &Path, mark: &Mark) {
    seal_all(spool, ring, mark);
    (7..10).for_each(|sequence| fs::remove_file(ring.join(format!("{sequence:06}.kept.json"))).unwrap());
}

/// As `promote_all`, and the next one was moved and not sealed.
fn promote_all_and_move_one(spool: &Spool, ring: &Path, mark: &Mark) {
    promote_all(spool, ring, mark);
    let name = FileName::segment(4, "pcapng.zst");
    fs::rename(segment(ring, 10, 0).path, spool.path(&mark.recording, &name)).unwrap();
}

#[test]
fn crashes_behind_the_trigger() {
    type Crash = fn(&Spool, &Path, &Mark);
    let crashes: [(&str, Crash, u32, &[u32]); 9] = [
        ("marked", |_, _, _| {}, 3, &[]),
        ("folder made", |spool, _, mark| fs::create_dir_all(spool.folder(&mark.recording)).unwrap(), 3, &[]),
        ("set off", |spool, _, mark| spool.set_off(&mark.recording, &mark.trigger, &mark.store).unwrap(), 3, &[]),
        ("moved, not sealed", move_first, 3, &[]),
        ("sealed, not forgotten", seal_all, 3, &[]),
        ("one was open", |_, ring, _| drop(segment(ring, 10, 0)), 4, &[4]),
        ("sealed, one was open", |spool, ring, mark| (promote_all(spool, ring, mark), segment(ring, 10, 0)).0, 4, &[4]),
        ("sealed, one moved", promote_all_and_move_one, 4, &[4]),
        (
            "sealed, one moved, two were open",
            |spool, ring, mark| {
                promote_all_and_move_one(spool, ring, mark);
                segment(ring, 11, 0);
                segment(ring, 12, 0);
            },
            6,
            &[4, 5, 6],
        ),
    ];
    for (case, crash, segments, recovered) in crashes {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let ring = kept(&spool).0.folder().to_owned();
        let id = RecordingId::parse_folder("c/w/20261124T100600Z/n").unwrap();
        let (now, by, expired) = (at(661), "test".to_owned(), counts(60).written);
        let trigger = formats::seal::Trigger { at: now, by, ready_since: at(0), expired, expired_segments: 6 };
        let store = recording().window.store.clone();
        let configuration_sha256 = recording().configuration_sha256;
        let mark = Mark { recording: id, store, configuration_sha256, ends: at(1000), trigger };
        fs::write(ring.join("trigger.json"), serde_json::to_vec(&mark).unwrap()).unwrap();
        crash(&spool, &ring, &mark);
        assert!(Backlog::open(&spool, &recording(), hand(661)).is_err(), "{case}: not before it is recovered");
        remove_others(&spool, &[]).unwrap();

        let rests = recover(&spool, now).unwrap().rests;
        assert_eq!(rests.iter().map(|rest| rest.ends).collect::<Vec<_>>(), [mark.ends], "{case}");
        let (sound, close) = verify(&spool);
        assert_eq!((sound.segments, sound.counts), (segments, counts(30)), "{case}");
        assert_eq!(sound.recovered.to_vec(), recovered, "{case}");
        assert_eq!((close.reason, close.trigger), (EndReason::Crash, Some(mark.trigger)), "{case}");
        // Once more changes nothing: what is left of it is still to be recorded, until its time is over.
        assert_eq!(
            (recover(&spool, now).unwrap().rests, files(&ring)),
            (rests, vec!["rest.json".to_owned()]),
            "{case}"
        );
        assert!(crate::recover::recover(&spool, &EndReason::Crash, now, |_| false).unwrap().is_empty());
        assert!(recover(&spool, mark.ends).unwrap().rests.is_empty() && files(&ring).is_empty(), "{case}");
    }
}

#[test]
fn what_is_ready_for_a_window_that_is_gone_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let (backlog, _) = kept(&spool);
    let (ring, name) = (backlog.folder().to_owned(), recording().window.name.clone());
    remove_others(&spool, &[]).unwrap();
    assert!(ring.exists(), "somebody works on it");
    drop(backlog);
    remove_others(&spool, &[name]).unwrap();
    assert!(ring.exists(), "it is wanted");
    remove_others(&spool, &[]).unwrap();
    assert!(!ring.exists());
}
