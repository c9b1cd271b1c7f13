//! Everything CI runs.

use crate::run::{self, cargo, is_there};
use crate::{licences, setup};

/// Format, lints, licences, tests.
pub fn run() -> anyhow::Result<()> {
    setup::install(&setup::TESTS)?;
    let (seaweed, python) = (setup::seaweed()?, setup::python()?);
    run::run(cargo().args(["fmt", "--all", "--check"]))?;
    licences::check()?;
    // Dependencies are built once, for the tests; lints would build them a second time as metadata,
    // so the workspace's lints are held to by the compiler's own warnings there.
    let warnings = "-Dwarnings";
    // The gate says the same of the same tree every time; by hand, `cargo nextest run` draws other cases each time.
    let seed = ("PROPTEST_RNG_SEED", "20261126");
    let runner: &[&str] = if is_there("cargo-nextest") { &["nextest", "run"] } else { &["test"] };
    let mut tests = cargo();
    tests.args(runner).args(["--workspace", "--locked", "--no-fail-fast"]);
    run::run(tests.env("REMORA_TEST_WEED", &seaweed).env("REMORA_TEST_PYTHON", &python).env(seed.0, seed.1))?;
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
