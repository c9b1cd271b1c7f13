//! The recorder in a world where everything goes wrong: one thread, one seed, and the real rooms from `targets` to `upload`,
//! `ready` and `recover` over a kernel, a disk, a clock and a store that are simulated.
//!
//!     rings ──▶ Pump ──▶ Writer ──▶ Chain or Backlog ──▶ spool ──▶ Sender ──▶ store     lives of one process after another
//!       ▲ Scout                                                                 │
//!     wire ─────────────────────── what is true ─────────▶ check ◀──────────────┘       after the last one, in peace
//!
//! Which of them goes on next is chance, as is what happens: targets come and go, rings fill up and break down, what is kept
//! ready is triggered, recordings are pinned, the process dies in any operation on the disk or while it waits for the store, the
//! power is cut, syncs fail or lie, looks and changes fail, the disk is full or read-only, the store is down, forbids, loses
//! answers and what it said it has, gets objects that were damaged on their way, and somebody sets the clock.
//!
//! Whatever happened, the capture hands on within a second, the spool keeps to its bound, and what is pinned stays. At the end
//! every recording is in the store, whole, signed and chained, its ledger balances packet for packet against the source, by
//! target, nothing was given up without need, and the spool is empty.
//!
//! Which windows begin when is a world of its own: a clock that is set, and runs that fail; none of them falls silent.
//!
//! `REMORA_SIM_SEED=N` replays one seed and shows its log; `REMORA_SIM_SEEDS=N` runs so many, `N..M` those.

mod check;
pub(crate) mod clock;
pub(crate) mod disk;
mod front;
mod life;
pub(crate) mod random;
mod ready;
mod recording;
pub(crate) mod ring;
mod schedule;
pub(crate) mod store;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// Seeds of the gate: about twenty seconds.
const SEEDS: u64 = 200;

#[test]
fn whatever_goes_wrong_the_ledger_balances() {
    let mut sums = truth::Deeds::default();
    each_seed(|seed| {
        let mut world = World::run(seed);
        check::world(&mut world);
        sums += world.deeds;
    });
    eprintln!("{sums:?}");
}

#[test]
fn a_seed_replays() {
    for seed in 0..10 {
        let [deeds, again] = [(); 2].map(|()| World::run(seed).deeds);
        assert_eq!(deeds, again, "seed {seed}");
    }
}

#[test]
fn whoever_sets_the_clock_silences_no_window() {
    let (mut steps, mut runs) = (0, 0);
    each_seed(|seed| {
        let of_seed = schedule::run(seed);
        (steps, runs) = (steps + of_seed.0, runs + of_seed.1);
    });
    eprintln!("the clock was set {steps} times, {runs} runs");
}

/// Runs a world for each seed that is asked for.
fn each_seed(mut run: impl FnMut(u64)) {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let one = std::env::var("REMORA_SIM_SEED").ok().map(|seed| number(&seed));
    let many = std::env::var("REMORA_SIM_SEEDS").ok();
    if one.is_some() {
        // The other test may have.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().without_time();
        log.try_init().ok();
    }
    let seeds = match (one, many.as_deref().map(|many| many.split_once("..").unwrap_or(("0", many)))) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some((from, to))) => number(from)..number(to),
        (None, None) => 0..SEEDS,
    };
    let mut failed = Vec::new();
    for seed in seeds {
        if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
            eprintln!("seed {seed} failed: replay it with REMORA_SIM_SEED={seed}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
}
