//! Licences and duplicates of the dependencies, from the lock file and the crates' own manifests.

use crate::run::cargo;
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// Licences that Apache-2.0 works may build on.
const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Crates of which two versions would mean two incompatible sets of types, or two copies of the same C code.
const SINGLE: [&str; 9] =
    ["arrow", "datafusion", "object_store", "parquet", "ring", "rustls", "sqlparser", "tokio", "zstd-sys"];

/// Crates that need a C++ tool chain, or a system library a fresh machine lacks.
const REFUSED: [&str; 4] = ["aws-lc-sys", "bindgen", "cmake", "openssl-sys"];

/// Checks every package of the lock file.
pub fn check() -> anyhow::Result<()> {
    let output = cargo().args(["metadata", "--format-version", "1", "--locked"]).output().context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        *versions.entry(name).or_default() += 1;
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence) {
            wrong.push(format!("{name} is licensed '{licence}'"));
        }
        if REFUSED.contains(&name) {
            wrong.push(format!("{name} is not wanted"));
        }
    }
    wrong.extend(
        SINGLE
            .iter()
            .filter(|name| versions.get(*name).is_some_and(|&count| count > 1))
            .map(|name| format!("{name} in several versions")),
    );
    if !wrong.is_empty() {
        bail!("dependencies:\n  {}", wrong.join("\n  "));
    }
    eprintln!("xtask: licences of {} packages are fine", packages.len());
    Ok(())
}

/// Whether an SPDX expression can be met by what is allowed: one side of OR, every part of AND.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions() {
        for (expression, want) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0", false),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("MIT AND GPL-2.0", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression), want, "{expression}");
        }
    }
}
