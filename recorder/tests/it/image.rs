//! The image, as far as it can be had without a builder: the root that `deploy/Containerfile` makes, with what the recipe says
//! of rights, user and folders, read-only, and a recording made in it.

use crate::net::{Cable, must, wait_until};
use std::path::Path;
use std::process::Command;

const RECIPE: &str = include_str!("../../../deploy/Containerfile");

/// What is in distroless/cc-debian12 of what a program may be linked with.
const LIBRARIES: [&str; 6] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"];

/// What stands behind a word in the recipe, up to the end of that line.
fn behind(word: &str) -> &'static str {
    let line = RECIPE.lines().find_map(|line| line.split_once(word)).unwrap_or_else(|| panic!("no {word:?}"));
    line.1.trim_end_matches(['\\', ' '])
}

fn copy(from: &str, root: &Path) {
    let to = root.join(from.trim_start_matches('/'));
    std::fs::create_dir_all(to.parent().expect("a folder")).unwrap();
    std::fs::copy(from, to).unwrap();
}

#[test]
fn the_recorder_records_in_the_root_that_the_recipe_makes() {
    if !cfg!(target_arch = "x86_64") {
        return eprintln!("SKIPPED: the libraries have other names here");
    }
    let Some(cable) = Cable::new() else { return };
    let root = cable.folder.path().join("root");
    let program = behind("ENTRYPOINT [\"").trim_end_matches("\"]");
    let inside = root.join(program.trim_start_matches('/'));
    std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_remora-recorder"), &inside).unwrap();
    let linked = must(Command::new("ldd").arg(&inside)).stdout;
    for word in String::from_utf8(linked).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        let name = Path::new(word).file_name().unwrap().to_str().unwrap();
        assert!(LIBRARIES.contains(&name), "{name} is not in the image");
        copy(word, &root);
    }
    let (rights, _) = behind("setcap ").split_once(' ').unwrap();
    must(Command::new("setcap").arg(rights).arg(&inside));
    let (user, volume) = (behind("USER "), behind("VOLUME "));
    for folder in ["proc", "etc", "store", volume.trim_start_matches('/')] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }

    let root = root.to_str().unwrap();
    let (uid, gid) = user.split_once(':').unwrap();
    let owned = format!("mode=0700,uid={uid},gid={gid}");
    let begin = format!(
        "mount --bind {root} {root} && mount -o remount,ro,bind {root} && mount -t proc proc {root}/proc \
         && mount -t tmpfs -o {owned} spool {root}{volume} && mount -t tmpfs -o {owned} store {root}/store \
         && chroot --userspec={user} {root} {program} record -i eth --filter 'udp port 9999' --duration 3s --node n \
            --store /store --spool {volume} >/dev/null && find {root}{volume} {root}/store -type f"
    );
    let mut command = cable.in_b("unshare", &["-m", "sh", "-c", &begin]);
    let recorder = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("it listens", || {
        let sockets = cable.in_b("cat", &["/proc/net/packet"]).output().expect("it is there").stdout;
        String::from_utf8_lossy(&sockets).lines().count() > 1
    });
    cable.send(20, 100, 9999, 0.01);
    let out = recorder.wait_with_output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{:?}: {said}{log}", out.status);
    assert!(log.contains("segment sealed") && log.contains("packets=20"), "{log}");
    let left: Vec<&str> = said.lines().filter(|file| file.contains(volume) && !file.contains("/.starts/")).collect();
    assert!(said.contains("/000001.pcapng.zst") && said.contains("/close.json") && left.is_empty(), "{said}");
}
