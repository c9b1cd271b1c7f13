//! Where everything about a running recorder comes together: its agenda, its recordings, what is asked of them.
//!
//! It decides and keeps account; it has no clock, no threads and no sockets, and waits for no disk but for files that
//! trigger windows. Whoever runs it asks for [`Desk::begin_due`] whenever time has passed or something has happened, and has
//! [`Desk::take_chores`] done elsewhere.

mod serve;
mod status;

use super::chores::{self, Chore};
use super::files::TriggerFiles;
use super::pins::Pins;
use super::request::{Reload, Seen};
use crate::clock::{Moment, Watch};
use crate::orders::{Orders, Past, Trigger};
use crate::ready::Rest;
use crate::schedule::{Agenda, Config, Decision, Observe, Recording, SkipReason, Spool as SpoolConfig, moved};
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It could not go on; what is left of its run is worth another try.
    Failed,
    /// As it should.
    Over,
}

/// A recording that is to begin.
#[derive(Debug)]
pub struct Begin {
    /// What to record.
    pub recording: Recording,
    /// What it is told meanwhile.
    pub orders: Arc<Orders>,
}

#[derive(Debug)]
struct Running {
    id: RecordingId,
    ends: Timestamp,
    orders: Arc<Orders>,
}

impl Running {
    /// Whether it keeps packets, ready or not.
    fn has_begun(&self) -> bool {
        self.ends != Timestamp::MAX || self.orders.past().since.is_some()
    }

    /// Its place in the store; none while it only keeps the past ready.
    fn recording(&self) -> Option<RecordingId> {
        match self.orders.past() {
            Past { triggered: Some((id, _)), .. } => Some(id),
            Past { since: Some(_), .. } => None,
            Past { since: None, .. } => Some(self.id.clone()).filter(|_| self.ends != Timestamp::MAX),
        }
    }
}

/// All that is decided about a running recorder.
pub struct Desk {
    agenda: Agenda,
    running: Vec<Running>,
    to_begin: Vec<Begin>,
    /// What is to end; as soon as others that begin have taken its place.
    to_end: Vec<(RecordingId, EndReason)>,
    /// Recordings that ended before their time: they go on as soon as their windows are ready, or ready again.
    rests: Vec<Rest>,
    /// Triggers that came as the time of the triggered recording was over.
    late: Vec<(Name, Trigger)>,
    files: TriggerFiles,
    spool: Spool,
    cluster: Name,
    node: Name,
    /// What the configuration calls this node; flags come before it.
    node_config: Option<Name>,
    spool_config: SpoolConfig,
    observe_config: Observe,
    configuration_sha256: Hash256,
    since: Timestamp,
    reload: Option<Reload>,
    clock: Watch,
    seen: Seen,
    chores: Vec<Chore>,
    pins: Pins,
    left_out: Vec<(Name, SkipReason)>,
}

impl Desk {
    /// Follows `config` on `node` from `now` on, with the rests of what ended before its time.
    pub fn new(config: &Config, node: Name, spool: Spool, rests: Vec<Rest>, now: Moment) -> Self {
        let mut clock = Watch::default();
        clock.look(now);
        let now = now.wall;
        let mut desk = Self {
            agenda: Agenda::new(config, node.clone(), spool.starts().clone(), now),
            running: Vec::new(),
            to_begin: Vec::new(),
            to_end: Vec::new(),
            rests,
            late: Vec::new(),
            files: TriggerFiles::default(),
            pins: Pins::new(spool.clone()),
            spool,
            cluster: config.cluster.clone(),
            node,
            node_config: config.node.clone(),
            spool_config: config.spool.clone(),
            observe_config: config.observe.clone(),
            left_out: Vec::new(),
            configuration_sha256: config.sha256,
            since: now,
            reload: None,
            clock,
            seen: Seen::default(),
            chores: Vec::new(),
        };
        desk.chores.push(desk.pins.read());
        desk.remove_what_is_ready_for_nobody();
        desk
    }

    /// What time it is. When somebody has set the clock, what is due after some time moves along.
    fn time(&mut self, now: Moment) -> Timestamp {
        if let Some(step) = self.clock.look(now) {
            let by = SignedDuration::from_nanos(step.by_ns);
            tracing::warn!(by_s = by.as_secs_f64(), "the clock was set: recordings go on for as long as they were to");
            self.agenda.clock_was_set(by);
            self.running.iter_mut().for_each(|running| running.ends = moved(running.ends, by));
            self.rests.iter_mut().for_each(|rest| rest.ends = moved(rest.ends, by));
        }
        now.wall
    }

    /// When to look again; none when nothing will ever be due.
    pub fn next(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    /// Whether a run of that window is to be going on: it is, or it failed and is begun again.
    pub fn is_due(&self, window: &str) -> bool {
        let is_running = self.running.iter().any(|running| running.id.window.as_str() == window);
        is_running || self.agenda.again(window).is_some()
    }

    /// Whether files are waited for, which has to be looked for.
    pub fn awaits_files(&self) -> bool {
        self.agenda.windows().any(|(window, _)| window.trigger_file.is_some())
    }

    /// Recordings that are to begin now. Looks for the files that trigger windows, too.
    pub fn begin_due(&mut self, now: Moment) -> Vec<Begin> {
        let now = self.time(now);
        self.look_for_files(now);
        let decisions = self.agenda.wake(now);
        self.carry_out(decisions, now);
        self.hand_over(now);
        std::mem::take(&mut self.to_begin)
    }

    /// What ends as another run of its window begins goes on until that one has its rings: no packet falls between them.
    fn hand_over(&mut self, now: Timestamp) {
        for (id, reason) in std::mem::take(&mut self.to_end) {
            let next = self.to_begin.iter().find(|begin| begin.recording.id.window == id.window);
            for running in self.running.iter().filter(|running| running.id == id) {
                match next.filter(|next| next.recording.id != id) {
                    Some(next) => next.orders.take_place_of(running.orders.clone(), reason.clone()),
                    None => running.orders.end(reason.clone()),
                }
            }
        }
        for Begin { recording: Recording { id, .. }, orders } in &self.to_begin {
            let over = |running: &&Running| running.id.window == id.window && running.id != *id && running.ends <= now;
            let over = self.running.iter().filter(over);
            over.for_each(|running| orders.take_place_of(running.orders.clone(), EndReason::Duration));
        }
        for running in self.running.iter().filter(|running| running.ends > now) {
            running.orders.tell_followed(self.agenda.is_followed(&running.id.window, running.ends));
        }
    }

    /// Told how a recording ended.
    pub fn ended(&mut self, id: &RecordingId, ending: Ending, now: Moment) {
        let now = self.time(now);
        let over = self.running.iter().position(|running| running.id == *id).map(|at| self.running.swap_remove(at));
        let late = over.iter().flat_map(|over| over.orders.take_triggers());
        self.late.extend(late.map(|trigger| (id.window.clone(), trigger)));
        // Nobody ended it: its budget is spent, or its time is over.
        let ended_by_itself = |over: &Running| ending == Ending::Over && over.orders.to_end().is_none();
        if over.as_ref().is_some_and(ended_by_itself) && self.agenda.over(id, now) {
            self.chores.push(chores::keep_runs(self.spool.clone(), id.window.clone(), || {}));
        }
        let cut_short =
            |over: &Running| ending == Ending::Failed || over.orders.to_end() == Some(&EndReason::WindowChanged);
        let ends = over.filter(cut_short).map(|over| over.orders.ends().unwrap_or(over.ends));
        let ends = ends.filter(|ends| *ends > now && *ends != Timestamp::MAX);
        self.rests.extend(ends.map(|ends| Rest { window: id.window.clone(), ends }));
        match ending {
            Ending::Failed => self.agenda.failed(id, now),
            Ending::Over => self.agenda.ended(id),
        }
        self.remove_what_is_ready_for_nobody();
    }

    fn remove_what_is_ready_for_nobody(&mut self) {
        let ready = self.agenda.windows().filter(|(window, _)| window.pre_trigger.is_some());
        let ready: Vec<Name> = ready.map(|(window, _)| window.name.clone()).collect();
        self.late.retain(|(window, _)| ready.contains(window));
        self.rests.retain(|rest| ready.contains(&rest.window));
        self.chores.push(chores::remove_what_is_ready_but_for(self.spool.clone(), ready));
    }

    /// What is to be done elsewhere, one after the other.
    pub fn take_chores(&mut self) -> Vec<Chore> {
        std::mem::take(&mut self.chores)
    }

    /// Runs that were left out since this was last asked.
    pub fn take_left_out(&mut self) -> Vec<(Name, SkipReason)> {
        std::mem::take(&mut self.left_out)
    }

    /// Whether nothing is being recorded.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends every recording, for the recorder stops; what has not begun yet never does.
    pub fn end_all(&mut self) {
        self.to_end.clear();
        for Begin { recording, .. } in self.to_begin.drain(..) {
            self.running.retain(|running| running.id != recording.id);
        }
        self.running.iter().for_each(|running| running.orders.end_for_now());
    }

    /// Follows another configuration from `now` on, and returns it; one that cannot be followed changes nothing, and is
    /// told in the status.
    pub fn reload<E: ToString>(&mut self, config: Result<Config, E>, now: Moment) -> Option<Config> {
        let now = self.time(now);
        let followed = config.map_err(|error| error.to_string()).and_then(|config| self.follow(config, now));
        match &followed {
            Ok(config) => tracing::info!(configuration_sha256 = %config.sha256, "configuration read anew"),
            Err(error) => tracing::error!(%error, "configuration cannot be followed: the one of before still is"),
        }
        self.reload = Some(Reload { at: now, error: followed.as_ref().err().cloned() });
        followed.ok()
    }

    fn follow(&mut self, config: Config, now: Timestamp) -> Result<Config, String> {
        let fixed = [
            ("cluster", config.cluster == self.cluster),
            ("node", config.node == self.node_config || config.node.as_ref().is_none_or(|node| *node == self.node)),
            ("observe", config.observe == self.observe_config),
            ("spool", config.spool == self.spool_config),
        ];
        if let Some((what, _)) = fixed.iter().find(|(_, same)| !same) {
            return Err(format!("{what} is another one: only windows can change while the recorder runs, restart it"));
        }
        self.node_config = config.node.clone();
        self.configuration_sha256 = config.sha256;
        let decisions = self.agenda.update(&config, now);
        self.carry_out(decisions, now);
        for running in &self.running {
            let ends = running.orders.ends().filter(|ends| *ends > now && running.orders.to_end().is_none());
            ends.into_iter().for_each(|ends| self.agenda.go_on(&running.id.window, ends, now));
        }
        self.remove_what_is_ready_for_nobody();
        Ok(config)
    }

    fn carry_out(&mut self, decisions: Vec<Decision>, now: Timestamp) -> Vec<RecordingId> {
        let mut begun = Vec::new();
        for decision in decisions {
            match decision {
                Decision::End { id, reason } => self.to_end.push((id, reason)),
                Decision::Record(recording) => {
                    let (id, ends, orders) = (recording.id.clone(), recording.ends, Arc::new(Orders::default()));
                    begun.push(id.clone());
                    if recording.window.pre_trigger.is_some() {
                        self.go_on(&id.window, &orders, now);
                    }
                    self.running.push(Running { id, ends, orders: orders.clone() });
                    self.to_begin.push(Begin { recording, orders });
                }
                Decision::Skip { window, start, reason } => {
                    tracing::warn!(%window, %start, ?reason, "run left out");
                    self.left_out.push((window, reason));
                }
            }
        }
        begun
    }

    /// A window that is ready again after its triggered recording was cut short, or triggered anew as it ended: that
    /// goes on.
    fn go_on(&mut self, window: &Name, orders: &Orders, now: Timestamp) {
        let ends =
            self.rests.iter().filter(|rest| rest.window == *window && rest.ends > now).map(|rest| rest.ends).max();
        self.rests.retain(|rest| rest.window != *window);
        let late = self.late.extract_if(.., |(late, _)| late == window);
        late.for_each(|(_, trigger)| orders.trigger(trigger));
        if let Some(ends) = ends {
            let by = "the trigger of before, to record the rest".to_owned();
            orders.trigger(Trigger { at: now, by, ends, told: Box::new(|_| {}) });
        }
    }

    fn of_window(&self, window: &Name) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(move |running| running.id.window == *window)
    }

    /// Shown what it does not know itself, for the status.
    pub fn see(&mut self, seen: Seen) {
        self.seen = seen;
    }

    fn look_for_files(&mut self, now: Timestamp) {
        let mut windows = Vec::new();
        for (window, _) in self.agenda.windows() {
            // What has just failed is ready again soon, and what is replaced has soon ended; until then the file waits.
            let ready = match window.pre_trigger {
                None => self.agenda.has_room(&window.name),
                Some(_) => self.of_window(&window.name).next().is_some(),
            };
            windows.extend(window.trigger_file.clone().map(|path| (window.name.clone(), path, ready)));
        }
        let mut files = std::mem::take(&mut self.files);
        for (window, path, told) in files.look(windows) {
            self.trigger(&window, &format!("file {}", path.display()), now, told);
        }
        self.files = files;
    }
}

#[cfg(test)]
mod tests;
