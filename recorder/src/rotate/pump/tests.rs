//! The order of blocks from several rings.

use super::*;
use crate::capture::{Ready, Ring};
use crate::simulation::clock::SimClock;
use crate::simulation::ring::SimRing;
use formats::pcapng::Target;
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

#[test]
fn a_block_waits_for_other_rings_until_they_cannot_have_anything_earlier() {
    let clock = SimClock::new();
    let [left, right] = [(); 2].map(|()| SimRing::new(clock.clone(), 16));
    let rings = [&left, &right].map(|ring| Ring::over(ring.kernel())).into();
    let (tell, changes) = channel();
    let target = Arc::new(Target { netns: 7, ..Target::default() });
    tell.send(Change::Appeared { rings, target }).unwrap();
    let (closed, _closed) = channel();
    let (give, buffers) = sync_channel(limits::BATCHES);
    let (batches, _batches) = sync_channel(limits::BATCHES);
    (0..limits::BATCHES).for_each(|_| give.send(Vec::new()).unwrap());
    let waits: (Box<dyn Wait>, Arc<dyn Clock>) = (Box::new(Silence), Arc::new(clock.clone()));
    let mut pump = Pump::new((changes, closed), (batches, buffers), Sieve::new(None, false), waits).unwrap();

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
