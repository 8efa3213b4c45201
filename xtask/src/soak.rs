//! `cargo xtask soak`: tests at the size that they are about, which takes longer than a change should wait for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::test::Totals;
use crate::{postgres, process, programs, target_dir, workspace_root};

/// What is run at its full size.
#[derive(Debug, Subcommand)]
pub(crate) enum Soak {
    /// A checkpoint of 2 GiB and 50,000 files from SSDs to slow disks and back; 25 GB of room, and root.
    Tiers,
    /// Six nodes of an earlier commit's build replaced by this one's, one by one under load; root.
    Upgrade(Upgrade),
}

/// What an upgrade is from.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The commit whose build the nodes begin with.
    #[arg(long, value_name = "REV")]
    from: String,
    /// How both are built.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds the server and runs the test.
pub(crate) fn run(soak: &Soak) -> Result<()> {
    let root = workspace_root()?;
    match soak {
        Soak::Tiers => {
            // As `cargo xtask test` builds them: after it, nothing is compiled.
            let built = programs::build(&mut cargo(&root))?;
            test(built.command("tiers_end_to_end")?.env("GRANARY_SOAK", "1"), &built.server)
        }
        Soak::Upgrade(upgrade) => {
            let earlier = build_commit(&root, upgrade)?;
            let server = build(&root, &upgrade.profile, &target_dir()?)?;
            let postgres = postgres::ensure()?;
            let mut command = cargo(&root);
            // The workspace is named, not the package: so the dependencies have the features that the other tests have built
            // them with.
            command.args(["test", "--locked", "--workspace", "--test", "upgrade_between_builds", "--"]);
            command.env("GRANARY_TEST_EARLIER_BINARY", earlier).env("GRANARY_TEST_POSTGRES_BIN", postgres);
            test(&mut command, &server)
        }
    }
}

fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace);
    command
}

/// Builds the server of a workspace; returns where it is.
fn build(workspace: &Path, profile: &str, target: &Path) -> Result<PathBuf> {
    process::run(
        cargo(workspace)
            .args(["build", "--locked", "--package", "granary", "--profile", profile, "--target-dir"])
            .arg(target),
    )?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let server = target.join(folder).join("granary");
    if !server.exists() {
        bail!("cargo built no {}", server.display());
    }
    Ok(server)
}

/// Builds the server of a commit in a work tree of its own. Both stay: the next time nothing is compiled.
fn build_commit(root: &Path, upgrade: &Upgrade) -> Result<PathBuf> {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(root);
        git
    };
    let rev = format!("{}^{{commit}}", upgrade.from);
    let commit = process::capture(git().args(["rev-parse", "--verify", "--end-of-options", &rev]))?;
    let commit = commit.trim();
    let tree = target_dir()?.join("upgrade").join(commit);
    if !tree.exists() {
        // A tree that was removed by hand is forgotten first.
        process::run(git().args(["worktree", "prune"]))?;
        process::run(git().args(["worktree", "add", "--detach"]).arg(&tree).arg(commit))?;
    }
    build(&tree, &upgrade.profile, &tree.join("target"))
}

/// Runs a test at the size that it is about; that it ran no test is a failure too.
fn test(command: &mut Command, server: &Path) -> Result<()> {
    command.arg("--nocapture").env("GRANARY_TEST_BINARY", server);
    let mut totals = Totals::default();
    let code = process::run_watched(command, |line| {
        println!("{line}");
        totals.add_closing_line(line);
    })?;
    totals.conclude()?;
    if code != Some(0) {
        bail!("the test ended with {code:?}");
    }
    Ok(())
}
