//! Whose packets are recorded: a target is a network namespace with its interfaces.
//!
//! Enters: the selectors of a window. Leaves: [`Change`]s, rings that were opened inside the targets there are, and
//! targets that are gone; and [`Unrecorded`]. Refused: targets for whose rings no memory is left; that is said, and they are
//! opened once others are closed.
//!
//!     Source: own, named, processes ──▶ There ──▶ Scout ── rings ──▶ capture thread
//!                                                   └◀─ closed ─────┘
//!
//! A ring holds its namespace, which stays until the ring is closed: so who looks for targets, and not the kernel,
//! says that one is gone.

mod cgroup;
mod fixed;
mod memory;
mod processes;
mod scout;

pub use cgroup::{Owner, fuzz};
#[cfg(test)]
pub(crate) use scout::Open;
pub use scout::Scout;

use crate::capture::Ring;
use formats::pcapng::Target;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What changed since the last look.
#[derive(Debug)]
pub enum Change {
    /// Rings were opened inside a target.
    Appeared {
        /// The rings, which share its packets; they keep some already.
        rings: Vec<Ring>,
        /// Whose packets these are.
        target: Arc<Target>,
    },
    /// A target is gone, or not chosen any more.
    Gone {
        /// Its namespace.
        netns: u64,
    },
}

impl Change {
    /// The namespace it is about.
    pub fn netns(&self) -> u64 {
        match self {
            Self::Appeared { target, .. } => target.netns,
            Self::Gone { netns } => *netns,
        }
    }
}

/// A target that is chosen and has no ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    /// What it is called.
    pub target: String,
    /// Why.
    pub why: String,
}

/// Why nothing can be said about targets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The kernel lets us not see where processes are.
    #[error(
        "the network namespaces of some processes cannot be seen, and are not recorded unless others are in them: \
         that needs the capability CAP_SYS_PTRACE{} ({source})",
        if *held { ", which is held: something else refuses, such as an AppArmor profile" } else { "" }
    )]
    NotAllowed {
        /// Whether the capability is held all the same.
        held: bool,
        /// What the kernel said.
        source: io::Error,
    },
    /// A path that leads to something else.
    #[error("{} is no network namespace: nothing is recorded of it", path.display())]
    NoNamespace {
        /// The path.
        path: PathBuf,
    },
    /// Another fault.
    #[error("{}: {source}", path.display())]
    System {
        /// What was looked at.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A target there is, and where it can be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What is known of it.
    pub target: Target,
    /// A file that leads into its namespace, as long as that is there.
    pub door: PathBuf,
    /// All names it has.
    names: BTreeSet<String>,
    /// All containers in it: those of a pod share one namespace.
    containers: BTreeSet<String>,
}

impl Sighting {
    /// The target under each of its names and with each of its containers: whoever means one of these means it.
    pub fn faces(&self) -> impl Iterator<Item = Target> {
        let either = |all: &BTreeSet<String>| match all.len() {
            0 => vec![None],
            _ => all.iter().cloned().map(Some).collect(),
        };
        let (names, containers) = (either(&self.names), either(&self.containers));
        names.into_iter().flat_map(move |name| {
            let face = move |container| Target { name: name.clone(), container, ..self.target.clone() };
            containers.clone().into_iter().map(face)
        })
    }
}

/// The targets there are, by namespace.
#[derive(Debug, Default)]
pub struct There(pub BTreeMap<u64, Sighting>);

impl There {
    /// Adds a target, or what it tells of one that is there already.
    pub fn add(&mut self, target: Target, door: PathBuf) {
        let nothing = || Sighting {
            target: Target { netns: target.netns, ..Target::default() },
            door,
            names: BTreeSet::new(),
            containers: BTreeSet::new(),
        };
        let known = self.0.entry(target.netns).or_insert_with(nothing);
        known.names.extend(target.name.clone());
        known.containers.extend(target.container.clone());
        known.target.learn(target);
    }
}

/// Somebody who knows targets.
pub trait Source: Send {
    /// Adds the targets there are now to `there`, or what is known of those that others have added before: a source that
    /// knows names comes after one that knows containers.
    ///
    /// # Errors
    /// When it cannot know. What it told before holds until it can.
    fn look(&mut self, there: &mut There) -> Result<(), TargetError>;
}

/// The network namespace a file leads into; none where it is no such file, or gone.
fn namespace(door: &Path) -> Option<u64> {
    // Where a mount did not come through to us, the file it should cover is an empty one of another file system.
    let own = fs::metadata(OWN).ok()?;
    fs::metadata(door).ok().filter(|found| found.dev() == own.dev()).map(|found| found.ino())
}

/// Leads into the recorder's own network namespace.
const OWN: &str = "/proc/self/ns/net";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_face_for_each_of_its_names_and_containers() {
        let mut there = There::default();
        let target = Target { netns: 7, ..Target::default() };
        let faces = |there: &There| {
            let faces = there.0[&7].faces();
            faces.map(|face| (face.name.unwrap_or_default(), face.container.unwrap_or_default())).collect::<Vec<_>>()
        };
        there.add(target.clone(), "/a".into());
        assert_eq!(faces(&there), [("".into(), "".into())]);
        for name in ["blue", "green"] {
            there.add(Target { name: Some(name.into()), ..target.clone() }, "/b".into());
        }
        for container in ["1", "2"] {
            there.add(Target { container: Some(container.into()), ..target.clone() }, "/c".into());
        }
        let want = [("blue", "1"), ("blue", "2"), ("green", "1"), ("green", "2")];
        assert_eq!(faces(&there), want.map(|(name, container)| (name.into(), container.into())));
    }
}
