//! `cargo xtask compose`: builds the image, starts docker-compose.yml as it is, and drives it with real clients.
//!
//! It is not part of `cargo xtask test`, because building the image compiles everything once more, and because the base
//! images come from a registry unless the engine holds them already.

mod docker;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, python, target_dir, workspace_root};

/// The compose project of the test, so that it touches no other one's containers and volumes.
const PROJECT: &str = "granary-test";

/// The secrets of the test, as docker-compose.yml wants them.
const SECRETS: [(&str, &str); 4] = [
    ("GRANARY_ROOT_ACCESS_KEY", "compose-test"),
    ("GRANARY_ROOT_SECRET_KEY", "compose-test-secret-key"),
    ("GRANARY_CLUSTER_SECRET", "compose-test-cluster-secret-0123456789"),
    ("POSTGRES_PASSWORD", "compose-test-database"),
];

/// Builds, starts, tests, and takes everything away again.
pub(crate) fn run() -> Result<()> {
    let root = workspace_root()?;
    let python_bin = python::ensure(&root, &target_dir()?)?;
    let tools = docker::Tools::ensure()?;

    let outcome = up_and_test(&tools, &root, &python_bin);
    if outcome.is_err() {
        // What the containers said is most of what there is to learn from a failure.
        let _logs = process::run(compose(&tools, &root).args(["logs", "--tail", "100"]));
    }
    process::run(compose(&tools, &root).args(["down", "--volumes", "--timeout", "30"]))
        .context("taking the test's containers away")?;
    outcome
}

fn up_and_test(tools: &docker::Tools, root: &Path, python_bin: &Path) -> Result<()> {
    // The image is built by name first: only one of the six services says how.
    process::run(compose(tools, root).args(["build"]))?;
    process::run(compose(tools, root).args(["up", "--detach", "--no-build"]))?;
    let mut pytest = Command::new(python_bin.join("python"));
    pytest
        .args(["-m", "pytest", "-ra", "--color=no", "-p", "no:cacheprovider"])
        .arg(root.join("tests/compose"))
        .env("GRANARY_COMPOSE", tools.compose_line(PROJECT))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(root);
    for (name, value) in SECRETS {
        pytest.env(name, value);
    }
    if process::run_watched(&mut pytest, |line| println!("{line}"))? != Some(0) {
        bail!("the compose tests failed");
    }
    Ok(())
}

/// A compose command on the test's project, with its secrets in the environment.
fn compose(tools: &docker::Tools, root: &Path) -> Command {
    let mut command = tools.compose();
    command.args(["--project-name", PROJECT]).current_dir(root).envs(SECRETS);
    command
}
