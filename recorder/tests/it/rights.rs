//! Which capabilities a recorder needs, as another user, and which it lets go.

use crate::net::{Cable, wait_until};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `nobody` on every Linux.
const NOBODY: u32 = 65534;

/// A recorder in `b` that runs as another user with these capabilities and no others, and its folders.
fn as_nobody(cable: &Cable, capabilities: &str, arguments: &[&str]) -> Child {
    let folder = ours(cable);
    let mut command = cable.in_b("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let only = if capabilities.is_empty() { "-all".to_owned() } else { format!("-all,{capabilities}") };
    for set in ["inh-caps", "ambient-caps", "bounding-set"] {
        command.arg(format!("--{set}={only}"));
    }
    command.arg(env!("CARGO_BIN_EXE_remora-recorder")).args(["record", "-i", "eth"]).args(arguments);
    command.arg("--store").arg(folder.join("store")).arg("--spool").arg(folder.join("spool"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the recorder starts")
}

/// A folder that is nobody's.
fn ours(cable: &Cable) -> PathBuf {
    let folder = cable.folder.path().join("nobody");
    std::fs::create_dir_all(&folder).unwrap();
    for path in [&folder, cable.folder.path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

/// A line of `/proc/<pid>/task/*/status`, for every thread.
fn of_threads(process: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let value = |status: String| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    statuses.filter_map(value).collect()
}

const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;
const SYS_NICE: u64 = 1 << 23;

fn hold_exactly(process: u32, rights: u64) -> bool {
    let want = format!("{rights:016x}");
    let sets = ["CapEff:", "CapPrm:"].map(|set| of_threads(process, set));
    let none = ["CapInh:", "CapAmb:"].map(|set| of_threads(process, set));
    sets.iter().all(|set| set.len() > 3 && set.iter().all(|held| *held == want))
        && none.iter().flatten().all(|held| held.bytes().all(|digit| digit == b'0'))
        && of_threads(process, "NoNewPrivs:").iter().all(|set| set == "1")
}

fn is_recording(folder: &Path) -> bool {
    let segments = Command::new("find").arg(folder).args(["-name", "000001.pcapng.zst.open"]).output().unwrap();
    !segments.stdout.is_empty()
}

#[test]
fn another_user_records_with_one_capability() {
    let Some(cable) = Cable::new() else { return };
    let recorder = as_nobody(&cable, "+net_raw", &["--duration", "3s", "--filter", "udp dst port 9999"]);
    wait_until("it records", || is_recording(&ours(&cable)));
    assert!(hold_exactly(recorder.id(), NET_RAW));
    cable.send(10, 100, 9999, 0.0);
    let out = recorder.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("packets    10 written of"));
}

#[test]
fn another_namespace_takes_another_capability() {
    let Some(cable) = Cable::new() else { return };
    let target = format!("netns:{}", cable.name_of_a());
    let arguments = ["--duration", "3s", "--filter", "udp dst port 9999", "--target", &target];
    let recorder = as_nobody(&cable, "+net_raw,+sys_admin", &arguments);
    wait_until("it records", || is_recording(&ours(&cable)));
    assert!(hold_exactly(recorder.id(), NET_RAW | SYS_ADMIN));
    cable.send(10, 100, 9999, 0.0);
    let out = recorder.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("packets    10 written of"));
}

#[test]
fn each_capability_that_is_missing_is_named() {
    let Some(cable) = Cable::new() else { return };
    let realtime: &[&str] = &["--priority", "realtime", "--duration", "1s"];
    for (held, arguments, missing) in [
        ("", &["--duration", "1s"][..], &["CAP_NET_RAW to capture packets"][..]),
        ("+sys_nice", realtime, &["CAP_NET_RAW to capture packets"]),
        ("+net_raw", realtime, &["CAP_SYS_NICE for --priority realtime"]),
        ("", realtime, &["CAP_NET_RAW to capture packets and CAP_SYS_NICE for --priority realtime"]),
        ("+net_raw,+sys_nice", realtime, &[]),
        ("+net_raw", &["--target", "netns:x"], &["CAP_SYS_ADMIN to enter network namespaces of targets"]),
        ("+net_raw,+sys_admin", &["--target", "pid:1"], &["CAP_SYS_PTRACE to see where processes are"]),
    ] {
        let out = as_nobody(&cable, held, arguments).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(if missing.is_empty() { 0 } else { 2 }), "{held}: {said}");
        for missing in missing {
            assert!(said.contains(&format!("it needs {missing}. Run it as root, or grant")), "{held}: {said}");
            assert!(said.contains("AmbientCapabilities=CAP_") && said.contains("setcap cap_"), "{held}: {said}");
        }
        let spool = ours(&cable).join("spool");
        assert_eq!(spool.exists(), missing.is_empty(), "{held}: nothing is left behind");
        let _ = std::fs::remove_dir_all(spool);
    }
}

#[test]
fn root_keeps_only_what_it_needs() {
    let Some(cable) = Cable::new() else { return };
    let recorder = cable.record(&["-i", "eth", "--filter", "udp"]);
    assert!(hold_exactly(recorder.id(), NET_RAW | SYS_NICE));
    recorder.stop();
    // Folders of others are written to all the same: that is what root was asked for.
    chown(cable.spool(), Some(NOBODY), Some(NOBODY)).unwrap();
    let recorder = cable.spawn_recorder(&["-i", "eth", "--duration", "1s", "--window", "foreign"]);
    let said = recorder.log();
    assert!(said.contains("keeps CAP_DAC_OVERRIDE"), "{said}");
    assert_eq!(cable.stored().len(), 2);
}
