//! What is told, for notes as the other rooms leave them.

use super::look::{Found, look};
use super::metrics::render;
use super::server;
use super::state::{Observer, Peak};
use crate::capture::Tally;
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::schedule::StoreTarget;
use crate::spool::Spool;
use crate::sync::lock;
use crate::upload::{Failing, Progress, Sender};
use formats::seal::{Counts, Dropped, EndReason, Volume};
use formats::store::{FileName, RecordingId};
use jiff::Timestamp;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

const STALL: Duration = Duration::from_secs(10);

#[test]
fn a_capture_that_does_not_turn_is_complained_of() {
    let observer = Observer::new(STALL);
    let complaints = |after_s: u64| observer.0.complaints(Instant::now() + Duration::from_secs(after_s));
    let pulse = observer.open("nightly");
    pulse.turned();
    assert!(complaints(9).is_empty());
    assert_eq!(complaints(11), ["window nightly: the capture has not turned for 11 s"]);
    for after_s in [11, 12, 0, 11] {
        observer.0.sound_alarm(Instant::now() + Duration::from_secs(after_s));
    }
    assert!(render(&observer.0).unwrap().contains("remora_capture_stalled_times_total 2\n"), "each stall is told once");
    pulse.rests();
    assert!(complaints(3600).is_empty(), "who has done its work need not turn");
    pulse.turned();
    drop(pulse);
    assert!(complaints(3600).is_empty(), "who is gone neither");
}

#[test]
fn ready_is_who_has_a_ring_for_everything_that_is_due() {
    let observer = Observer::new(STALL);
    let missing = |after_s: u64| observer.0.missing(Instant::now() + Duration::from_secs(after_s));
    assert_eq!(missing(0), ["start-up is not over"]);
    observer.started();
    assert!(missing(0).is_empty(), "nothing is due");
    observer.expect("nightly", Duration::from_secs(600));
    assert_eq!(missing(0), ["window nightly: a recording is due, and has no ring yet"]);
    assert!(missing(601).is_empty(), "its time is over");
    observer.failed("nightly", "no room".to_owned());
    assert_eq!(observer.failures(), [("nightly".to_owned(), "no room".to_owned())].into());
    let pulse = observer.open("nightly");
    assert!(missing(0).is_empty() && observer.failures().is_empty());
    drop(pulse);
    assert!(missing(0).is_empty(), "it was made");
    observer.expect("nightly", Duration::from_secs(600));
    assert_eq!(missing(599).len(), 1, "it failed, and is begun again");
    observer.expect_only(|window| window == "nightly");
    assert_eq!(missing(0).len(), 1);
    observer.expect_only(|_| false);
    assert!(missing(0).is_empty(), "somebody stopped it");
    observer.expect("for-ever", Duration::MAX);
    assert!(missing(0).is_empty(), "beyond all times nothing is due");
}

#[test]
fn a_spool_that_cannot_be_written_is_complained_of() {
    let folder = tempfile::tempdir().unwrap();
    let observer = Observer::new(STALL);
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    let complaints = |after_s: u64| observer.0.complaints(Instant::now() + Duration::from_secs(after_s));
    look(&observer.0.look, &spool);
    assert!(complaints(0).is_empty());
    assert_eq!(std::fs::read_dir(spool.root()).unwrap().count(), 0, "looking leaves nothing behind");
    std::fs::remove_dir(spool.root()).unwrap();
    look(&observer.0.look, &spool);
    assert_eq!(complaints(0), ["the spool cannot be written: No such file or directory (os error 2)"]);
    lock(&observer.0.look).looking_since = Some(Instant::now());
    assert_eq!(complaints(12), ["the spool has not answered for 12 s"]);
    let text = render(&observer.0).unwrap();
    assert!(text.contains("remora_spool_writable 0.0\n"), "{text}");
}

#[test]
fn what_is_pinned_waits_for_the_store_until_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (observer, spool) = (Observer::new(STALL), Spool::open(folder.path()).unwrap());
    let id = RecordingId::parse_folder("c/w/20261124T100000Z/n").unwrap();
    let target =
        StoreTarget { url: "/store".parse().unwrap(), write_only: false, encrypt_to: Vec::new(), object_lock: None };
    spool.begin(&id, &target).unwrap();
    assert!(spool.pin(&id, Timestamp::now()).unwrap().is_some());
    spool.disk().write_durably(&spool.path(&id, &FileName::Close), b"{}").unwrap();
    let waits = || {
        look(&observer.0.look, &spool);
        lock(&observer.0.look).found.unwrap().waits_since.is_some()
    };
    let before = waits();
    spool.done(&id).unwrap();
    assert_eq!((before, waits()), (true, false));
}

#[test]
fn a_sender_that_is_gone_is_complained_of() {
    let folder = tempfile::tempdir().unwrap();
    let observer = Observer::new(STALL);
    let sender = Sender::new(Spool::open(folder.path()).unwrap());
    observer.follow(sender.progress());
    assert!(observer.0.complaints(Instant::now()).is_empty());
    drop(sender);
    let [complaint] = &observer.0.complaints(Instant::now())[..] else { panic!("it is told") };
    assert!(complaint.starts_with("nothing is stored any more"), "{complaint}");
}

#[test]
fn a_store_that_fails_is_named_once() {
    let observer = Observer::new(STALL);
    let target = |url: &str, write_only| {
        Some(StoreTarget { url: url.parse().unwrap(), write_only, encrypt_to: Vec::new(), object_lock: None })
    };
    let failing = |since| Some(Failing { since: Timestamp::from_second(since).unwrap(), why: "no route".to_owned() });
    let far = Timestamp::now().as_second() + 3600;
    let stores = [
        (target("s3://a/b", false), failing(far)),
        (target("s3://a/b", true), failing(0)),
        (target("/c", false), None),
        (None, failing(far)),
    ];
    observer.follow(watch::channel(Progress { stores: stores.into(), ..Progress::default() }).1);
    assert_eq!(observer.stores()["s3://a/b"], failing(0));
    let text = render(&observer.0).unwrap();
    let told = |line: &str| text.lines().filter(|told| told.starts_with(line)).count();
    assert_eq!(told("remora_upload_failing_seconds{store=\"s3://a/b\"} 1"), 1, "{text}");
    for line in ["{store=\"file:///c\"} 0.0", "{store=\"unknown\"} 0.0"] {
        assert_eq!(told(&format!("remora_upload_failing_seconds{line}")), 1, "{text}");
    }
}

#[test]
fn every_number_stands_once_with_its_labels() {
    let observer = Observer::new(STALL);
    let volume = |packets, bytes| Volume { packets, bytes };
    let pulses = ["a", "a", "b"].map(|window| observer.open(window));
    let tally = Tally { passed_packets: 9, dropped_packets: 2, refused_packets: 1 };
    for pulse in &pulses {
        pulse.turned();
        pulse.of_ring("host", tally, 0.25);
        let counts = Counts {
            seen: volume(10, 1000),
            written: volume(4, 300),
            snapped_bytes: 100,
            filtered: volume(1, 0),
            sampled: volume(0, 0),
            dropped: Dropped { kernel_packets: 2, ring: volume(1, 0), disk: volume(2, 600), spool: volume(0, 0) },
        };
        pulse.wrote(counts, Some(SystemClock.now()));
    }
    pulses[0].of_ring("host", tally, 0.75);
    pulses[2].of_ring("pod \"x\"\n", tally, 0.0);
    pulses[2].targets(2, 3);
    pulses[0].segment_sealed();
    observer.ended(&EndReason::SpoolFull);
    observer.left_out("a", "overlap");
    lock(&observer.0.look).found =
        Some(Found { used_bytes: 5, waiting_segments: 2, waits_since: Some(SystemTime::now() + STALL) });
    let text = render(&observer.0).unwrap();
    for line in [
        "# TYPE remora_capture_seen_packets counter",
        "remora_capture_seen_packets_total{window=\"a\"} 20",
        "remora_capture_seen_bytes_total{window=\"b\"} 1000",
        "remora_capture_dropped_packets_total{window=\"a\",stage=\"kernel\"} 4",
        "remora_rotate_ring_dropped_packets_total{window=\"a\",stage=\"ring\"} 2",
        "remora_rotate_dropped_packets_total{window=\"a\",stage=\"disk\"} 4",
        "remora_rotate_written_packets_total{window=\"a\"} 8",
        "remora_capture_ring_passed_packets_total{window=\"a\",target=\"host\"} 27",
        "remora_capture_ring_dropped_packets_total{window=\"b\",target=\"pod \\\"x\\\"\\n\"} 2",
        "remora_upload_dropped_packets_total{stage=\"spool\"} 0",
        "remora_capture_ring_fill_ratio{window=\"a\",target=\"host\"} 0.75",
        "remora_capture_captures 3.0",
        "remora_capture_recorded_targets{window=\"b\"} 2.0",
        "remora_capture_unrecorded_targets{window=\"a\"} 0.0",
        "remora_capture_unrecorded_targets{window=\"b\"} 3.0",
        "remora_seal_sealed_segments_total 1",
        "remora_log_lost_lines_total 0",
        "remora_schedule_ended_recordings_total{reason=\"spool_full\"} 1",
        "remora_schedule_left_out_runs_total{window=\"a\",reason=\"overlap\"} 1",
        "remora_observe_refused_triggers_total 0",
        "remora_spool_waiting_segments 2.0",
        "remora_upload_lag_seconds 0.0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let mut named: Vec<_> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(named, _)| named).collect();
    named.sort_unstable();
    assert!(named.windows(2).all(|two| two[0] != two[1]), "something is told twice in\n{text}");
    assert!(named.iter().all(|name| name.starts_with("remora_") || name.starts_with('#')));
}

#[test]
fn a_peak_is_remembered_for_a_while() {
    let mut peak = Peak::default();
    peak.add(0.9, 1_000);
    peak.add(0.1, 14_000);
    assert_eq!([14_999, 15_000, 29_999, 30_000].map(|now_ms| peak.get(now_ms)), [0.9, 0.9, 0.9, 0.0]);
    peak.add(0.2, 30_000);
    assert_eq!(peak.get(300_000), 0.0);
}

#[test]
fn who_asks_for_nothing_keeps_nobody_from_being_answered() {
    let observing = server::start(&Observer::new(STALL), "127.0.0.1:0".parse().ok(), None, None).unwrap();
    let connect = || TcpStream::connect(observing.address().unwrap()).unwrap();
    let mut silent: Vec<_> = (0..3 * limits::OBSERVERS).map(|_| connect()).collect();
    let (mut asks, mut answer) = (connect(), String::new());
    asks.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    asks.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "the oldest is closed");
    let newest = silent.last_mut().unwrap();
    newest.set_nonblocking(true).unwrap();
    newest.read(&mut [0]).expect_err("it still has its time");
}
