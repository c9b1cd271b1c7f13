//! A recording that is signed, proved by `minisign` and by the chain.

use crate::net::{Cable, wait_until};
use formats::chain::{self, Content, Found};
use formats::seal::EndReason;
use formats::signature::PublicKey;
use formats::store::RecordingId;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn keygen(file: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_remora-recorder")).arg("keygen").arg(file).output().expect("it runs")
}

/// All files of the folder of a recording.
fn found(folder: &Path) -> Vec<Found> {
    let read = |entry: std::fs::DirEntry| {
        let (name, bytes) = (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        let sha256 = formats::hash::Hash256::of(&bytes);
        let content = match Found::is_ledger(&name) {
            true => Content::Ledger(bytes),
            false => Content::Hashed { bytes: bytes.len() as u64, sha256 },
        };
        Found { name, content }
    };
    folder.read_dir().unwrap().map(|entry| read(entry.unwrap())).collect()
}

#[test]
fn seals_are_signed_also_those_of_a_crash() {
    let Some(cable) = Cable::new() else { return };
    let secret = cable.folder.path().join("key");
    let public = cable.folder.path().join("key.pub");
    assert!(keygen(&secret).status.success());
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!keygen(&secret).status.success(), "a key is never overwritten");
    let key: PublicKey = std::fs::read_to_string(&public).unwrap().parse().unwrap();

    let arguments = ["-i", "eth", "--segment-age", "1s", "--sign-key", secret.to_str().unwrap()];
    let recorder = cable.record(&arguments);
    wait_until("segments are stored", || {
        cable.send(3, 100, 9999, 0.0);
        let folders = cable.spool().join("local/manual").read_dir().into_iter().flatten().flatten();
        folders.flat_map(|start| start.path().read_dir()).flatten().flatten().any(|node| {
            node.path().join("000002.sent.json").exists() && !node.path().join("000001.seal.json.minisig").exists()
        })
    });
    recorder.kill();
    cable.spawn_recorder(&[&arguments[..], &["--duration", "1s", "--window", "next"]].concat()).end();

    let stored = cable.stored();
    assert_eq!(stored.len(), 2);
    for stored in stored {
        let id = RecordingId::clone(&stored.close.recording);
        let sound = chain::verify_signed(&id, &found(&stored.folder), &[key]).unwrap();
        assert_eq!(sound.signatures, sound.segments + 1);
        assert_eq!(stored.close.reason == EndReason::Crash, id.window.as_str() == "manual");
        // Segments of a crash were timed by a clock that nobody can ask any more.
        assert!(stored.seals.iter().all(|seal| seal.clock.is_some() != seal.recovered.is_some()));
        for name in ["000001.seal.json", "close.json"] {
            let mut minisign = Command::new("minisign");
            minisign.arg("-V").arg("-p").arg(&public).arg("-m").arg(stored.folder.join(name));
            match minisign.output() {
                Ok(proved) => {
                    let said = String::from_utf8_lossy(&proved.stdout).into_owned();
                    assert!(proved.status.success() && said.contains(&format!("{id}/{name}")), "{said}");
                }
                Err(error) => eprintln!("SKIPPED: no minisign in PATH: {error}"),
            }
        }
    }
}

#[test]
fn a_key_that_cannot_sign_is_named_before_anything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
        command.args(["record", "-i", "lo", "--store", "/nowhere", "--sign-key"]).arg(&key);
        String::from_utf8(command.output().expect("it runs").stderr).unwrap()
    };
    assert!(run().contains("No such file"));
    std::fs::write(&key, "untrusted comment: a key\nRWQ=\n").unwrap();
    let said = run();
    assert!(said.contains("is no secret key of minisign") && said.contains(key.to_str().unwrap()), "{said}");
}
