//! Docker: the client, compose and a running engine, found or installed from Debian's packages.

use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{process, target_dir};

/// How often, and how many times, a starting engine is asked whether it is there.
const ENGINE_POLL: Duration = Duration::from_millis(500);
const ENGINE_POLLS: u32 = 60;

/// The commands that work here.
pub(super) struct Tools {
    /// `docker compose` where the plugin is installed, else `docker-compose`.
    compose: &'static [&'static str],
}

impl Tools {
    /// Finds or installs docker and compose, and starts the engine if none answers.
    pub(super) fn ensure() -> Result<Self> {
        if compose_words().is_none() || !answers(Command::new("dockerd").arg("--version")) {
            install()?;
        }
        let Some(compose) = compose_words() else { bail!("Debian's packages did not bring docker compose") };
        ensure_engine()?;
        Ok(Self { compose })
    }

    /// A compose command without arguments.
    pub(super) fn compose(&self) -> Command {
        let mut words = self.compose.iter();
        let mut command = Command::new(words.next().copied().unwrap_or("docker-compose"));
        command.args(words);
        command
    }

    /// The words of a compose command on a project, for a program that runs it by itself.
    pub(super) fn compose_line(&self, project: &str) -> String {
        format!("{} --project-name {project}", self.compose.join(" "))
    }
}

fn compose_words() -> Option<&'static [&'static str]> {
    const PLUGIN: &[&str] = &["docker", "compose"];
    const PROGRAM: &[&str] = &["docker-compose"];
    if answers(Command::new("docker").args(["compose", "version"])) {
        return Some(PLUGIN);
    }
    answers(Command::new("docker-compose").arg("version")).then_some(PROGRAM)
}

fn install() -> Result<()> {
    let apt = |args: &[&str]| {
        process::run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet"])
        .and_then(|()| {
            apt(&[
                "install",
                "--quiet",
                "--yes",
                "--no-install-recommends",
                "docker.io",
                "docker-compose",
                "iptables",
            ])
        })
        .context("docker is needed for the compose test and could not be installed")
}

fn ensure_engine() -> Result<()> {
    let alive = || answers(Command::new("docker").arg("info"));
    if alive() {
        return Ok(());
    }
    let log = File::create(target_dir()?.join("dockerd.log")).context("the engine's log")?;
    let errors = log.try_clone().context("the engine's log")?;
    Command::new("dockerd")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .context("cannot start dockerd; it needs root")?;
    for _ in 0..ENGINE_POLLS {
        if alive() {
            return Ok(());
        }
        thread::sleep(ENGINE_POLL);
    }
    bail!("the docker engine does not start; see dockerd.log in the target directory")
}

/// Whether a command can be run and ends well; what it prints is of no interest.
fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
