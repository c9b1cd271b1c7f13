//! Where everything about a running recorder comes together: its agenda, its recordings, what is asked of them.
//!
//! It decides and keeps account; it has no clock, no threads and no sockets. Whoever runs it asks for
//! [`Desk::begin_due`] whenever time has passed or something has happened.

use super::request::{Answer, Reload, Request, RunStatus, SpoolStatus, Status, WindowStatus};
use crate::orders::Orders;
use crate::schedule::{Agenda, Config, Decision, Recording, Spool as SpoolConfig};
use crate::spool::Spool;
use formats::hash::Hash256;
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
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

/// All that is decided about a running recorder.
#[derive(Debug)]
pub struct Desk {
    agenda: Agenda,
    running: Vec<Running>,
    to_begin: Vec<Begin>,
    spool: Spool,
    cluster: Name,
    node: Name,
    spool_config: SpoolConfig,
    configuration_sha256: Hash256,
    since: Timestamp,
    reload: Option<Reload>,
}

impl Desk {
    /// Follows `config` on `node` from `now` on.
    pub fn new(config: &Config, node: Name, spool: Spool, now: Timestamp) -> Self {
        Self {
            agenda: Agenda::new(config, node.clone(), now),
            running: Vec::new(),
            to_begin: Vec::new(),
            spool,
            cluster: config.cluster.clone(),
            node,
            spool_config: config.spool.clone(),
            configuration_sha256: config.sha256,
            since: now,
            reload: None,
        }
    }

    /// When to look again; none when nothing will ever be due.
    pub fn next(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    /// Recordings that are to begin now.
    pub fn begin_due(&mut self, now: Timestamp) -> Vec<Begin> {
        let decisions = self.agenda.wake(now);
        self.carry_out(decisions);
        std::mem::take(&mut self.to_begin)
    }

    /// Told how a recording ended.
    pub fn ended(&mut self, id: &RecordingId, ending: Ending, now: Timestamp) {
        self.running.retain(|running| running.id != *id);
        match ending {
            Ending::Failed => self.agenda.failed(id, now),
            Ending::Over => self.agenda.ended(id),
        }
    }

    /// Whether nothing is being recorded.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends every recording.
    pub fn end_all(&self) {
        self.running.iter().for_each(|running| running.orders.end(EndReason::Stopped));
    }

    /// Follows another configuration from `now` on; one that cannot be followed changes nothing, and is told in
    /// the status.
    pub fn reload<E: ToString>(&mut self, config: Result<Config, E>, now: Timestamp) {
        let error = match config.map_err(|error| error.to_string()).and_then(|config| self.follow(&config, now)) {
            Ok(()) => {
                tracing::info!(configuration_sha256 = %self.configuration_sha256, "configuration read anew");
                None
            }
            Err(error) => {
                tracing::error!(%error, "configuration cannot be followed: the one of before still is");
                Some(error)
            }
        };
        self.reload = Some(Reload { at: now, error });
    }

    fn follow(&mut self, config: &Config, now: Timestamp) -> Result<(), String> {
        let node = config.node.as_ref().unwrap_or(&self.node);
        let fixed = [
            ("cluster", config.cluster == self.cluster),
            ("node", *node == self.node),
            ("spool", config.spool == self.spool_config),
        ];
        if let Some((what, _)) = fixed.iter().find(|(_, same)| !same) {
            return Err(format!("{what} is another one: only windows can change while the recorder runs, restart it"));
        }
        self.configuration_sha256 = config.sha256;
        let decisions = self.agenda.update(config, now);
        self.carry_out(decisions);
        Ok(())
    }

    fn carry_out(&mut self, decisions: Vec<Decision>) -> Vec<RecordingId> {
        let mut begun = Vec::new();
        for decision in decisions {
            match decision {
                Decision::End { id, reason } => self.orders_of(&id).for_each(|orders| orders.end(reason.clone())),
                Decision::Record(recording) => {
                    let (id, ends, orders) = (recording.id.clone(), recording.ends, Arc::new(Orders::default()));
                    begun.push(id.clone());
                    self.running.push(Running { id, ends, orders: orders.clone() });
                    self.to_begin.push(Begin { recording, orders });
                }
                Decision::Skip { window, start, reason } => {
                    tracing::warn!(%window, %start, ?reason, "run left out");
                }
            }
        }
        begun
    }

    fn orders_of(&self, id: &RecordingId) -> impl Iterator<Item = &Orders> {
        self.running.iter().filter(move |running| running.id == *id).map(|running| &*running.orders)
    }

    fn of_window(&self, window: &Name) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(move |running| running.id.window == *window)
    }

    /// Does what is asked for, and says so.
    pub fn answer(&mut self, request: &Request, now: Timestamp) -> Answer {
        match request {
            Request::Start { window } => match self.agenda.start(window, now) {
                Ok(decisions) => Answer::done("recording begins", &self.carry_out(decisions)),
                Err(error) => Answer::refused(error),
            },
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Stop { window } => self.stop(window),
        }
    }

    fn stop(&mut self, window: &Name) -> Answer {
        self.agenda.stop(window);
        let running: Vec<_> = self.of_window(window).collect();
        if running.is_empty() {
            return Answer::refused(format!("{window} is not being recorded"));
        }
        running.iter().for_each(|running| running.orders.end(EndReason::Stopped));
        Answer::done("recording ends", running.iter().map(|running| &running.id))
    }

    fn status(&self) -> Status {
        let run = |running: &Running| {
            let written = running.orders.written();
            RunStatus {
                recording: running.id.folder(),
                ends: running.ends,
                packets: written.packets,
                bytes: written.bytes,
            }
        };
        let windows = self.agenda.windows().map(|(window, next)| WindowStatus {
            name: window.name.clone(),
            when: window.when.to_string(),
            next,
            runs: self.of_window(&window.name).map(run).collect(),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            since: self.since,
            configuration_sha256: self.configuration_sha256,
            reload: self.reload.clone(),
            spool: SpoolStatus {
                folder: self.spool_config.folder.display().to_string(),
                bytes: self.spool.used_bytes().ok(),
                bytes_max: self.spool_config.bytes_max.0,
            },
            windows: windows.collect(),
        }
    }
}
