//! Capabilities: those the recorder needs for what it is set to do are checked before anything begins, and all
//! others are let go.

use anyhow::{Context, bail};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::path::{Path, PathBuf};

/// What the recorder is set to do, as far as it takes rights.
#[derive(Debug, Default)]
pub struct Tasks {
    /// It was told to capture with real-time priority.
    pub realtime: bool,
    /// It listens on a port that not everybody may take.
    pub low_port: bool,
    /// It records other network namespaces than its own.
    pub namespaces: bool,
    /// It finds those where processes are.
    pub processes: bool,
    /// Folders it writes to.
    pub writes: Vec<PathBuf>,
}

/// A capability, and what it is needed for.
struct Right {
    capability: CapabilitySet,
    name: &'static str,
    purpose: &'static str,
    /// Without it, something is refused; else something is only slower, or may be allowed all the same.
    is_needed: bool,
}

impl Tasks {
    fn rights(&self) -> Vec<Right> {
        let right = |capability, name, purpose, is_needed| Right { capability, name, purpose, is_needed };
        let mut rights = vec![
            right(CapabilitySet::NET_RAW, "CAP_NET_RAW", "to capture packets", true),
            right(CapabilitySet::SYS_NICE, "CAP_SYS_NICE", "for --priority realtime", self.realtime),
        ];
        if self.namespaces {
            rights.push(right(
                CapabilitySet::SYS_ADMIN,
                "CAP_SYS_ADMIN",
                "to enter network namespaces of targets",
                true,
            ));
        }
        if self.processes {
            rights.push(right(CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE", "to see where processes are", true));
        }
        if self.low_port {
            rights.push(right(
                CapabilitySet::NET_BIND_SERVICE,
                "CAP_NET_BIND_SERVICE",
                "for --listen below 1024",
                false,
            ));
        }
        rights
    }
}

/// Takes the rights that `tasks` need, and lets all others go, for this thread and those it will begin.
///
/// # Errors
/// When one is missing: all of them are named, and how to grant them.
pub fn settle(tasks: &Tasks) -> anyhow::Result<()> {
    let held = rustix::thread::capabilities(None).context("ask for this process's capabilities")?.permitted;
    let rights = tasks.rights();
    let missing: Vec<&Right> =
        rights.iter().filter(|right| right.is_needed && !held.contains(right.capability)).collect();
    if !missing.is_empty() {
        bail!(refusal(&missing));
    }
    let mut kept = rights.iter().fold(CapabilitySet::empty(), |all, right| all | right.capability) & held;
    if held.contains(CapabilitySet::DAC_OVERRIDE) {
        // Looked at as we will be.
        take(kept, held)?;
        if let Some(foreign) = tasks.writes.iter().find(|folder| !is_writable(folder)) {
            tracing::warn!(folder = %foreign.display(), "keeps CAP_DAC_OVERRIDE: it writes to a folder of another user");
            kept |= CapabilitySet::DAC_OVERRIDE;
        }
    }
    take(kept, kept)?;
    take_descriptors();
    // Nothing is executed; should that ever change by somebody else's doing, no right comes with it.
    rustix::thread::set_no_new_privs(true).context("give up new privileges")
}

/// Takes as many descriptors as this process may have: each ring is up to three, and the soft limit is there for programs that
/// use select(2), as we do not.
fn take_descriptors() {
    let allowed = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::debug!(%error, "no right to more descriptors");
    }
}

fn take(effective: CapabilitySet, permitted: CapabilitySet) -> anyhow::Result<()> {
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).context("let capabilities go")
}

/// Whether files can be made in a folder, or the folder itself where the next above it is.
fn is_writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    let asked = Access::WRITE_OK | Access::EXEC_OK;
    there.is_none_or(|there| rustix::fs::accessat(CWD, there, asked, AtFlags::EACCESS).is_ok())
}

fn refusal(missing: &[&Right]) -> String {
    let needs: Vec<_> = missing.iter().map(|right| format!("{} {}", right.name, right.purpose)).collect();
    let names: Vec<_> = missing.iter().map(|right| right.name).collect();
    let program = std::env::current_exe().unwrap_or_else(|_| "remora-recorder".into());
    format!(
        "this process may not do what it is set to; it needs {}. Run it as root, or grant {}: in a systemd unit with \
         AmbientCapabilities={}; in a pod with securityContext.capabilities.add: [{}], and as a user other than root \
         on the file too; on the file with setcap {}=p {}",
        needs.join(" and "),
        if missing.len() == 1 { "it" } else { "them" },
        names.join(" "),
        names.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", "),
        names.join(",").to_lowercase(),
        program.display(),
    )
}
