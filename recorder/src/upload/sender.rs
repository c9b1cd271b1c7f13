//! Empties the spool into the stores, oldest first, for as long as it takes.

use super::UploadError;
use super::ages::Ages;
use super::bound::{Bound, InTransit};
use super::errand::Errand;
use super::progress::{Failing, Progress};
use super::source::spool_error;
use super::store::Store;
use super::turns::Turns;
use crate::clock::Clock;
use crate::schedule::{SpoolFull, StoreTarget};
use crate::spool::Spool;
use formats::store::RecordingId;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the spool is looked at.
const IDLE: Duration = Duration::from_millis(500);
/// First wait after a failure; each further one doubles it. object_store itself has tried for up to
/// three minutes by then.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait after a failure: how late a store that is back is noticed.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Sends what waits in a spool.
#[derive(Debug)]
pub struct Sender {
    errand: Errand,
    stores: HashMap<StoreTarget, Store>,
    turns: Arc<Turns>,
}

/// Recordings that wait for the same store; for none, where it cannot be read which it is.
type Waiting = (Option<StoreTarget>, Vec<RecordingId>);

impl Sender {
    /// A sender for `spool`.
    pub fn new(spool: Spool) -> Self {
        let (in_transit, progress) = (InTransit::default(), watch::Sender::default());
        let errand = Errand { spool, in_transit, ages: None, progress };
        Self { errand, stores: HashMap::new(), turns: Arc::default() }
    }

    /// Uses `store` for what goes to `target`, in place of the one its URL names.
    pub fn with_store(mut self, target: StoreTarget, store: Store) -> Self {
        self.stores.insert(target, store.taking_turns(&self.turns));
        self
    }

    /// Gives up segments that have waited for longer than `age_max` by that clock since this process first saw them: what
    /// still waits after a try to send it.
    pub fn with_age_max(mut self, age_max: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        self.errand.ages = age_max.map(|age_max| Ages::new(age_max, clock));
        self
    }

    /// The bound of this spool; it leaves alone what is being sent.
    pub fn bound(&self, bytes_max: u64, full: SpoolFull) -> Bound {
        let Errand { spool, in_transit, progress, .. } = self.errand.clone();
        Bound::new(spool, bytes_max, full, in_transit, progress)
    }

    /// What was done so far, to watch.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.errand.progress.subscribe()
    }

    /// Sends until `stop` is true, to each store by itself, waiting longer after each failure of it.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.resume();
        let (mut spool, mut lines) = (Line::default(), HashMap::<_, Line>::new());
        let (mut busy, mut silent) = (FuturesUnordered::new(), HashMap::new());
        loop {
            self.tell_of_silence(&mut silent);
            let waiting = if spool.is_free() { spool.ended(self.waiting()) } else { None };
            for (target, recordings) in waiting.unwrap_or_default() {
                let line = lines.entry(target.clone()).or_default();
                if line.is_free() {
                    line.is_busy = true;
                    let errand = self.errand((target.clone(), recordings));
                    busy.push(async move { (target, errand.await) });
                }
            }
            tokio::select! {
                // Whoever holds the other end is gone: nobody could stop us later.
                _ = stop.wait_for(|stop| *stop) => return,
                Some((target, sent)) = busy.next() => drop(lines.entry(target).or_default().ended(sent)),
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    /// Tells of stores that let a request wait, for as long as they do: object_store itself tries for minutes. `said` is what was
    /// told of them before.
    fn tell_of_silence(&self, said: &mut HashMap<StoreTarget, Failing>) {
        for (target, store) in &self.stores {
            let change = |change: &dyn Fn(&mut Option<Failing>) -> bool| {
                let of = |progress: &mut Progress| change(progress.stores.entry(Some(target.clone())).or_default());
                self.errand.progress.send_if_modified(of)
            };
            match (store.silence(), said.remove(target)) {
                (Some(_), Some(before)) => drop(said.insert(target.clone(), before)),
                (Some(new), None) => {
                    if change(&|failing| failing.is_none() && failing.replace(new.clone()).is_none()) {
                        tracing::warn!(since = %new.since, "{}; it is waited for", new.why);
                        said.insert(target.clone(), new);
                    }
                }
                // What failed since then stays.
                (None, Some(before)) => {
                    change(&|failing| failing.as_ref() == Some(&before) && failing.take().is_some());
                }
                (None, None) => {}
            }
        }
    }

    /// Takes up what a crash left.
    pub(crate) fn resume(&self) {
        let recordings = self.errand.spool.recordings();
        let recordings = recordings.inspect_err(|error| tracing::warn!(%error, "spool could not be tidied"));
        for id in recordings.unwrap_or_default() {
            if let Err(error) = self.errand.spool.tidy(&id) {
                tracing::warn!(recording = %id, %error, "spool could not be tidied");
            }
        }
    }

    /// Sends everything that waits now. A recording that cannot be sent does not keep the others back, nor a store those
    /// that wait for others.
    ///
    /// # Errors
    /// The first failure; what follows it in that recording stays for the next sweep.
    pub async fn sweep(&mut self) -> Result<(), UploadError> {
        let waiting = self.waiting()?;
        let errands: Vec<_> = waiting.into_iter().map(|waiting| self.errand(waiting)).collect();
        join_all(errands).await.into_iter().collect()
    }

    /// What waits, by store.
    fn waiting(&self) -> Result<Vec<Waiting>, UploadError> {
        self.errand.spool.remove_rest();
        let recordings = self.errand.spool.unsent().map_err(|source| spool_error(Path::new("spool"), source))?;
        self.errand.ages.iter().for_each(|ages| ages.retain(&recordings));
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut places = HashMap::new();
        for id in recordings {
            let target = match self.errand.spool.target(&id) {
                // Just being begun, or just gone.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                target => target.ok(),
            };
            let place = *places.entry(target.clone()).or_insert(waiting.len());
            match waiting.get_mut(place) {
                Some((_, recordings)) => recordings.push(id),
                None => waiting.push((target, vec![id])),
            }
        }
        // Where nothing waits any more, nothing fails.
        self.errand.progress.send_if_modified(|progress| {
            let others = progress.stores.iter_mut().filter(|(store, _)| !places.contains_key(*store));
            others.filter_map(|(_, failing)| failing.take()).count() > 0
        });
        Ok(waiting)
    }

    /// Sends what waits for a store.
    fn errand(
        &mut self,
        (target, recordings): Waiting,
    ) -> impl Future<Output = Result<(), UploadError>> + Send + use<> {
        let store = match target.clone() {
            Some(target) => Some(self.store(target)),
            None => recordings.iter().find_map(|id| self.unknown(id)).map(Err),
        };
        let errand = self.errand.clone();
        async move {
            match store {
                Some(store) => errand.send(target, store, recordings).await,
                None => Ok(()), // By now it can be read.
            }
        }
    }

    /// A store, opened when it is first wanted.
    fn store(&mut self, target: StoreTarget) -> Result<Store, UploadError> {
        if let Some(store) = self.stores.get(&target) {
            return Ok(store.clone());
        }
        let store = Store::open(&target)?.taking_turns(&self.turns);
        self.stores.insert(target, store.clone());
        Ok(store)
    }

    /// Why it is not known where a recording is to be stored.
    fn unknown(&self, id: &RecordingId) -> Option<UploadError> {
        let spool = &self.errand.spool;
        spool.target(id).err().map(|source| spool_error(&spool.folder(id), source))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.errand.progress.send_modify(|progress| progress.is_over = true);
    }
}

/// When a store is sent to next.
#[derive(Debug)]
struct Line {
    is_busy: bool,
    again: Instant,
    back_off: Duration,
}

impl Default for Line {
    fn default() -> Self {
        Self { is_busy: false, again: Instant::now(), back_off: BACK_OFF_MIN }
    }
}

impl Line {
    fn is_free(&self) -> bool {
        !self.is_busy && self.again <= Instant::now()
    }

    /// Free again a little later, after a failure later each time.
    fn ended<T>(&mut self, with: Result<T, UploadError>) -> Option<T> {
        self.is_busy = false;
        match with {
            Ok(done) => {
                (self.again, self.back_off) = (Instant::now() + IDLE, BACK_OFF_MIN);
                Some(done)
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = self.back_off.as_secs(), "upload failed");
                self.again = Instant::now() + self.back_off;
                self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
                None
            }
        }
    }
}
