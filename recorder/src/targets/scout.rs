//! Looks for targets again and again, opens rings inside those that are chosen, and says which are gone.

use super::fixed::{AtPath, Named, Own};
use super::memory::{Memory, split};
use super::processes::Processes;
use super::{Change, Sighting, Source, There, Unrecorded, namespace};
use crate::capture::{CaptureError, Ring, RingOptions, Selection, enter_network, thread_work};
use crate::limits;
use crate::schedule::{Interface, Place, Selector};
use formats::pcapng::Target;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Looks for targets.
pub struct Scout {
    sources: Vec<Box<dyn Source>>,
    opener: Box<dyn Open>,
    chosen: Vec<Selector>,
    exclude: Vec<Selector>,
    /// What rings are like, but for their interfaces and size.
    options: RingOptions,
    memory: Memory,
    /// Targets with rings.
    open: BTreeMap<u64, Opened>,
    /// Those that have none, as it was said.
    refused: BTreeMap<u64, Unrecorded>,
    /// What sources said that went wrong.
    failed: HashSet<String>,
}

/// A target with rings.
#[derive(Debug, Clone, Copy)]
struct Opened {
    /// How many there are.
    rings: usize,
    /// What they took of the memory.
    bytes: usize,
    /// For how many looks the target was missing.
    missing_looks: u32,
}

/// A target is gone when it was missing so many times: a process that becomes another may be missed once.
const MISSING_LOOKS: u32 = 2;

/// Most of a processor that looking may take: a look that takes long is followed by a long pause.
const PAUSE_PER_LOOK: u32 = 300;

impl Scout {
    /// Of a window that records `chosen` and leaves out `exclude`. Rings are as in `options`, but their interfaces may be
    /// the selector's; all of them together have the size that it says.
    pub fn new(chosen: &[Selector], exclude: &[Selector], options: RingOptions) -> Self {
        let all = || chosen.iter().chain(exclude);
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        sources.push(Box::new(Own));
        if all().any(Selector::asks_names_of_namespaces) {
            sources.push(Box::new(Named::default()));
        }
        sources.extend(chosen.iter().filter_map(door).map(|path| Box::new(AtPath(path)) as Box<dyn Source>));
        if all().any(|selector| selector.place() == Place::Processes || selector.asks_whose()) {
            sources.push(Box::new(Processes::new()));
        }
        Self::over(sources, Box::new(Inside), (chosen, exclude), options)
    }

    /// The same with what `sources` know, and rings as `opener` opens them.
    pub(crate) fn over(
        sources: Vec<Box<dyn Source>>,
        opener: Box<dyn Open>,
        (chosen, exclude): (&[Selector], &[Selector]),
        options: RingOptions,
    ) -> Self {
        Self {
            sources,
            opener,
            chosen: chosen.to_vec(),
            exclude: exclude.to_vec(),
            memory: Memory::new(options.ring_bytes),
            options,
            open: BTreeMap::new(),
            refused: BTreeMap::new(),
            failed: HashSet::new(),
        }
    }

    /// Whether targets may come and go.
    pub fn follows(&self) -> bool {
        self.chosen.iter().any(|selector| selector.place() != Place::Host)
    }

    /// Looks for the first time: opens rings inside the targets there are, until `is_over`. Of many that takes seconds.
    ///
    /// # Errors
    /// Of our own namespace, when it is chosen: that one is there, and will not be better later.
    pub fn begin(&mut self, tell: &Sender<Change>, is_over: impl Fn() -> bool) -> Result<(), CaptureError> {
        let chosen = self.look();
        let share_bytes = self.memory.divide(chosen.len(), self.follows());
        for (sighting, interfaces) in chosen.into_iter().take_while(|_| !is_over()) {
            let host = sighting.target.host;
            if let Err(error) = self.open(sighting, interfaces, tell)
                && host
            {
                return Err(error);
            }
        }
        self.memory.share_bytes = None;
        let Memory { bytes, left_bytes, .. } = self.memory;
        let targets = self.open.len();
        tracing::info!(targets, ring_bytes = bytes, target_ring_bytes = share_bytes, left_bytes, "rings are open");
        if targets == 0 && !is_over() {
            tracing::warn!("no target that is chosen is there: nothing is recorded until one comes");
        }
        Ok(())
    }

    /// Targets that have a ring.
    pub fn recorded(&self) -> usize {
        self.open.len()
    }

    /// Follows targets that come and go, until nobody tells any more which rings are `closed`. After each look
    /// `found` is told how many have one, and which have none.
    pub fn follow(mut self, tell: &Sender<Change>, closed: &Receiver<u64>, found: impl Fn(usize, Vec<Unrecorded>)) {
        let mut pause = limits::LOOK;
        loop {
            found(self.recorded(), self.refused.values().cloned().collect());
            let until = Instant::now() + pause;
            loop {
                match closed.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(netns) => self.closed(netns),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            pause = pause_after(self.compare(tell));
        }
    }

    /// Opens rings of targets that appeared, and says which targets are gone; the work that it was to look.
    pub(crate) fn compare(&mut self, tell: &Sender<Change>) -> Duration {
        let work = || thread_work().unwrap_or_default();
        let begun = work();
        let chosen = self.look();
        let looked = work().saturating_sub(begun);
        let there: HashSet<u64> = chosen.iter().map(|(sighting, _)| sighting.target.netns).collect();
        for (&netns, opened) in &mut self.open {
            opened.missing_looks = if there.contains(&netns) { 0 } else { opened.missing_looks + 1 };
            if opened.missing_looks == MISSING_LOOKS {
                tracing::info!(netns, "target is gone");
                tell.send(Change::Gone { netns }).ok();
            }
        }
        self.refused.retain(|netns, _| there.contains(netns));
        for (sighting, interfaces) in chosen {
            if !self.open.contains_key(&sighting.target.netns) {
                self.open(sighting, interfaces, tell).ok(); // Was said.
            }
        }
        looked
    }

    /// All rings of a target are closed: their memory is free.
    pub(crate) fn closed(&mut self, netns: u64) {
        if let Some(opened) = self.open.remove(&netns) {
            self.memory.give_back(opened.bytes);
        }
    }

    /// The chosen targets there are, with the interfaces to listen on.
    fn look(&mut self) -> Vec<(Sighting, Vec<Interface>)> {
        let mut there = There::default();
        for source in &mut self.sources {
            if let Err(error) = source.look(&mut there) {
                let error = error.to_string();
                if !self.failed.contains(&error) {
                    tracing::error!(%error, "targets are not all known");
                    self.failed.insert(error);
                }
            }
        }
        let at_place = |selectors: &[Selector]| -> Vec<_> {
            selectors.iter().map(|selector| door(selector).and_then(|door| namespace(&door))).collect()
        };
        let (chosen_at, exclude_at) = (at_place(&self.chosen), at_place(&self.exclude));
        let fits = |(selector, at): &(&Selector, &Option<u64>), faces: &[Target]| {
            faces.iter().any(|target| selector.fits(target, **at))
        };
        let mut chosen = Vec::new();
        for sighting in there.0.into_values() {
            let faces: Vec<_> = sighting.faces().collect();
            let meant: Vec<_> = self.chosen.iter().zip(&chosen_at).filter(|pair| fits(pair, &faces)).collect();
            if !meant.is_empty() && !self.exclude.iter().zip(&exclude_at).any(|pair| fits(&pair, &faces)) {
                // Whoever names no interface leaves that to the window.
                let names = match meant.iter().any(|(selector, _)| selector.interfaces().is_empty()) {
                    true => Vec::new(),
                    false => meant.iter().flat_map(|(selector, _)| selector.interfaces()).cloned().collect(),
                };
                chosen.push((sighting, names));
            }
        }
        chosen
    }

    /// Opens the rings of a target, inside of it. What goes wrong is said once.
    fn open(
        &mut self,
        sighting: Sighting,
        interfaces: Vec<Interface>,
        tell: &Sender<Change>,
    ) -> Result<(), CaptureError> {
        let netns = sighting.target.netns;
        let label = sighting.target.label();
        match self.try_open(&sighting, &interfaces) {
            Ok((rings, bytes)) => {
                let (count, ring_bytes) = split(bytes, rings.len());
                tracing::info!(target = label, netns, rings = count, ring_bytes, "rings opened");
                self.refused.remove(&netns);
                self.open.insert(netns, Opened { rings: count, bytes, missing_looks: 0 });
                tell.send(Change::Appeared { rings, target: Arc::new(sighting.target) }).ok();
                Ok(())
            }
            Err(error) => {
                let said = Unrecorded { target: label, why: error.to_string() };
                if self.refused.get(&netns) != Some(&said) {
                    tracing::error!(target = said.target, netns, %error, "target is not recorded");
                    self.refused.insert(netns, said);
                }
                Err(error)
            }
        }
    }

    fn try_open(&mut self, sighting: &Sighting, interfaces: &[Interface]) -> Result<(Vec<Ring>, usize), CaptureError> {
        let mut options = self.options.clone();
        if !interfaces.is_empty() {
            let names: Vec<_> = interfaces.iter().map(|name| name.as_str().to_owned()).collect();
            options.selection = Selection::new(&names)?;
        }
        options.must_exist = sighting.target.host;
        let Some(bytes) = self.memory.take() else {
            let rings = self.open.values().map(|opened| opened.rings).sum();
            return Err(CaptureError::NoMemory { bytes: self.memory.bytes, rings });
        };
        (options.rings, options.ring_bytes) = split(bytes, options.rings);
        let opened = self.opener.open(sighting, options);
        if opened.is_err() {
            self.memory.give_back(bytes);
        }
        Ok((opened?, bytes))
    }
}

/// Opens rings inside targets.
pub(crate) trait Open: Send {
    /// Rings inside a target, from here on they keep packets.
    fn open(&self, sighting: &Sighting, options: RingOptions) -> Result<Vec<Ring>, CaptureError>;
}

/// Rings of the kernel.
struct Inside;

impl Open for Inside {
    fn open(&self, sighting: &Sighting, options: RingOptions) -> Result<Vec<Ring>, CaptureError> {
        match sighting.target.host {
            true => Ring::open(options),
            false => open_inside(&sighting.door, sighting.target.netns, options),
        }
    }
}

/// Where the namespace of a selector can be entered, if it says so.
fn door(selector: &Selector) -> Option<PathBuf> {
    match selector.place() {
        Place::Path(path) => Some(path.to_owned()),
        Place::Process(pid) => Some(format!("/proc/{pid}/ns/net").into()),
        Place::Host | Place::Named | Place::Processes => None,
    }
}

fn pause_after(look: Duration) -> Duration {
    look.saturating_mul(PAUSE_PER_LOOK).max(limits::LOOK).min(limits::LOOK_MAX)
}

/// Opens rings inside a namespace: on a thread of its own, which is in there for as long as that takes.
fn open_inside(door: &Path, netns: u64, options: RingOptions) -> Result<Vec<Ring>, CaptureError> {
    let inside = move || {
        let system = |action| move |source| CaptureError::System { action, source };
        let namespace = File::open(door).map_err(system("open the target's network namespace"))?;
        let found = namespace.metadata().map_err(system("open the target's network namespace"))?;
        if found.ino() != netns {
            // Its last process ended, and another has its number.
            return Err(system("find the target again")(io::ErrorKind::NotFound.into()));
        }
        enter_network(&namespace).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => CaptureError::NotAllowedInside(source),
            _ => system("enter the target's network namespace")(source),
        })?;
        Ring::open(options)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("opener".into()).spawn_scoped(scope, inside);
        let thread = thread.map_err(|source| CaptureError::System { action: "begin a thread", source })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_takes_a_small_part_of_the_time() {
        assert_eq!(pause_after(Duration::from_micros(100)), limits::LOOK);
        assert_eq!(pause_after(Duration::from_millis(4)), Duration::from_millis(1200));
        assert_eq!(pause_after(Duration::from_secs(9)), limits::LOOK_MAX);
    }
}
