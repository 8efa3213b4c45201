//! The project's own commands: `cargo xtask test | clients | compose | tidy | fuzz | bench | soak`.
//!
//! Each command finds or installs what it needs. A dependency that cannot be had is a failure, never
//! a skipped test, so that a green run always means that everything ran.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line tool is for")]

mod bench;
mod compose;
mod fuzz;
mod postgres;
mod process;
mod programs;
mod python;
mod soak;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test, check and measure Granary")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the unit tests, the whole-system tests against the real binary, and the real S3 clients.
    Test {
        /// Run only the tests whose name contains one of these.
        filter: Vec<String>,
    },
    /// Run only the S3 client tests (Python: aws-cli, boto3, awscrt, s5cmd, rclone, s3cmd).
    Clients {
        /// Passed to pytest's -k, joined by "or".
        filter: Vec<String>,
    },
    /// Build the image, start docker-compose.yml and drive it with real clients; needs root.
    Compose,
    /// Check file and function lengths, layering, lints and forbidden text.
    Tidy,
    /// Run the fuzz targets: everything that reads what clients or disks hold.
    Fuzz {
        /// Only those whose name (`auth/verify`) contains this.
        #[arg(default_value = "")]
        target: String,
        /// How long each is run.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run a test of the whole system at its full size.
    Soak {
        /// Which.
        #[command(subcommand)]
        what: soak::Soak,
    },
    /// Build the release binary and measure it.
    Bench {
        /// Arguments for the load generator; see `cargo xtask bench -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test { filter } => test::run(&filter),
        Command::Clients { filter } => test::run_clients_only(&filter),
        Command::Compose => compose::run(),
        Command::Tidy => tidy::run(),
        Command::Fuzz { target, seconds } => fuzz::run(&target, seconds),
        Command::Soak { what } => soak::run(&what),
        Command::Bench { args } => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root directory.
fn workspace_root() -> Result<PathBuf> {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = PathBuf::from(manifest_dir).parent().context("xtask has a parent directory")?.to_path_buf();
    Ok(root)
}

/// Where cargo puts what it builds.
fn target_dir() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => Ok(PathBuf::from(dir)),
        None => Ok(workspace_root()?.join("target")),
    }
}
