//! What was kept ready by a process before: the time between them is told, and nothing stands twice.

use super::*;
use crate::rotate::Untold;
use formats::pcapng::Target;
use formats::seal::{ClockStep, Dropped, DropsByTarget, Pause};

fn trigger(backlog: &mut Backlog, second: i64) {
    let trigger = Trigger { at: at(second), by: "test".to_owned(), ends: at(1000), told: Box::new(|_| {}) };
    backlog.trigger(trigger, &Orders::default());
}

#[test]
fn a_recording_that_ends_with_the_recorder_leaves_its_rest_to_the_next_start() {
    for (case, stop, want) in [
        ("with the recorder", &[Orders::end_for_now as fn(&Orders)][..], vec![at(1000)]),
        ("somebody stopped it", &[|orders| orders.end(EndReason::Stopped), Orders::end_for_now], vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let (mut backlog, _) = opened_anew(&spool);
        trigger(&mut backlog, 730);
        let orders = Orders::default();
        stop.iter().for_each(|stop| stop(&orders));
        drop(super::super::end(backlog, &orders).unwrap());
        let rests = recover(&spool, at(800)).unwrap().rests;
        assert_eq!(rests.into_iter().map(|rest| rest.ends).collect::<Vec<_>>(), want, "{case}");
    }
}

fn take(backlog: &mut Backlog, sequences: &[u32]) {
    sequences.iter().for_each(|&sequence| backlog.take(segment(backlog.folder(), sequence, 10)).unwrap());
}

fn close(backlog: Backlog) {
    backlog.finish().unwrap().unwrap().chain.close(EndReason::Duration, at(1000)).unwrap();
}

/// What each seal says; by a file's own time nothing is compared.
fn pauses(spool: &Spool, close: &Close) -> Vec<Option<(Timestamp, Timestamp)>> {
    let seals = (1..=close.segments).map(|sequence| spool.seal(&close.recording, sequence).unwrap().unwrap());
    seals
        .map(|seal| seal.pause.map(|Pause { from, until }| (if from > at(1000) { at(0) } else { from }, until)))
        .collect()
}

/// As [`kept`], then opened anew at 700 s.
fn opened_anew(spool: &Spool) -> (Backlog, Arc<Hand>) {
    drop(kept(spool));
    let clock = hand(700);
    (Backlog::open(spool, &recording(), clock.clone()).unwrap(), clock)
}

#[test]
fn the_time_without_a_ring_is_told_by_the_segment_behind_it() {
    type Case = fn(&Spool);
    let between = Some((at(540), at(700)));
    let cases: [(&str, Case, &[_]); 5] = [
        (
            "stopped",
            |spool| {
                let (mut backlog, clock) = opened_anew(spool);
                clock.set(720);
                take(&mut backlog, &[10, 11]);
                trigger(&mut backlog, 730);
                close(backlog);
            },
            &[None, None, None, between, None],
        ),
        (
            "triggered before it has a segment",
            |spool| {
                let (mut backlog, _) = opened_anew(spool);
                trigger(&mut backlog, 730);
                while backlog.promote_oldest().unwrap() {}
                take(&mut backlog, &[10, 11]);
                close(backlog);
            },
            &[None, None, None, between, None],
        ),
        (
            "killed behind the trigger",
            |spool| {
                let (mut backlog, _) = opened_anew(spool);
                trigger(&mut backlog, 730);
                while backlog.promote_oldest().unwrap() {}
                [10, 11].iter().for_each(|&sequence| drop(segment(backlog.folder(), sequence, 10)));
                drop(backlog);
                recover(spool, at(800)).unwrap();
            },
            &[None, None, None, between, None],
        ),
        (
            "killed with its first segment open, and stopped",
            |spool| {
                let (backlog, _) = opened_anew(spool);
                segment(backlog.folder(), 10, 10);
                drop(backlog);
                drop(Backlog::open(spool, &recording(), hand(750)).unwrap());
                let mut backlog = Backlog::open(spool, &recording(), hand(800)).unwrap();
                take(&mut backlog, &[11]);
                trigger(&mut backlog, 810);
                close(backlog);
            },
            // When the one that was open was written last, its file says.
            &[None, between, Some((at(0), at(800)))],
        ),
        (
            "nothing is kept any more",
            |spool| {
                let (mut backlog, _) = opened_anew(spool);
                backlog.make_room(u64::MAX).unwrap();
                take(&mut backlog, &[10]);
                trigger(&mut backlog, 730);
                close(backlog);
            },
            &[None],
        ),
    ];
    for (case, run, want) in cases {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        run(&spool);
        let (sound, close) = verify(&spool);
        let pauses = pauses(&spool, &close);
        assert_eq!(pauses, want, "{case}");
        assert_eq!(sound.pauses.len(), pauses.iter().flatten().count(), "{case}");
        assert!(files(&spool.ready_folder(&recording().window.name)).iter().all(|name| name == "rest.json"), "{case}");
    }
}

#[test]
fn it_is_ready_since_the_oldest_segment_of_the_process_before() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let clock = hand(0);
    let mut backlog = Backlog::open(&spool, &recording(), clock.clone()).unwrap();
    clock.set(60);
    backlog.take(segment(backlog.folder(), 1, 10)).unwrap();
    drop(backlog);
    let mut backlog = Backlog::open(&spool, &recording(), hand(100)).unwrap();
    assert_eq!(backlog.past().since, Some(at(0)));
    trigger(&mut backlog, 110);
    close(backlog);
    assert_eq!(verify(&spool).1.trigger.unwrap().ready_since, at(0));
}

/// Moved into the recording and sealed there: a power cut must not bring it back where it was, to be sealed once more.
#[test]
fn a_power_cut_brings_nothing_back_that_was_sealed() {
    for seed in 0..50 {
        let disk = SimDisk::new(Random::new(seed));
        let spool = Spool::open_on(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
        let clock = hand(0);
        let mut backlog = Backlog::open(&spool, &recording(), clock.clone()).unwrap();
        let take = |backlog: &mut Backlog, sequence| {
            let finished = segment_on(&disk, backlog.folder(), sequence, 10);
            clock.set(60 * i64::from(sequence));
            backlog.take(finished).unwrap();
        };
        (1..3).for_each(|sequence| take(&mut backlog, sequence));
        let trigger = Trigger { at: at(130), by: "test".to_owned(), ends: at(1000), told: Box::new(|_| {}) };
        backlog.trigger(trigger, &Orders::default());
        // One that was kept is sealed; or both, and one that came since.
        backlog.promote_oldest().unwrap();
        if seed % 2 == 0 {
            backlog.promote_oldest().unwrap();
            take(&mut backlog, 3);
        }
        drop(backlog);
        disk.cut_power();
        recover_all(&spool, &EndReason::Crash, at(600)).unwrap();
        let (sound, _) = verify(&spool);
        assert_eq!(sound.counts, counts(if seed % 2 == 0 { 30 } else { 20 }), "seed {seed}");
    }
}

#[test]
fn what_a_process_could_not_write_down_is_told_by_the_next_segment() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    drop(kept(&spool));
    let lost = Counts {
        seen: counts(7).seen,
        dropped: Dropped { disk: counts(7).seen, ..Dropped::default() },
        ..Counts::default()
    };
    let steps = vec![ClockStep { at: at(600), by_ns: 1_000_000_000 }];
    let target = Target { netns: 7, ..Target::default() };
    let mut targets = DropsByTarget::default();
    targets.add(&target, lost.dropped);
    let untold = Untold { counts: lost, targets: targets.clone(), steps: steps.clone() };
    spool.keep_untold(&spool.ready_folder(&recording().window.name), untold, Vec::new());
    let mut backlog = Backlog::open(&spool, &recording(), hand(700)).unwrap();
    take(&mut backlog, &[10, 11]);
    trigger(&mut backlog, 730);
    close(backlog);
    let (sound, close) = verify(&spool);
    let mut want = counts(50);
    want += lost;
    assert_eq!(sound.counts, want);
    let seal = spool.seal(&close.recording, 4).unwrap().unwrap();
    assert_eq!((seal.targets, seal.clock.unwrap().steps), (targets, steps));
}
