//! What must be so at the end, whatever happened.

use super::store;
use super::truth::{Promise, Truth};
use super::world::{World, identity, key, prefix};
use crate::rotate::tests::read;
use crate::schedule::SpoolFull;
use formats::age::Decrypt;
use formats::chain::{self, Content, Found, Sound};
use formats::hash::Hash256;
use formats::seal::{Close, Counts, DropsByTarget, EndReason, Seal, Volume};
use formats::store::{FileName, RecordingId};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

/// How far the sum of steps may be from the truth: small ones are not told.
const STEP_MIN_NS: i128 = 5_000_000;

pub fn world(world: &mut World) {
    let files = world.disk.files().into_iter();
    // What recordings began when outlives them.
    let left: Vec<PathBuf> = files.filter(|path| !path.starts_with("/spool/.starts")).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "left in the spool");
    // Triggered, and dead before anybody could be told.
    for id in store::recordings(&world.store, &prefix()) {
        let untold = || Truth { promise: Some(Promise::default()), ..Truth::default() };
        world.truth.entry(id).or_insert_with(untold);
    }
    for (id, truth) in &world.truth {
        let folder = id.folder().split('/').fold(prefix(), |path, part| path.join(part));
        let files: BTreeMap<String, Vec<u8>> = store::folder(&world.store, &folder).into_iter().collect();
        if files.is_empty() && !truth.begun {
            continue;
        }
        let sound = recording(id, &world.truth, &files, world.disk.has_betrayed());
        let may_give_up = world.full == SpoolFull::DropOldest || world.disk.has_betrayed();
        assert!(may_give_up || sound.forgotten.is_empty(), "{id}: given up without need: {:?}", sound.forgotten);
        let recipients = world.is_encrypted.then(|| identity().recipient());
        let has_files = sound.files > 0 || !sound.forgotten.is_empty();
        assert_eq!(sound.recipients, recipients.filter(|_| has_files).into_iter().collect(), "{id}: who can read it");
        world.deeds.recordings += 1;
        world.deeds.segments += u64::from(sound.segments);
        world.deeds.recovered += sound.recovered.len() as u64;
        world.deeds.forgotten += sound.forgotten.len() as u64;
        world.deeds.packets += sound.counts.written.packets;
        world.deeds.lost_by_kernel += sound.counts.dropped.kernel_packets;
        world.deeds.lost_in_rings += sound.counts.dropped.ring.packets;
    }
}

fn recording(
    id: &RecordingId,
    truths: &BTreeMap<RecordingId, Truth>,
    files: &BTreeMap<String, Vec<u8>>,
    is_disk_bad: bool,
) -> Sound {
    let truth = &truths[id];
    let found: Vec<Found> = files.iter().map(|(name, bytes)| found(name, bytes)).collect();
    let sound = chain::verify_signed(id, &found, &[key().public()]);
    let sound = sound.unwrap_or_else(|fault| panic!("{id}: {fault}"));
    let close = Close::from_bytes(&files[&FileName::Close.to_string()]).expect("it was verified");
    let seals: Vec<Seal> = (1..=sound.segments)
        .map(|sequence| Seal::from_bytes(&files[&FileName::seal(sequence).to_string()]).expect("it was verified"))
        .collect();

    let mut numbers = Vec::new();
    // A pause is told where other rings go on, and nowhere else.
    let (mut front, mut is_paused) = (None, false);
    for seal in &seals {
        let before = numbers.len();
        is_paused |= seal.pause.is_some();
        let counts = &seal.counts;
        balances(id, seal.sequence, counts);
        let (told, lost) = (seal.targets.sum(), counts.dropped);
        let is_told = (told.kernel_packets, told.ring, told.disk) == (lost.kernel_packets, lost.ring, lost.disk);
        assert!(is_told || seal.recovered.is_some(), "{id} {}: {told:?} by target, {lost:?} in all", seal.sequence);
        let written = counts.written.packets;
        let sealed = truth.sealed.get(&seal.sequence);
        let file = seal.files.first().and_then(|file| files.get(&file.name.to_string()));
        match (file, sealed) {
            (Some(file), sealed) => {
                let inside = packets(&seal.files[0].name, file);
                assert_eq!(inside.len() as u64, written, "{id} {}: packets in the file", seal.sequence);
                assert!(sealed.is_none_or(|sealed| *sealed == inside), "{id} {}: other packets", seal.sequence);
                numbers.extend(inside);
            }
            (None, Some(sealed)) => {
                assert_eq!(sealed.len() as u64, written, "{id} {}: packets given up", seal.sequence);
                numbers.extend(sealed);
            }
            // Given up, and sealed by a later life, or by one that died before it knew: how many is all there is.
            (None, None) => {}
        }
        if let Some(of_front) = numbers.get(before).map(|number| number >> 48) {
            let follows = front.replace(of_front);
            let is_told = follows.is_none_or(|follows: u64| is_paused == (follows != of_front));
            assert!(is_told || is_disk_bad, "{id} {}: rings {follows:x?}, then {of_front:x}", seal.sequence);
            is_paused = false;
        }
    }
    in_order(id, &numbers);
    let highest = truth.sealed.keys().max().copied().unwrap_or(0);
    assert!(sound.segments >= highest, "{id}: a sealed segment is gone");

    let mut given_up = Volume::default();
    for seal in seals.iter().filter(|seal| sound.forgotten.contains(&seal.sequence)) {
        given_up += seal.counts.written;
    }
    let mut told = sound.counts.dropped.spool;
    told += sound.forgotten_at_close;
    assert_eq!(told, given_up, "{id}: {:?} were given up", sound.forgotten);

    let is_excused = !sound.forgotten.is_empty() || is_disk_bad;
    let numbers: BTreeSet<u64> = numbers.into_iter().collect();
    let mut by_target = DropsByTarget::default();
    seals.iter().for_each(|seal| by_target += seal.targets.clone());
    // One that died while it closed may have done it.
    if let Some(promise) = &truth.promise {
        as_promised(id, promise, &numbers, is_excused);
        let has_all = close.trigger.as_ref().is_some_and(|trigger| trigger.expired_segments == 0);
        if let Some(writer) = promise.is_all_of.as_ref().filter(|_| has_all) {
            as_it_should(id, &truths[writer], &close, &by_target);
        }
    } else if truth.closed || Some(&close.reason) == truth.closing.as_ref() {
        as_it_should(id, truth, &close, &by_target);
    } else {
        after_a_crash(id, truth, &close, &numbers, is_excused);
    }
    sound
}

/// Each ring counts its packets, and comes at most once to each of them.
fn in_order(id: &RecordingId, numbers: &[u64]) {
    let mut rings: BTreeMap<u64, u64> = BTreeMap::new();
    for number in numbers {
        let before = rings.insert(number >> 32, *number);
        assert!(before.is_none_or(|before| before < *number), "{id}: packets twice or in disorder: {numbers:x?}");
    }
}

/// Triggered: what was kept then is there, and where nothing went wrong since, what came since, and nothing else.
fn as_promised(id: &RecordingId, promise: &Promise, numbers: &BTreeSet<u64>, is_excused: bool) {
    if is_excused {
        return;
    }
    let missing: Vec<&u64> = promise.kept.difference(numbers).collect();
    assert!(missing.is_empty(), "{id}: kept when it was triggered, and not there: {missing:x?}");
    if promise.is_all && promise.is_ended {
        let all: BTreeSet<u64> = promise.kept.union(&promise.since).copied().collect();
        assert_eq!(*numbers, all, "{id}: other packets than it was to have");
    }
}

/// Closed as it should be: the ledger is the truth.
fn as_it_should(id: &RecordingId, truth: &Truth, close: &Close, told_by_target: &DropsByTarget) {
    assert_eq!(Some(&close.reason), truth.closing.as_ref(), "{id}");
    let taken = truth.packets.iter().filter(|(_, is_taken)| *is_taken).count() as u64;
    let (counts, given) = (&close.counts, &truth.given);
    assert_eq!(counts.written.packets, taken, "{id}: written");
    assert_eq!(counts.dropped.disk.packets, truth.packets.len() as u64 - taken, "{id}: lost on the disk");
    assert_eq!((counts.seen, counts.filtered), (given.seen, given.filtered), "{id}: seen and filtered");
    assert_eq!(counts.dropped.kernel_packets, given.dropped.kernel_packets, "{id}: dropped by the kernel");
    let (seen, told) = (&truth.seen, [counts.seen.packets, counts.filtered.packets, counts.dropped.kernel_packets]);
    assert_eq!(told, [seen.shown, seen.refused, seen.dropped.values().sum()], "{id}: not what was on the wire");
    assert!(seen.broke_down || counts.dropped.ring.packets == 0, "{id}: rings were not read to their end");
    let told = told_by_target.0.iter().map(|of| (of.netns, [of.dropped.kernel_packets, of.dropped.disk.packets]));
    let told: BTreeMap<u64, [u64; 2]> = told.filter(|(_, told)| *told != [0, 0]).collect();
    assert_eq!(told, lost_by_target(truth), "{id}: lost by the kernel and on the disk, by target");
    if let Some((first, last)) = truth.offsets {
        let steps = close.clock.iter().flat_map(|clock| &clock.steps);
        let told: i128 = steps.map(|step| i128::from(step.by_ns)).sum();
        let off = (last - first).as_nanos() - told;
        assert!(off.abs() <= STEP_MIN_NS || close.clock.is_none(), "{id}: the clock was set by {off} ns more");
    }
}

/// Packets that the kernel dropped, and that the disk did not take.
fn lost_by_target(truth: &Truth) -> BTreeMap<u64, [u64; 2]> {
    let dropped = truth.seen.dropped.iter().map(|(netns, dropped)| (*netns, [*dropped, 0]));
    let mut lost: BTreeMap<u64, [u64; 2]> = dropped.collect();
    for (number, _) in truth.packets.iter().filter(|(_, is_taken)| !is_taken) {
        lost.entry(truth.seen.targets[&(number >> 32)]).or_default()[1] += 1;
    }
    lost
}

/// Closed by a later life: of what was written nothing is missing, but what was never synced before a power cut.
fn after_a_crash(id: &RecordingId, truth: &Truth, close: &Close, numbers: &BTreeSet<u64>, is_excused: bool) {
    assert!(matches!(close.reason, EndReason::Crash | EndReason::Failure), "{id}: {:?}", close.reason);
    let counts = &close.counts;
    assert!(counts.seen.packets <= truth.given.seen.packets, "{id}: more was seen than there was");
    assert!(counts.filtered.packets <= truth.given.filtered.packets, "{id}: more was filtered than there was");
    let lost = truth.packets.iter().filter(|(_, is_taken)| !is_taken).count() as u64;
    // What the file does not tell apart, recovery counts as lost on the disk.
    let (told, lost) =
        (counts.dropped.disk.packets + counts.dropped.ring.packets, lost + truth.given.dropped.ring.packets);
    assert!(told <= lost, "{id}: more was lost than there was");
    if truth.power_cut || is_excused {
        return;
    }
    if truth.told {
        assert_eq!(counts.seen.packets, truth.seen.shown, "{id}: failed, and not what was on the wire");
    }
    let missing = truth.packets.iter().filter(|(number, taken)| *taken && !numbers.contains(number));
    let missing: Vec<u64> = missing.map(|(number, _)| *number).collect();
    assert!(missing.is_empty(), "{id}: written, and not recovered: {missing:?} of {:?}", truth.packets);
}

/// `seen` is `written` and `filtered` and all that was dropped.
fn balances(id: &RecordingId, sequence: u32, counts: &Counts) {
    let dropped = &counts.dropped;
    let sum = counts.written.packets + counts.filtered.packets + counts.sampled.packets + dropped.kernel_packets;
    let sum = sum + dropped.ring.packets + dropped.disk.packets;
    assert_eq!(counts.seen.packets, sum, "{id} {sequence}: {counts:?}");
}

fn found(name: &str, bytes: &[u8]) -> Found {
    let content = match Found::is_ledger(name) {
        true => Content::Ledger(bytes.to_vec()),
        false => Content::Hashed { bytes: bytes.len() as u64, sha256: Hash256::of(bytes) },
    };
    Found { name: name.to_owned(), content }
}

/// The numbers of the packets in a segment.
fn packets(name: &FileName, bytes: &[u8]) -> Vec<u64> {
    let mut stored = bytes.to_vec();
    if name.decrypted().is_some() {
        stored = Vec::new();
        let decrypted = Decrypt::open(bytes, &[identity()]).and_then(|mut file| file.read_to_end(&mut stored));
        decrypted.expect("it is ours");
    }
    let plain = match name.decrypted().as_ref().unwrap_or(name).to_string().ends_with(".zst") {
        true => zstd::decode_all(&stored[..]).expect("whole frames"),
        false => stored,
    };
    let blocks = read(&plain);
    let packets = blocks.iter().filter_map(|block| block.as_enhanced_packet());
    // Behind the addresses and the tag that the kernel took out, and the type.
    let number = |data: &[u8]| u64::from_be_bytes(data[18..26].try_into().expect("eight bytes"));
    packets.map(|packet| number(&packet.data)).collect()
}
