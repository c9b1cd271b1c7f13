//! A recording that only the owner of a key can read, read by `age` itself.

use crate::net::{Cable, Stored, find, is_open_segment, tshark, wait_until};
use formats::age::{Decrypt, Identity, is_age};
use formats::hash::Hash256;
use formats::seal::EndReason;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A key as `age-keygen` makes it; none without that program, which is said aloud.
fn keygen(folder: &Path) -> Option<(PathBuf, Identity)> {
    let file = folder.join("identity.txt");
    match Command::new("age-keygen").arg("-o").arg(&file).output() {
        Ok(made) => assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: no age-keygen in PATH: {error}");
            return None;
        }
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let identity = formats::age::identities(&text).unwrap().remove(0);
    assert!(text.contains(&identity.recipient().to_string()), "its public key stands in the file");
    Some((file, identity))
}

#[test]
fn segments_are_encrypted_also_those_of_a_crash() {
    let Some(cable) = Cable::new() else { return };
    let Some((identity_file, identity)) = keygen(cable.folder.path()) else { return };
    let recipients = cable.folder.path().join("recipients.txt");
    let (ours, another) = (identity.recipient(), Identity::from_bytes([3; 32]).recipient());
    std::fs::write(&recipients, format!("# two of us\n{ours}\n{another}\n")).unwrap();

    let arguments = ["-i", "eth", "--segment-age", "1s", "--encrypt-to", recipients.to_str().unwrap()];
    let recorder = cable.record(&arguments);
    wait_until("segments are stored", || {
        cable.send(3, 100, 9999, 0.0);
        !find(&cable.store(), &|path| path.ends_with("000002.seal.json")).is_empty()
    });
    recorder.kill();
    let left_open = find(&cable.spool(), &is_open_segment);
    cable.spawn_recorder(&[&arguments[..], &["--duration", "1s", "--window", "next"]].concat()).end();

    let stored = cable.stored();
    assert_eq!(stored.len(), 2);
    assert!(!left_open.is_empty() && left_open.iter().all(|path| !path.exists()), "{left_open:?}");
    let is_plain = |path: &Path| path.to_string_lossy().contains("pcapng") && !is_age(&std::fs::read(path).unwrap());
    assert_eq!(find(&cable.store(), &is_plain), Vec::<PathBuf>::new());
    for stored in stored {
        assert_eq!(stored.sound.recipients, [ours, another].into());
        for file in stored.seals.iter().flat_map(|seal| &seal.files) {
            let (path, sealed) = (stored.folder.join(file.name.to_string()), file.encrypted.as_ref().unwrap());
            assert_eq!(sealed.recipients, [ours, another]);
            let mut plain = Vec::new();
            let bytes = std::fs::read(&path).unwrap();
            Decrypt::open(&bytes[..], std::slice::from_ref(&identity)).unwrap().read_to_end(&mut plain).unwrap();
            assert_eq!((Hash256::of(&plain), plain.len() as u64), (sealed.sha256, sealed.bytes));
            // Its own program says the same, and the chain takes what it wrote for what was sealed.
            let place = stored.folder.join(sealed.name.to_string());
            let run =
                Command::new("age").arg("-d").arg("-i").arg(&identity_file).arg("-o").arg(&place).arg(&path).output();
            let run = run.expect("age is where age-keygen is");
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            assert!(std::fs::read(&place).unwrap() == plain, "{}", place.display());
            std::fs::remove_file(&path).unwrap();
        }
        let decrypted = Stored::read(&cable.store(), &stored.folder);
        assert_eq!(decrypted.sound, stored.sound);
        if stored.close.reason == EndReason::Crash {
            assert!(decrypted.sound.counts.written.packets >= 6);
            let first = stored.folder.join(stored.seals[0].files[0].encrypted.as_ref().unwrap().name.to_string());
            let pcapng = cable.folder.path().join("first.pcapng");
            std::fs::write(&pcapng, zstd::decode_all(&std::fs::read(first).unwrap()[..]).unwrap()).unwrap();
            let packets = tshark(&pcapng, "frame", &["frame.number"]).len() as u64;
            assert_eq!(packets, stored.seals[0].counts.written.packets);
        }
    }
}

#[test]
fn what_was_kept_ready_is_encrypted_once_it_is_triggered() {
    let Some(cable) = Cable::new() else { return };
    let identity = Identity::from_bytes([5; 32]);
    let configuration = format!(
        "{{cluster: local, store: STORE, spool: {{folder: SPOOL}}, encrypt_to: [{}], windows: [
          {{name: ready, on_demand: true, duration: 1s, pre_trigger: 1m, interfaces: [eth], segment: {{age: 1s}}}}]}}",
        identity.recipient()
    );
    let recorder = cable.run(&configuration);
    wait_until("two segments are kept", || {
        cable.send(3, 100, 9999, 0.0);
        find(&cable.spool(), &|path| path.to_string_lossy().ends_with("kept.json")).len() > 1
    });
    cable.ctl(&["trigger", "ready"]).unwrap();
    wait_until("it is stored", || !cable.files("close.json").is_empty());
    recorder.stop();
    let stored = cable.only_stored();
    assert_eq!(stored.sound.recipients, [identity.recipient()].into());
    assert!(
        stored.seals.len() > 2 && stored.seals.iter().flat_map(|seal| &seal.files).all(|file| file.encrypted.is_some())
    );
    assert_eq!(cable.files("000001.pcapng.zst"), Vec::<PathBuf>::new());
}

#[test]
fn a_key_that_is_none_is_named_before_anything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, Identity::from_bytes([1; 32]).to_text()).unwrap();
    for (key, want) in [
        (file.to_str().unwrap(), "keys: line 2 is a secret key"),
        ("age1abc", "no public key of age"),
        ("/nowhere/keys", "No such file"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remora-recorder"));
        command.args(["record", "-i", "lo", "--store", "/nowhere", "--encrypt-to", key]);
        let said = String::from_utf8(command.output().expect("it runs").stderr).unwrap();
        assert!(said.contains(want), "{key}: {said}");
    }
}
