//! The recorder under `deploy/seccomp.json`, as a container runtime would apply it.
#![cfg(target_arch = "x86_64")]

use crate::net::{Cable, wait_until};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

/// What `under_the_profile` is to run, words apart by a tab. Not set where tests run as tests.
const RUN: &str = "REMORA_TEST_RUN_UNDER_PROFILE";

/// The profile, with another end for who calls what is not in it: refused calls may go unnoticed, a death does not.
fn program() -> seccompiler::BpfProgram {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seccomp.json");
    let profile: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let mut filter = Vec::new();
    for rule in profile["syscalls"].as_array().unwrap() {
        assert_eq!(rule["action"], "SCMP_ACT_ALLOW");
        let conditions = rule["args"].as_array().map(|args| args.iter().map(condition).collect::<Vec<_>>());
        for name in rule["names"].as_array().unwrap() {
            filter.push(match &conditions {
                Some(conditions) => json!({"syscall": name, "args": conditions}),
                None => json!({"syscall": name}),
            });
        }
    }
    let filter = json!({"it": {"mismatch_action": "kill_process", "match_action": "allow", "filter": filter}});
    let filter = serde_json::to_vec(&filter).unwrap();
    let mut programs = seccompiler::compile_from_json(&*filter, seccompiler::TargetArch::x86_64).unwrap();
    programs.remove("it").unwrap()
}

fn condition(arg: &Value) -> Value {
    assert_eq!(arg["op"], "SCMP_CMP_EQ");
    json!({"index": arg["index"], "type": "dword", "op": "eq", "val": arg["value"]})
}

/// No test but a program: takes the profile on, and becomes what it is to run.
#[test]
fn under_the_profile() {
    let Ok(words) = std::env::var(RUN) else { return };
    let mut words = words.split('\t');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    seccompiler::apply_filter(&program()).unwrap();
    panic!("{}", command.exec());
}

/// Runs a command in `b`, under the profile.
fn run(cable: &Cable, words: &[&str]) -> Output {
    let this = std::env::current_exe().unwrap();
    let mut command = cable.in_b(this.to_str().unwrap(), &["--exact", "seccomp::under_the_profile", "--nocapture"]);
    command.env(RUN, words.join("\t")).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_recorder_does_nothing_else() {
    let Some(cable) = Cable::new() else { return };
    let (store, spool) = (cable.store(), cable.spool());
    let recorder = env!("CARGO_BIN_EXE_remora-recorder");
    let common = ["--store", store.to_str().unwrap(), "--spool", spool.to_str().unwrap(), "-i", "eth"];
    let listen = ["--listen", "127.0.0.1:9477", "--priority", "realtime", "--cpus", "0", "--promiscuous"];
    let much = ["--packets-max", "100", "--filter", "udp", "--segment-bytes", "4KiB"];
    let words = [&[recorder, "record"][..], &common, &listen, &much].concat();
    let out = std::thread::scope(|scope| {
        let recorder = scope.spawn(|| run(&cable, &words));
        wait_until("it answers", || {
            let out = cable.in_b("curl", &["-s", "-m", "5", "http://127.0.0.1:9477/metrics"]).output().unwrap();
            !out.stdout.is_empty() || recorder.is_finished()
        });
        cable.send(200, 500, 9999, 0.01);
        recorder.join().unwrap()
    });
    assert!(out.status.success(), "{out:?}");
    assert!(cable.only_stored().close.counts.written.packets >= 100);
}

#[test]
fn what_a_recorder_never_does_is_refused() {
    let Some(cable) = Cable::new() else { return };
    assert!(run(&cable, &["true"]).status.success());
    for words in [&["unshare", "-u", "true"][..], &["mount", "-t", "tmpfs", "x", "/mnt"], &["chroot", "/", "true"]] {
        assert_eq!(run(&cable, words).status.code(), None, "{words:?} dies");
    }
}
