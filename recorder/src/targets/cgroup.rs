//! Whose a process is, by the names of its control groups (cgroups(7), `/proc/<pid>/cgroup`).
//!
//! Runtimes put a container's id, and Kubernetes a pod's UID, into the path:
//!
//!     0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope
//!     0::/kubepods.slice/kubepods-pod<uid_>.slice/crio-<id>.scope
//!     11:memory:/kubepods/besteffort/pod<uid>/<id>
//!     1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod<uid_>.slice:cri-containerd:<id>
//!     0::/system.slice/docker-<id>.scope
//!     4:cpu:/docker/<id>
//!
//! with `_` for `-` in UIDs where systemd makes the groups. Inside one another, as in a node that is a container
//! itself, the innermost counts.

/// Whose a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Id of its container.
    pub container: Option<String>,
    /// UID of its pod.
    pub pod_uid: Option<String>,
}

impl Owner {
    /// Reads `/proc/<pid>/cgroup`: a line for each hierarchy, of which there is one since version 2.
    pub fn from_cgroup(text: &str) -> Self {
        let mut owner = Self::default();
        for line in text.lines() {
            // Number, controllers, path; the path may have colons too.
            let Some(path) = line.splitn(3, ':').nth(2) else { continue };
            let found = Self::from_path(path);
            owner.container = owner.container.or(found.container);
            owner.pod_uid = owner.pod_uid.or(found.pod_uid);
        }
        owner
    }

    fn from_path(path: &str) -> Self {
        let mut owner = Self::default();
        for name in path.split(['/', ':']) {
            let name = name.strip_suffix(".scope").or_else(|| name.strip_suffix(".slice")).unwrap_or(name);
            if let Some(uid) = name.rsplit_once("pod").and_then(|(before, uid)| pod_uid(before, uid)) {
                // What is around a pod is not its container.
                owner = Self { pod_uid: Some(uid), container: None };
            } else if let Some(id) = container_id(name) {
                owner.container = Some(id);
            }
        }
        owner
    }
}

/// A UID behind the word `pod`: RFC 9562's form, or the hash that static pods have (32 hex digits).
fn pod_uid(before: &str, uid: &str) -> Option<String> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    if !(before.is_empty() || before.ends_with('-')) {
        return None;
    }
    let uid = uid.replace('_', "-");
    let in_groups = uid.split('-').map(|group| if is_hex(group) { group.len() } else { 0 }).eq(GROUPS);
    (in_groups || (uid.len() == 32 && is_hex(&uid))).then_some(uid)
}

/// A container's id: 64 hex digits, alone or behind the runtime's name.
fn container_id(name: &str) -> Option<String> {
    let (runtime, id) = name.rsplit_once('-').unwrap_or(("", name));
    // CRI-O puts the process that watches a container beside it.
    let is_watcher = runtime.ends_with("conmon");
    (!is_watcher && id.len() == 64 && is_hex(id)).then(|| id.to_owned())
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "7c5a1f0e9b8d7c6b5a49382716059f8e7d6c5b4a39281706f5e4d3c2b1a09f8e";
    const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000ff";
    const UID: &str = "3f2a9c1e-8d7b-4a65-9c3e-1f2d3c4b5a69";

    fn owner(container: &str, pod_uid: &str) -> Owner {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Owner { container: known(container), pod_uid: known(pod_uid) }
    }

    #[test]
    fn paths_of_the_runtimes_there_are() {
        let uid_ = UID.replace('-', "_");
        let burstable = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid_}.slice");
        for (path, want) in [
            (format!("{burstable}/cri-containerd-{ID}.scope"), owner(ID, UID)),
            (format!("/kubepods.slice/kubepods-pod{uid_}.slice/crio-{ID}.scope"), owner(ID, UID)),
            (format!("/kubepods.slice/kubepods-pod{uid_}.slice/crio-{ID}.scope/container"), owner(ID, UID)),
            (format!("/kubepods.slice/kubepods-pod{uid_}.slice/crio-conmon-{ID}.scope"), owner("", UID)),
            (format!("/kubepods/besteffort/pod{UID}/{ID}"), owner(ID, UID)),
            (format!("/system.slice/containerd.service/kubepods-pod{uid_}.slice:cri-containerd:{ID}"), owner(ID, UID)),
            (format!("/system.slice/docker-{ID}.scope"), owner(ID, "")),
            (format!("/docker/{ID}"), owner(ID, "")),
            (format!("/machine.slice/libpod-{ID}.scope/container"), owner(ID, "")),
            (
                format!("/docker/{OTHER}/kubelet.slice/kubelet-kubepods-pod{uid_}.slice/cri-containerd-{ID}.scope"),
                owner(ID, UID),
            ),
            (format!("/docker/{OTHER}/kubepods/pod{UID}"), owner("", UID)),
            (format!("/../../kubepods/pod{UID}/{ID}"), owner(ID, UID)),
            (
                "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/x".into(),
                owner("", "0123456789abcdef0123456789abcdef"),
            ),
            ("/user.slice/user-1000.slice/session-2.scope".into(), owner("", "")),
            ("/system.slice/podman.service".into(), owner("", "")),
            ("/".into(), owner("", "")),
        ] {
            let v2 = Owner::from_cgroup(&format!("0::{path}\n"));
            assert_eq!(v2, want, "{path}");
            let v1 = format!("12:pids:/\n4:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::/\n");
            assert_eq!(Owner::from_cgroup(&v1), want, "{path}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_file_says_only_ids_come_out(text in "[ -~\n]{0,300}") {
            fuzz::fuzz_cgroup(text.as_bytes());
        }

        #[test]
        fn an_id_and_a_uid_are_found_below_anything(
            above in "(/[a-z.]{1,12}){0,5}", runtime in "(cri-containerd-|crio-|docker-|)", systemd: bool
        ) {
            let path = match systemd {
                true => format!("0::{above}/kubepods-pod{}.slice/{runtime}{ID}.scope", UID.replace('-', "_")),
                false => format!("3:memory:{above}/pod{UID}/{runtime}{ID}"),
            };
            prop_assert_eq!(Owner::from_cgroup(&path), owner(ID, UID));
        }
    }
}

/// Entries for the fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever a file says, what comes out of it is an id and a UID.
    pub fn fuzz_cgroup(data: &[u8]) {
        let owner = super::Owner::from_cgroup(&String::from_utf8_lossy(data));
        assert!(owner.container.is_none_or(|id| id.len() == 64 && super::is_hex(&id)));
        assert!(owner.pod_uid.is_none_or(|uid| matches!(uid.replace('-', "").len(), 32)));
    }
}
