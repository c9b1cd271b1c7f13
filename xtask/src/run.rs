//! Commands, said before they run.

use anyhow::{Context, bail};
use std::process::Command;

/// Runs a command in the terminal; fails when it does.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    say(command);
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

/// Says what is about to run, as one would type it.
pub fn say(command: &Command) {
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| {
        let word = word.to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || "-_=./:,@+%".contains(c);
        match () {
            () if !word.is_empty() && word.chars().all(is_plain) => word.into_owned(),
            () if word.contains('\'') => format!("\"{word}\""),
            () => format!("'{word}'"),
        }
    });
    eprintln!("xtask: {}", words.collect::<Vec<_>>().join(" "));
}

/// Whether we may do anything.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Whether a program is on the path.
pub fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What it says of our own package would have build scripts of others run anew, and most crates built behind them:
    // so would each change between this and a cargo typed by hand.
    for (name, _) in std::env::vars_os() {
        let ours = |prefix: &str| name.to_str().is_some_and(|name| name.starts_with(prefix));
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"].into_iter().any(ours) {
            cargo.env_remove(&name);
        }
    }
    cargo
}
