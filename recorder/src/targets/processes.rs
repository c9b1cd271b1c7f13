//! Targets as their processes show them: network namespaces from `/proc`, containers and pods from control groups.
//!
//! A look costs a link for each process that was not seen before, or only lately: a process can go into another
//! namespace after it began, as those of containers do. All others are looked at again now and then.

use super::cgroup::Owner;
use super::{OWN, Source, TargetError, There, namespace};
use formats::pcapng::Target;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process younger than this may still go into another namespace.
const YOUNG: Duration = Duration::from_secs(3);

/// How often all processes are looked at.
const ALL: Duration = Duration::from_secs(15);

/// Most that is read of `/proc/<pid>/cgroup`: a path has at most 4096 bytes, and there are some fourteen hierarchies.
const CGROUP_BYTES_MAX: u64 = 64 << 10;

/// Every network namespace that a process is in, but our own.
#[derive(Debug)]
pub struct Processes {
    folder: PathBuf,
    known: HashMap<u32, Process>,
    /// Whose the oldest processes of namespaces are, by process and namespace.
    owners: HashMap<(u32, u64), Owner>,
    all_at: Option<Instant>,
}

/// A process that was seen.
#[derive(Debug, Clone, Copy)]
struct Process {
    since: Instant,
    netns: Option<u64>,
}

impl Processes {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { folder: "/proc".into(), known: HashMap::new(), owners: HashMap::new(), all_at: None }
    }

    /// Looks where processes are.
    fn walk(&mut self, now: Instant) -> Result<(), TargetError> {
        let at = |source| TargetError::System { path: self.folder.clone(), source };
        let every = self.all_at.is_none_or(|all_at| now.duration_since(all_at) >= ALL);
        let mut known = HashMap::with_capacity(self.known.len());
        let mut refused = None;
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let Some(pid) = entry.map_err(at)?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let mut process = self.known.get(&pid).copied().unwrap_or(Process { since: now, netns: None });
            if every || now.duration_since(process.since) < YOUNG {
                match linked(&self.folder.join(format!("{pid}/ns/net"))) {
                    Ok(netns) => process.netns = netns,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
                    Err(_) => process.netns = None, // It has ended.
                }
            }
            known.insert(pid, process);
        }
        self.known = known;
        if every {
            self.all_at = Some(now);
        }
        match refused {
            Some(source) => Err(TargetError::NotAllowed { held: may_look(), source }),
            None => Ok(()),
        }
    }

    /// Adds the namespaces to `there`, each with its process of the lowest number.
    fn tell(&mut self, there: &mut There) {
        let own = namespace(Path::new(OWN));
        let mut oldest = BTreeMap::new();
        for (&pid, process) in &self.known {
            if let Some(netns) = process.netns.filter(|netns| Some(*netns) != own) {
                let known = oldest.entry(netns).or_insert(pid);
                *known = pid.min(*known);
            }
        }
        self.owners.retain(|(pid, netns), _| oldest.get(netns) == Some(pid));
        for (netns, pid) in oldest {
            let folder = self.folder.join(pid.to_string());
            let owner = self.owners.get(&(pid, netns)).cloned().unwrap_or_else(|| owner(&folder));
            if owner != Owner::default() {
                // Nobody's may become somebody's: then it is asked again.
                self.owners.insert((pid, netns), owner.clone());
            }
            let Owner { container, pod_uid } = owner;
            let target = Target { netns, pid: Some(pid), container, pod_uid, ..Target::default() };
            there.add(target, folder.join("ns/net"));
        }
    }
}

impl Source for Processes {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        let walked = self.walk(Instant::now());
        self.tell(there);
        walked
    }
}

/// The namespace a link of `/proc/<pid>/ns` names: `net:[4026531840]`. Cheaper than to follow it.
fn linked(link: &Path) -> io::Result<Option<u64>> {
    let name = fs::read_link(link)?;
    let number = name.to_str().and_then(|name| name.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok());
    Ok(number)
}

fn owner(folder: &Path) -> Owner {
    let mut text = Vec::new();
    let read = File::open(folder.join("cgroup")).and_then(|file| file.take(CGROUP_BYTES_MAX).read_to_end(&mut text));
    match read {
        Ok(_) => Owner::from_cgroup(&String::from_utf8_lossy(&text)),
        Err(_) => Owner::default(), // It has ended.
    }
}
/// Whether this thread has the capability to see where processes are.
fn may_look() -> bool {
    let held = rustix::thread::capabilities(None);
    held.is_ok_and(|held| held.effective.contains(rustix::thread::CapabilitySet::SYS_PTRACE))
}
