//! Whose part of a file is in memory: a store that does not answer keeps no other waiting, and there are no more parts the
//! more stores there are.
//!
//!     quick    stores that answer: one part at a time, of each in its turn
//!       └──▶   takes longer than PATIENCE, and others wait: goes on as slow, or is tried again as such
//!     slow     stores whose last part took longer: one part at a time

use super::UploadError;
use crate::capture::OwnConnections;
use crate::sync::lock;
use jiff::Timestamp;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex as Turn, MutexGuard};
use tokio::time::Instant;

/// For so long a part may keep others waiting: 4 Mbit/s for the largest. What takes longer is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked then whether somebody waits.
const LOOK: Duration = Duration::from_secs(1);

/// The turns of all stores.
#[derive(Debug, Default)]
pub(super) struct Turns {
    quick: Turn<()>,
    slow: Turn<()>,
    stores: AtomicUsize,
    waiting: AtomicUsize,
}

/// A store's place among them.
#[derive(Debug)]
pub(super) struct Place {
    turns: Arc<Turns>,
    is_slow: AtomicBool,
    /// When the request was made that waits for its answer.
    asked: Mutex<Option<Instant>>,
}

impl Place {
    /// A place for one more store.
    pub fn new(turns: Arc<Turns>) -> Arc<Self> {
        turns.stores.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { turns, is_slow: AtomicBool::new(false), asked: Mutex::default() })
    }

    /// Waits for an answer of this store, so that others can see for how long.
    pub async fn ask<T>(&self, request: impl Future<Output = T>) -> T {
        *lock(&self.asked) = Some(Instant::now());
        let _answered = Answered(self);
        OwnConnections::of_process().open(request).await
    }

    /// Since when it has not answered, where it takes too long.
    pub fn silent_since(&self) -> Option<Timestamp> {
        let waits = lock(&self.asked).map(|asked| asked.elapsed()).filter(|waits| *waits > PATIENCE)?;
        Timestamp::now().checked_sub(waits).ok()
    }

    /// Sends a part when it is this store's turn: `send` reads it only then. None where it was ended for the others.
    pub async fn take<T>(&self, send: impl Future<Output = Result<T, UploadError>>) -> Option<Result<T, UploadError>> {
        let turns = &*self.turns;
        let is_slow = self.is_slow.load(Ordering::Relaxed);
        let mut turn = if is_slow { turns.slow.lock().await } else { turns.quick().await };
        let began = Instant::now();
        // Whatever came of it, the part is gone at the end of this block, before the next has its turn.
        let sent = {
            let mut send = pin!(send);
            let in_time = match is_slow || turns.stores.load(Ordering::Relaxed) == 1 {
                true => Some(send.as_mut().await),
                false => turns.unless_others_wait(send.as_mut()).await,
            };
            match (in_time, turns.slow.try_lock()) {
                (Some(sent), _) => Some(sent),
                (None, Ok(slow)) => {
                    turn = slow;
                    Some(send.await)
                }
                (None, Err(_)) => None,
            }
        };
        drop(turn);
        self.is_slow.store(sent.is_none() || began.elapsed() > PATIENCE, Ordering::Relaxed);
        sent
    }
}

impl Turns {
    async fn quick(&self) -> MutexGuard<'_, ()> {
        let _waits = Waits::new(&self.waiting);
        self.quick.lock().await
    }

    /// What came of it; none once it takes long and others wait.
    async fn unless_others_wait<T>(&self, mut send: impl Future<Output = T> + Unpin) -> Option<T> {
        let mut pause = PATIENCE;
        loop {
            tokio::select! {
                sent = &mut send => return Some(sent),
                () = tokio::time::sleep(pause) => pause = LOOK,
            }
            if self.waiting.load(Ordering::Relaxed) > 0 {
                return None;
            }
        }
    }
}

/// Dropped once there is an answer, or nobody waits for one any more.
struct Answered<'a>(&'a Place);

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        *lock(&self.0.asked) = None;
    }
}

/// Counted for as long as it is there.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
