//! `cargo xtask soak`: tests at the size that they are about, which takes longer than a change should wait for.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{process, target_dir, workspace_root};

/// What is run at its full size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Soak {
    /// A checkpoint of 2 GiB and 50,000 files from SSDs to slow disks and back; 25 GB of room, and root.
    Tiers,
}

/// Builds the server and runs the test.
pub(crate) fn run(soak: Soak) -> Result<()> {
    let root = workspace_root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    process::run(
        Command::new(&cargo).args(["build", "--locked", "--package", "granary"]).current_dir(&root),
    )?;
    let test = match soak {
        Soak::Tiers => "tiers_end_to_end",
    };
    let mut command = Command::new(&cargo);
    command
        .args(["test", "--locked", "--package", "granary-tests", "--test", test, "--", "--nocapture"])
        .env("GRANARY_TEST_BINARY", target_dir()?.join("debug/granary"))
        .env("GRANARY_SOAK", "1")
        .current_dir(&root);
    process::run(&mut command)
}
