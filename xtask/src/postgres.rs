//! The Postgres of the tests: found where Debian puts it, or installed from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Where Debian puts the server programs of each version.
const VERSIONS_DIR: &str = "/usr/lib/postgresql";

/// Programs that the tests run.
const PROGRAMS: [&str; 5] = ["initdb", "pg_basebackup", "pg_ctl", "postgres", "psql"];

/// Returns the directory of the newest version's programs, installing Postgres first if there is none.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(bin) = newest(Path::new(VERSIONS_DIR)) {
        return Ok(bin);
    }
    let apt = |args: &[&str]| {
        process::run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet"])
        .and_then(|()| apt(&["install", "--quiet", "--yes", "--no-install-recommends", "postgresql"]))
        .context("Postgres is needed for the metadata tests and could not be installed")?;
    match newest(Path::new(VERSIONS_DIR)) {
        Some(bin) => Ok(bin),
        None => bail!("the package postgresql did not bring all of {PROGRAMS:?}"),
    }
}

/// The `bin` directory of the highest version that is complete.
fn newest(versions: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let complete = entries.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        PROGRAMS.iter().all(|name| bin.join(name).exists()).then_some((version, bin))
    });
    complete.max().map(|(_, bin)| bin)
}

#[cfg(test)]
#[path = "postgres_tests.rs"]
mod tests;
