//! What people and signals ask for: done at once, or told to those who do it.
//!
//! Enters: an [`Ask`]. Leaves: orders, chores, and an answer, at once or when it is done. Refused: windows and recordings that
//! are not there, and what a window is not for.

use super::{Desk, Running};
use crate::clock::Moment;
use crate::control::chores::{self, Chore};
use crate::control::pins::Pins;
use crate::control::request::{Answer, Request, Told};
use crate::control::socket::Ask;
use crate::orders::{self, Trigger};
use crate::schedule::{When, Window};
use formats::seal::EndReason;
use formats::store::{Name, RecordingId};
use jiff::Timestamp;
use std::sync::Arc;

impl Desk {
    /// Does what is asked for, and says so, at once or when it is done.
    pub fn serve(&mut self, ask: Ask, now: Moment) {
        let now = self.time(now);
        let Ask { request, by, answer } = ask;
        // Whoever asked may be gone.
        let told: Told = Box::new(|said| drop(answer.send(said)));
        match request {
            Request::Pin { recording } => self.pin(&recording, told, |pins, id, told| pins.pin(id, now, told)),
            Request::Start { window } => self.start(&window, by, now, told),
            Request::Status => told(Answer::Status(Box::new(self.status()))),
            Request::Stop { window } => self.stop(window, told),
            Request::Trigger { window } => self.trigger(&window, by, now, told),
            Request::Unpin { recording } => self.pin(&recording, told, Pins::unpin),
        }
    }

    /// Triggers every window on demand.
    pub fn trigger_all(&mut self, by: &str, now: Moment) {
        let now = self.time(now);
        let on_demand = self.agenda.windows().filter(|(window, _)| window.when == When::OnDemand);
        let names: Vec<Name> = on_demand.map(|(window, _)| window.name.clone()).collect();
        for window in names {
            let name = window.clone();
            let told = move |answer| {
                if let Answer::Refused { why } = answer {
                    tracing::warn!(window = %name, why, "window not triggered");
                }
            };
            self.trigger(&window, by, now, Box::new(told));
        }
    }

    fn window(&self, name: &Name) -> Option<Arc<Window>> {
        self.agenda.windows().find(|(window, _)| window.name == *name).map(|(window, _)| window.clone())
    }

    /// Makes a recording of what a window on demand keeps ready, or begins one.
    pub(super) fn trigger(&mut self, name: &Name, by: &str, now: Timestamp, told: Told) {
        match self.window(name) {
            Some(window) if window.when != When::OnDemand => {
                told(Answer::refused(format!("{name} is not on demand: 'start' begins a run of it all the same")));
            }
            Some(window) if window.pre_trigger.is_some() => self.trigger_what_is_ready(&window, by, now, told),
            _ => self.start(name, by, now, told),
        }
    }

    fn start(&mut self, name: &Name, by: &str, now: Timestamp, told: Told) {
        if let Some(window) = self.window(name).filter(|window| window.pre_trigger.is_some()) {
            return self.trigger_what_is_ready(&window, by, now, told);
        }
        let begun = match self.agenda.start(name, now) {
            Ok(decisions) => self.carry_out(decisions, now),
            Err(error) => return told(Answer::refused(error)),
        };
        // What is said to have begun can be pinned: it is there.
        if let Some(begin) = self.to_begin.iter().find(|begin| begun.contains(&begin.recording.id)) {
            begin.orders.ask_for_begin(tell("recording begins", told));
        }
    }

    fn trigger_what_is_ready(&self, window: &Window, by: &str, now: Timestamp, told: Told) {
        let Some(running) = self.of_window(&window.name).next() else {
            return told(Answer::refused(format!(
                "{} is not ready at this moment: it failed, see the log",
                window.name
            )));
        };
        let ends = now.checked_add(window.duration).unwrap_or(Timestamp::MAX);
        running.orders.trigger(Trigger { at: now, by: by.to_owned(), ends, told: tell("triggered", told) });
    }

    fn pin(&mut self, recording: &str, told: Told, chore: impl FnOnce(&Pins, RecordingId, Told) -> Chore) {
        match RecordingId::parse_folder(recording) {
            Ok(id) => self.chores.push(chore(&self.pins, id, told)),
            Err(_) => told(Answer::refused(format!("{recording:?} is no recording: write cluster/window/start/node"))),
        }
    }

    fn stop(&mut self, window: Name, told: Told) {
        let was_due = match self.agenda.stop(&window) {
            Ok(was_due) => was_due,
            Err(error) => return told(Answer::refused(error)),
        };
        let was_due = self.rests.extract_if(.., |rest| rest.window == window).count() > 0 || was_due;
        // What only waits for a trigger is not being recorded.
        let recorded = |running: &&Running| running.ends != Timestamp::MAX || running.orders.ends().is_some();
        let running: Vec<_> = self.of_window(&window).filter(recorded).collect();
        running.iter().for_each(|running| running.orders.end(EndReason::Stopped));
        let ids: Vec<_> = running.iter().filter_map(|running| running.recording()).collect();
        let answer = match (running.is_empty(), was_due) {
            (true, false) => return told(Answer::refused(format!("{window} is not being recorded"))),
            (true, true) => Answer::done("what is left of a run that failed is not recorded", &[]),
            (false, _) => Answer::done("recording ends", &ids),
        };
        // Once it stays stopped after a start, too.
        self.chores.push(chores::keep_runs(self.spool.clone(), window, || told(answer)));
    }
}

/// Answers with what was done, or why it could not be.
fn tell(said: &'static str, told: Told) -> orders::Told {
    Box::new(move |done| {
        told(match done {
            Ok(id) => Answer::done(said, [id]),
            Err(error) => Answer::refused(error),
        });
    })
}
