//! Programs that tests talk to, from Debian.

use crate::run::{is_there, run};
use std::process::Command;

/// Program and the Debian package that has it.
const NEEDED: [(&str, &str); 3] = [("gcc", "gcc"), ("tshark", "tshark"), ("curl", "curl")];

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

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let root = std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("apt-get");
    }
    run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
