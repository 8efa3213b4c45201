//! The arrows of the design, which point one way, and the lints every crate inherits.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Findings;
use crate::process;

/// Height of each crate in the design's picture: a crate may depend only on lower ones.
const RANKS: [(&str, u8); 13] = [
    ("granary", 7),
    ("granary-s3", 6),
    ("granary-admin", 6),
    ("granary-iam", 6),
    ("granary-auth", 5),
    ("granary-engine", 4),
    ("granary-cluster", 3),
    ("granary-metadata", 2),
    ("granary-drive", 2),
    ("granary-erasure", 2),
    ("granary-keys", 2),
    ("granary-types", 1),
    ("granary-simd", 0),
];

/// Crates that stand beside the product: they drive it from outside, and nothing depends on them.
const OUTSIDE: [&str; 4] = ["granary-tests", "granary-bench", "granary-seeds", "xtask"];

/// Edges that the ranks would allow and the design does not: (from, to, why).
const FORBIDDEN: [(&str, &str, &str); 21] = [
    ("granary-s3", "granary-drive", "the s3 crate knows no volume or shard"),
    ("granary-s3", "granary-erasure", "the s3 crate knows no volume or shard"),
    ("granary-s3", "granary-metadata", "the s3 crate knows no volume or shard"),
    ("granary-s3", "granary-cluster", "the s3 crate knows no volume or shard"),
    ("granary-admin", "granary-drive", "the admin API goes through the engine"),
    ("granary-admin", "granary-erasure", "the admin API goes through the engine"),
    ("granary-iam", "granary-metadata", "the identities go through the engine"),
    ("granary-iam", "granary-drive", "the identities go through the engine"),
    ("granary-iam", "granary-erasure", "the identities go through the engine"),
    ("granary-engine", "http", "the engine knows no HTTP"),
    ("granary-engine", "axum", "the engine knows no HTTP"),
    ("granary-engine", "hyper", "the engine knows no HTTP"),
    ("granary-engine", "quick-xml", "the engine knows no XML"),
    ("granary-metadata", "http", "the metadata stores know no HTTP"),
    ("granary-metadata", "axum", "the metadata stores know no HTTP"),
    ("granary-drive", "http", "a drive knows no HTTP"),
    ("granary-drive", "axum", "a drive knows no HTTP"),
    ("granary-erasure", "tokio", "the codec is pure computation"),
    ("granary-keys", "tokio", "keys and units are pure computation"),
    ("granary-types", "tokio", "the types are plain data"),
    ("granary-auth", "axum", "signatures are verified on plain http types"),
];

/// The one crate that sets its own lints, because it alone may say `unsafe`.
const UNSAFE_ALLOWED: &str = "granary-simd";

pub(crate) fn check(root: &Path, findings: &mut Findings) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = process::capture(
        Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
            .current_dir(root),
    )?;
    let metadata: Value = serde_json::from_str(&json).context("cargo metadata")?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata: packages")?;
    for package in packages {
        let name = text(package, "name")?;
        check_arrows(name, &normal_dependencies(package)?, findings);
        check_lints(name, Path::new(text(package, "manifest_path")?), findings)?;
    }
    Ok(())
}

/// The dependencies a crate's product code has; dev-dependencies may point anywhere.
fn normal_dependencies(package: &Value) -> Result<Vec<&str>> {
    let dependencies = package.get("dependencies").and_then(Value::as_array).context("dependencies")?;
    let normal = dependencies.iter().filter(|dependency| dependency.get("kind").is_none_or(Value::is_null));
    normal.map(|dependency| text(dependency, "name")).collect()
}

fn check_arrows(name: &str, dependencies: &[&str], findings: &mut Findings) {
    let ranks: BTreeMap<&str, u8> = RANKS.into_iter().collect();
    let own_rank = ranks.get(name).copied();
    if own_rank.is_none() && !OUTSIDE.contains(&name) {
        findings.error(name, "has no place in the layering; give it one in xtask/src/tidy/layering.rs");
    }
    for dependency in dependencies {
        if OUTSIDE.contains(dependency) && !OUTSIDE.contains(&name) {
            findings.error(name, format!("depends on {dependency}, which drives the product from outside"));
        }
        let upward = own_rank.zip(ranks.get(dependency).copied()).is_some_and(|(own, other)| other >= own);
        if upward {
            findings.error(name, format!("depends on {dependency}, which is not below it"));
        }
        for (from, to, why) in FORBIDDEN {
            if from == name && to == *dependency {
                findings.error(name, format!("depends on {dependency}: {why}"));
            }
        }
    }
}

fn check_lints(name: &str, manifest: &Path, findings: &mut Findings) -> Result<()> {
    let manifest = std::fs::read_to_string(manifest).with_context(|| format!("manifest of {name}"))?;
    let inherits = manifest.contains("[lints]\nworkspace = true");
    if !inherits && name != UNSAFE_ALLOWED {
        findings.error(name, "does not inherit the workspace's lints");
    }
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata: {key}"))
}

#[cfg(test)]
#[path = "layering_tests.rs"]
mod tests;
