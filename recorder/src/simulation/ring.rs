//! A ring whose kernel is simulated: it fills blocks, hands over those that are full or old, drops what finds no room,
//! and counts, as Linux does (net/packet/af_packet.c, TPACKET_V3).

use super::clock::SimClock;
use crate::capture::block::tests::block_at;
use crate::capture::kernel::Kernel;
use crate::capture::links::Found;
use crate::capture::sys::{Ready, Wait};
use crate::capture::{CaptureError, Selection};
use crate::clock::Clock;
use crate::limits;
use std::cell::OnceCell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Packets of a block: so few that rings fill up.
const BLOCK_PACKETS: usize = 5;

/// The wire's end of a ring.
#[derive(Debug, Clone)]
pub struct SimRing(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    clock: SimClock,
    /// Blocks that were handed over and not given back.
    filled: Vec<Option<Arc<Block>>>,
    /// The block that is filled next, or is being filled.
    head: usize,
    /// Since when, and with what.
    filling: Option<(Duration, Vec<Frame>)>,
    passed: u32,
    dropped: u32,
    refused: u32,
    is_shut: bool,
    is_broken: bool,
    token: Option<u64>,
}

/// When it came [ns since the Unix epoch], and its bytes.
type Frame = (u64, Vec<u8>);

#[derive(Debug)]
struct Block {
    header: Vec<u8>,
    content: Vec<u8>,
    flags: u32,
}

impl SimRing {
    pub fn new(clock: SimClock, blocks: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            clock,
            filled: vec![None; blocks],
            head: 0,
            filling: None,
            passed: 0,
            dropped: 0,
            refused: 0,
            is_shut: false,
            is_broken: false,
            token: None,
        })))
    }

    /// The recorder's end of it.
    pub fn kernel(&self) -> Box<dyn Kernel> {
        let blocks = self.state().filled.len();
        Box::new(SimKernel { ring: self.clone(), seen: vec![OnceCell::new(); blocks] })
    }

    /// A packet comes that the filter lets through; whether there was room for it. None when nobody listens.
    pub fn arrive(&self, frame: Vec<u8>) -> Option<bool> {
        let state = &mut *self.state();
        if state.is_shut {
            return None;
        }
        state.hand_over_if_old();
        state.passed += 1;
        if state.filled[state.head].is_some() {
            state.dropped += 1;
            return Some(false);
        }
        let now = state.clock.now();
        let time_ns = u64::try_from(now.wall.as_nanosecond()).expect("after 1970");
        let (_, frames) = state.filling.get_or_insert_with(|| (now.steady, Vec::new()));
        frames.push((time_ns, frame));
        if frames.len() == BLOCK_PACKETS {
            state.hand_over();
        }
        Some(true)
    }

    /// A packet comes that the filter refuses; whether anybody counts it.
    pub fn refuse(&self) -> bool {
        let mut state = self.state();
        state.refused += u32::from(!state.is_shut);
        !state.is_shut
    }

    /// Its socket has an error to tell.
    pub fn break_down(&self) {
        self.state().is_broken = true;
    }

    /// Under which name that is waited for, if there is one.
    pub fn broken(&self) -> Option<u64> {
        let state = self.state();
        state.token.filter(|_| state.is_broken && !state.is_shut)
    }

    /// Whether nobody listens any more.
    pub fn is_shut(&self) -> bool {
        self.state().is_shut
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic with it in hand")
    }
}

impl State {
    fn hand_over_if_old(&mut self) {
        let now = self.clock.now().steady;
        if self.filling.as_ref().is_some_and(|(since, _)| now.saturating_sub(*since) >= limits::BLOCK_RETIRE) {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some((_, frames)) = self.filling.take() else { return };
        let frames: Vec<(u64, &[u8])> = frames.iter().map(|(time_ns, frame)| (*time_ns, &frame[..])).collect();
        let (header, content) = block_at(&frames);
        let losing = if self.dropped > 0 { libc::TP_STATUS_LOSING } else { 0 };
        self.filled[self.head] = Some(Arc::new(Block { header, content, flags: libc::TP_STATUS_USER | losing }));
        self.head = (self.head + 1) % self.filled.len();
    }
}

#[derive(Debug)]
struct SimKernel {
    ring: SimRing,
    /// Blocks that were lent out.
    seen: Vec<OnceCell<Arc<Block>>>,
}

impl Kernel for SimKernel {
    fn blocks(&self) -> usize {
        self.seen.len()
    }

    fn flags(&self, block: usize) -> u32 {
        let mut state = self.ring.state();
        state.hand_over_if_old();
        state.filled[block].as_ref().map_or(libc::TP_STATUS_KERNEL, |block| block.flags)
    }

    fn block(&self, block: usize) -> Option<(&[u8], &[u8])> {
        let mut state = self.ring.state();
        state.hand_over_if_old();
        let filled = state.filled[block].clone()?;
        let seen = self.seen[block].get_or_init(|| filled);
        Some((&seen.header, &seen.content))
    }

    fn release(&mut self, block: usize) {
        self.seen[block].take();
        self.ring.state().filled[block] = None;
    }

    fn passed_and_dropped(&mut self) -> Result<(u32, u32), CaptureError> {
        let state = &mut *self.ring.state();
        Ok((std::mem::take(&mut state.passed), std::mem::take(&mut state.dropped)))
    }

    fn refused(&mut self) -> Result<u32, CaptureError> {
        Ok(std::mem::take(&mut self.ring.state().refused))
    }

    fn shut(&mut self) -> Result<(), CaptureError> {
        self.ring.state().is_shut = true;
        Ok(())
    }

    fn wait_in(&self, _: &dyn Wait, token: u64) -> Result<(), CaptureError> {
        self.ring.state().token = Some(token);
        Ok(())
    }

    fn hear(&self, ready: Ready) -> Result<(), CaptureError> {
        let source = io::Error::from_raw_os_error(libc::ENXIO);
        if ready.failed { Err(CaptureError::System { action: "receive packets", source }) } else { Ok(()) }
    }

    fn hear_news(&mut self) -> Result<Vec<Found>, CaptureError> {
        self.there()
    }

    fn there(&self) -> Result<Vec<Found>, CaptureError> {
        Ok(vec![Found { index: 3, hardware: libc::ARPHRD_ETHER, name: "eth0".into(), alias: None }])
    }

    fn selection(&self) -> &Selection {
        &Selection::Any
    }
}

impl Drop for SimKernel {
    fn drop(&mut self) {
        self.ring.state().is_shut = true;
    }
}
