//! Targets as their processes show them: network namespaces from `/proc`, containers and pods from control groups.
//!
//! A look costs a link for each process that was not seen before, or only lately: a process can go into another
//! namespace after it began, as those of containers do. Of all others a part is looked at each time.

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

/// One of so many older processes is looked at each time: with pauses of [`LOOK`](crate::limits::LOOK) all within
/// three seconds.
const PARTS: u32 = 8;

/// Most that is read of `/proc/<pid>/cgroup`: a path has at most 4096 bytes, and there are some fourteen hierarchies.
const CGROUP_BYTES_MAX: u64 = 64 << 10;

/// Every network namespace that a process is in, but our own.
#[derive(Debug)]
pub struct Processes {
    folder: PathBuf,
    known: HashMap<u32, Process>,
    looks: u32,
    /// Whose processes in other namespaces are; nobody's may become somebody's, and is asked again.
    owners: HashMap<(u32, u64), Owner>,
    /// Whose namespaces are, for as long as they are there: whoever goes into one later does not take it over.
    owned: HashMap<u64, Owner>,
}

/// A process that was seen.
#[derive(Debug, Clone, Copy)]
struct Process {
    since: Instant,
    netns: Option<u64>,
    /// Whether it was looked at the last time.
    is_fresh: bool,
}

impl Processes {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::below("/proc".into())
    }

    fn below(folder: PathBuf) -> Self {
        Self { folder, known: HashMap::new(), looks: 0, owners: HashMap::new(), owned: HashMap::new() }
    }

    /// Looks where processes are.
    fn walk(&mut self, now: Instant) -> Result<(), TargetError> {
        let at = |source| TargetError::System { path: self.folder.clone(), source };
        self.looks = self.looks.wrapping_add(1);
        let mut known = HashMap::with_capacity(self.known.len());
        let mut refused = None;
        for entry in fs::read_dir(&self.folder).map_err(at)? {
            let Some(pid) = entry.map_err(at)?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let seen = self.known.get(&pid).copied();
            let mut process = seen.unwrap_or(Process { since: now, netns: None, is_fresh: true });
            let is_its_turn = pid % PARTS == self.looks % PARTS;
            process.is_fresh = is_its_turn || now.duration_since(process.since) < YOUNG;
            if process.is_fresh {
                match linked(&self.folder.join(format!("{pid}/ns/net"))) {
                    Ok(netns) => process.netns = netns,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
                    Err(_) => process.netns = None, // It has ended.
                }
            }
            known.insert(pid, process);
        }
        self.known = known;
        match refused {
            Some(source) => Err(TargetError::NotAllowed { held: may_look(), source }),
            None => Ok(()),
        }
    }

    /// Adds the namespaces to `there`, each with its process of the lowest number and all its containers.
    fn tell(&mut self, there: &mut There) {
        let own = namespace(Path::new(OWN));
        let mut inside: BTreeMap<u64, BTreeMap<u32, bool>> = BTreeMap::new();
        for (&pid, process) in &self.known {
            if let Some(netns) = process.netns.filter(|netns| Some(*netns) != own) {
                inside.entry(netns).or_default().insert(pid, process.is_fresh);
            }
        }
        self.owned.retain(|netns, _| inside.contains_key(netns));
        self.owners.retain(|(pid, netns), _| inside.get(netns).is_some_and(|pids| pids.contains_key(pid)));
        for (netns, pids) in inside {
            let Some((&oldest, _)) = pids.first_key_value() else { continue };
            let door = self.folder.join(oldest.to_string()).join("ns/net");
            let owners: Vec<Owner> =
                pids.into_iter().map(|(pid, is_fresh)| self.owner_of(pid, netns, is_fresh).clone()).collect();
            let owned = self.owned.entry(netns).or_default();
            if *owned == Owner::default() {
                let known = owners.iter().filter(|owner| **owner != Owner::default());
                *owned = known.min_by_key(|owner| owner.pod_uid.is_none()).cloned().unwrap_or_default();
            }
            let Owner { container, pod_uid } = owned.clone();
            // Of a guest from elsewhere it is not.
            let ours = owners.into_iter().filter(|owner| owner.pod_uid == pod_uid);
            let others: Vec<_> = ours.filter_map(|owner| owner.container).collect();
            let target = Target { netns, pid: Some(oldest), container, pod_uid, ..Target::default() };
            there.add(target, door.clone());
            for container in others {
                there.add(Target { netns, container: Some(container), ..Target::default() }, door.clone());
            }
        }
    }

    fn owner_of(&mut self, pid: u32, netns: u64, is_fresh: bool) -> &Owner {
        let owner = self.owners.entry((pid, netns)).or_default();
        if *owner == Owner::default() && is_fresh {
            *owner = read_owner(&self.folder.join(pid.to_string()));
        }
        owner
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

fn read_owner(folder: &Path) -> Owner {
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

#[cfg(test)]
mod tests {
    use super::super::Sighting;
    use super::*;

    /// A process as `/proc` shows it.
    fn process(proc: &Path, pid: u32, netns: u64, cgroup: &str) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("ns")).unwrap();
        let link = folder.join("ns/net");
        fs::remove_file(&link).ok();
        std::os::unix::fs::symlink(format!("net:[{netns}]"), link).unwrap();
        fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
    }

    #[test]
    fn a_namespace_stays_whose_it_was_and_has_all_its_containers() {
        let uid = |digit: &str| format!("{0}-{1}-{1}-{1}-{2}", digit.repeat(8), digit.repeat(4), digit.repeat(12));
        let path = |pod: &str, id: &str| format!("/kubepods/pod{}/{}", uid(pod), id.repeat(64));
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 20, 7, &path("1", "a"));
        process(proc.path(), 30, 7, &path("1", "b"));
        let mut processes = Processes::below(proc.path().to_owned());
        let mut look = || {
            let mut there = There::default();
            processes.look(&mut there).unwrap();
            let Sighting { target, containers, .. } = there.0.into_values().next().unwrap();
            let containers: Vec<_> = containers.iter().map(|id| id[..1].to_owned()).collect();
            (target.pid, target.pod_uid, containers.concat())
        };
        assert_eq!(look(), (Some(20), Some(uid("1")), "ab".into()));
        // Older ones come in: somebody's debugger, another pod's process.
        process(proc.path(), 3, 7, "/user.slice");
        process(proc.path(), 4, 7, &path("2", "c"));
        assert_eq!(look(), (Some(3), Some(uid("1")), "ab".into()));
    }
}
