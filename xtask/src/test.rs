//! Everything CI runs.

use crate::run::{self, cargo, is_there};
use crate::{licences, setup};

/// Format, lints, licences, tests.
pub fn run() -> anyhow::Result<()> {
    setup::install()?;
    let seaweed = setup::seaweed()?;
    run::run(cargo().args(["fmt", "--all", "--check"]))?;
    licences::check()?;
    // Dependencies are built once, for the tests; lints would build them a second time as metadata,
    // so the workspace's lints are held to by the compiler's own warnings there.
    let warnings = "-Dwarnings";
    if is_there("cargo-nextest") {
        run::run(cargo().args(["nextest", "run", "--workspace", "--locked"]).env("REMORA_TEST_WEED", &seaweed))?;
    } else {
        run::run(cargo().args(["test", "--workspace", "--locked"]).env("REMORA_TEST_WEED", &seaweed))?;
    }
    run::run(cargo().args([
        "clippy",
        "--locked",
        "--all-targets",
        "-p",
        "formats",
        "-p",
        "dissect",
        "-p",
        "xtask",
        "-p",
        "benches",
        "--",
        warnings,
    ]))
}
