//! The order of blocks from several rings, and what is missing between them.

use super::*;
use crate::capture::{Ready, Ring};
use crate::simulation::clock::SimClock;
use crate::simulation::ring::SimRing;
use formats::pcapng::read::{Block, EnhancedPacket, Order};
use formats::pcapng::{Target, option};
use std::io;
use std::sync::mpsc::{channel, sync_channel};

/// Nothing is to be heard.
#[derive(Debug)]
struct Silence;

impl Wait for Silence {
    fn add(&self, _: &crate::capture::sys::Socket, _: u64, _: bool) -> io::Result<()> {
        unreachable!("rings have no sockets here")
    }

    fn wait(&self, _: Duration) -> io::Result<Vec<(u64, Ready)>> {
        Ok(Vec::new())
    }
}

/// A pump of these rings, and what it hands over.
fn pump(clock: &SimClock, wires: &[&SimRing]) -> (Pump, Receiver<Batch>) {
    let rings = wires.iter().map(|ring| Ring::over(ring.kernel())).collect();
    let (tell, changes) = channel();
    let target = Arc::new(Target { netns: 7, ..Target::default() });
    tell.send(Change::Appeared { rings, target }).unwrap();
    let (closed, _) = channel();
    let (give, buffers) = sync_channel(limits::BATCHES);
    let (batches, handed_over) = sync_channel(limits::BATCHES);
    (0..limits::BATCHES).for_each(|_| give.send(Vec::new()).unwrap());
    let waits: (Box<dyn Wait>, Arc<dyn Clock>) = (Box::new(Silence), Arc::new(clock.clone()));
    let pump = Pump::new((changes, closed), (batches, buffers), Sieve::new(None, false), waits).unwrap();
    (pump, handed_over)
}

#[test]
fn a_block_waits_for_other_rings_until_they_cannot_have_anything_earlier() {
    let clock = SimClock::new();
    let [left, right] = [(); 2].map(|()| SimRing::new(clock.clone(), 16));
    let (mut pump, _batches) = pump(&clock, &[&left, &right]);

    // Blocks of five packets, one after the other; how many were taken each time.
    let mut taken = |after_ms: u64, ring: Option<&SimRing>| {
        clock.pass(after_ms);
        for ring in ring.into_iter().flat_map(|ring| std::iter::repeat_n(ring, 5)) {
            assert_eq!(ring.arrive(vec![0; 60]), Some(true));
        }
        assert!(pump.turn().unwrap());
        pump.written().packets
    };
    assert_eq!(taken(0, Some(&left)), 0, "there may be earlier ones on the right");
    assert_eq!(taken(1, Some(&right)), 5, "there are none");
    assert_eq!(taken(1, Some(&right)), 5);
    assert_eq!(taken(1, Some(&left)), 15);
    assert_eq!(taken(129, None), 15);
    assert_eq!(taken(1, None), 20, "it has waited long enough");
    (0..8).for_each(|blocks| assert_eq!(taken(1, Some(&left)), 20, "{blocks} blocks before"));
    assert_eq!(taken(1, Some(&left)), 25, "more than half of the ring is filled");
}

#[test]
fn a_block_that_was_handed_over_while_the_writer_was_slow_is_read() {
    let clock = SimClock::new();
    let wire = SimRing::new(clock.clone(), 4);
    let target = Arc::new(Target { netns: 7, ..Target::default() });
    let mut station =
        Station::new(2, Ring::over(wire.kernel()), &target, &Silence, &mut Interfaces::default()).unwrap();
    assert_eq!(wire.arrive(vec![0; 60]), Some(true));
    station.ring.shut().unwrap();
    station.ring.notice(clock.steady());
    station.ends = Some(clock.steady() + 3 * limits::BLOCK_RETIRE);
    clock.pass(10_000);
    assert!(!station.is_over(clock.steady()).unwrap(), "there is a packet in it");
    station.ring.begin_block();
    station.ring.end_block();
    assert!(station.is_over(clock.steady()).unwrap());
}

#[test]
fn what_the_kernel_dropped_is_told_by_the_first_packet_behind_it() {
    let clock = SimClock::new();
    let wire = SimRing::new(clock.clone(), 4);
    let (mut pump, batches) = pump(&clock, &[&wire]);
    // There is room for twenty.
    for (packets, kept) in [(23, 20), (5, 5), (5, 5)] {
        assert_eq!((0..packets).filter(|_| wire.arrive(vec![0; 60]) == Some(true)).count(), kept);
        assert!(pump.turn().unwrap());
    }
    pump.finish().unwrap();
    let blocks: Vec<u8> = batches.try_iter().flat_map(|batch| batch.blocks).collect();
    let mut told = Vec::new();
    let mut rest = &blocks[..];
    while let Ok(block) = Block::read(rest, Order::Little) {
        let packet = EnhancedPacket::read(block.body).unwrap();
        let dropped = packet.options.options().find(|(code, _)| *code == option::EPB_DROPCOUNT);
        told.push(dropped.map_or(0, |(_, mut dropped)| dropped.u64().unwrap()));
        rest = &rest[block.bytes.len()..];
    }
    let mut want = vec![0; 30];
    want[20] = 3;
    assert_eq!(told, want);
}
