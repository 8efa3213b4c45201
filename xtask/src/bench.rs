//! `cargo xtask bench`: builds the release binary and the load generator, then runs the generator.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{postgres, process, target_dir, workspace_root};

/// The version the comparison is made with; its figures are quoted in `docs/benchmarks.md`.
const GARAGE_VERSION: &str = "2.5.0";

/// Runs the benchmark set; `args` go to the load generator, which documents them.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let root = workspace_root()?;
    let target = target_dir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    process::run(
        Command::new(&cargo)
            .args(["build", "--release", "--locked", "--package", "granary", "--package", "granary-bench"])
            .current_dir(&root),
    )?;
    let mut bench = Command::new(target.join("release/granary-bench"));
    bench.args(args).env("GRANARY_BENCH_BINARY", target.join("release/granary")).current_dir(&root);
    let compares_garage = args.windows(2).any(|pair| pair == ["--compare", "garage"])
        || args.iter().any(|arg| arg == "--compare=garage");
    if compares_garage {
        let tools = target.join("bench-tools");
        let garage = tools.join("bin/garage");
        if !garage.exists() {
            process::run(
                Command::new(&cargo)
                    .args(["install", "garage", "--version", GARAGE_VERSION, "--locked", "--root"])
                    .arg(&tools)
                    .current_dir(&target)
                    // The peer builds with its own settings, not this workspace's.
                    .env_remove("CARGO_TARGET_DIR"),
            )
            .context("building the peer to compare with")?;
        }
        bench.env("GRANARY_BENCH_GARAGE", garage);
    }
    let needs_postgres =
        |arg: &String| arg == "--nodes" || arg.starts_with("--nodes=") || arg.ends_with("postgres");
    if args.iter().any(needs_postgres) {
        bench.env("GRANARY_TEST_POSTGRES_BIN", postgres::ensure()?);
    }
    process::run(&mut bench)
}
