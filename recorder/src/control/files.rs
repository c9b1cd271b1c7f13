//! Files that trigger windows: one that appears does, and is taken away when the trigger cannot be lost any more.

use super::request::{Answer, Told};
use formats::store::Name;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// What became of the files that were found.
#[derive(Debug, Default)]
pub(super) struct TriggerFiles {
    found: HashMap<Name, Found>,
}

#[derive(Debug)]
enum Found {
    /// It triggered its window, and the answer is on its way.
    Asked(Receiver<Answer>),
    /// It has done its work, and cannot be removed: only once it has vanished the next one counts.
    Left,
}

impl TriggerFiles {
    /// Looks for the file of each window, and whether that is ready. Those to trigger, with whom to tell.
    pub fn look(&mut self, windows: Vec<(Name, PathBuf, bool)>) -> Vec<(Name, PathBuf, Told)> {
        self.found.retain(|name, _| windows.iter().any(|(window, ..)| window == name));
        let mut to_trigger = Vec::new();
        for (window, path, ready) in windows {
            if std::fs::symlink_metadata(&path).is_err() {
                self.found.remove(&window);
                continue;
            }
            match self.found.get(&window) {
                None if !ready => {}
                None => {
                    let (tell, told) = channel();
                    self.found.insert(window.clone(), Found::Asked(told));
                    to_trigger.push((window, path, Box::new(move |answer| drop(tell.send(answer))) as Box<_>));
                }
                Some(Found::Asked(told)) => match told.try_recv() {
                    Ok(answer) => drop(match answered(answer, &path) {
                        true => self.found.remove(&window),
                        false => self.found.insert(window, Found::Left),
                    }),
                    Err(TryRecvError::Empty) => {}
                    // The recording ended before it could answer: the file still stands for its trigger.
                    Err(TryRecvError::Disconnected) => drop(self.found.remove(&window)),
                },
                Some(Found::Left) => {}
            }
        }
        to_trigger
    }
}

/// Takes the file away; false if it cannot be.
fn answered(answer: Answer, path: &PathBuf) -> bool {
    if let Answer::Refused { why } = answer {
        tracing::warn!(file = %path.display(), why, "file triggers nothing");
    }
    let removed = std::fs::remove_file(path);
    if let Err(error) = &removed {
        tracing::error!(file = %path.display(), %error, "file cannot be removed: it triggers again once it has been gone");
    }
    removed.is_ok()
}
