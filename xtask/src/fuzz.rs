//! `cargo xtask fuzz`: builds every fuzz target of the crates and runs it for a while.
//!
//! The targets are written for cargo-fuzz, but neither it nor a nightly compiler is needed: the coverage
//! instrumentation is a code generation option of the stable compiler. Only its memory sanitizers are not,
//! and the crates that are fuzzed have no unsafe code.
//!
//! What a target does with an input is in `fuzz/bodies`, which the crate's own tests run over the seeds as well (`granary-seeds`):
//! what a target once found belongs in its `fuzz/seeds`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, target_dir, workspace_root};

/// What cargo-fuzz passes to the compiler, without the sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";
/// Inputs longer than this show nothing that shorter ones do not.
const INPUT_BYTES_MAX: u32 = 8192;
/// More than this is a leak or an allocation that the input chose.
const MEMORY_MIB_MAX: u32 = 1024;
/// A single input that takes longer is a finding.
const SECONDS_PER_INPUT_MAX: u32 = 10;

/// A fuzz target.
struct Target {
    /// The directory of the targets' own workspace.
    dir: PathBuf,
    /// The crate and the target, as `auth/verify`.
    name: String,
}

/// Runs the targets whose names contain `filter`, each for so many seconds.
pub(crate) fn run(filter: &str, seconds: u32) -> Result<()> {
    let root = workspace_root()?;
    let targets: Vec<_> = targets(&root)?.into_iter().filter(|target| target.name.contains(filter)).collect();
    if targets.is_empty() {
        bail!("no fuzz target's name contains `{filter}`");
    }
    let mut failed = Vec::new();
    for target in &targets {
        if let Err(error) = target.run(seconds) {
            eprintln!("xtask: {}: {error:#}", target.name);
            failed.push(target.name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("these fuzz targets failed: {}", failed.join(", "));
    }
    println!("{} fuzz targets ran for {seconds} s each and found nothing", targets.len());
    Ok(())
}

/// All targets of all crates, in order.
fn targets(root: &Path) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for group in ["server", "storage-engine"] {
        for member in list(&root.join(group))? {
            let dir = member.join("fuzz");
            if !dir.join("Cargo.toml").exists() {
                continue;
            }
            for source in list(&dir.join("fuzz_targets"))? {
                let name = format!("{}/{}", stem(&member)?, stem(&source)?);
                found.push(Target { dir: dir.clone(), name });
            }
        }
    }
    Ok(found)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> Result<&str> {
    path.file_stem()
        .and_then(|stem| stem.to_str())
        .with_context(|| format!("a strange name: {}", path.display()))
}

impl Target {
    fn run(&self, seconds: u32) -> Result<()> {
        let binary_name = self.name.split('/').next_back().unwrap_or_default();
        let host = host()?;
        let build = target_dir()?.join("fuzz");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        process::run(
            Command::new(cargo)
                // Naming the target keeps the flags from build scripts and procedural macros.
                .args([
                    "build",
                    "--release",
                    "--locked",
                    "--bin",
                    binary_name,
                    "--target",
                    &host,
                    "--target-dir",
                ])
                .arg(&build)
                .current_dir(&self.dir)
                .env("RUSTFLAGS", FLAGS),
        )?;
        let corpus = build.join("corpus").join(&self.name);
        let artifacts = build.join("artifacts").join(&self.name);
        for dir in [&corpus, &artifacts] {
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let seeds = self.dir.join("seeds").join(binary_name);
        process::run(
            Command::new(build.join(&host).join("release").join(binary_name))
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-max_len={INPUT_BYTES_MAX}"))
                .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
                .arg(format!("-timeout={SECONDS_PER_INPUT_MAX}"))
                .args(["-print_final_stats=1", "-verbosity=0"])
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .args([&corpus, &seeds]),
        )
        .with_context(|| format!("what it found is in {}", artifacts.display()))
    }
}

/// The machine's own target, as the compiler names it.
fn host() -> Result<String> {
    let told = process::capture(Command::new("rustc").arg("-vV"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc names no host")?.to_owned())
}
