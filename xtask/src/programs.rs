//! What cargo built: the server, and the test programs, which are run two at a time.
//!
//! Programs that start clusters wait for clocks and lost nodes most of the time: one after the other they take as long as everything
//! else together, on cores that have nothing to do.

use std::collections::VecDeque;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;

/// Programs at once. What they measure in time has room for this, beside the clients and what compiles.
const LANES: usize = 2;
/// What takes minutes, the longest first, so that none of these is left for the end.
const LONG_ONES: [&str; 8] =
    ["cluster_links", "cluster", "all", "crash_points", "cluster_drain", "drives", "tier_moves", "power_cut"];

/// The binary that is tested.
const SERVER: &str = "granary";

/// A test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    name: String,
    path: PathBuf,
    /// Of its package: where cargo would run it.
    directory: PathBuf,
}

/// What a program has said.
pub(crate) struct Ran {
    /// Standard output and standard error, as they came.
    pub(crate) lines: Vec<String>,
    pub(crate) passed: bool,
}

/// What one build gives.
pub(crate) struct Built {
    /// The server under test.
    pub(crate) server: PathBuf,
    /// The test programs of the workspace, in the order in which they are to be started.
    pub(crate) programs: Vec<Program>,
}

/// Builds the server and all test programs with the dev profile: optimised enough to move gigabytes, with the named crash points
/// and debug assertions that a release build leaves out. All in one go: by itself the server would be built with other features of
/// its dependencies, and these a second time for the tests.
///
/// # Errors
/// When something cannot be built, or cargo does not tell of the server and of tests.
pub(crate) fn build(cargo: &mut Command) -> Result<Built> {
    cargo.args(["build", "--workspace", "--lib", "--bins", "--tests", "--locked"]);
    let told = process::capture(cargo.arg("--message-format=json-render-diagnostics"))?;
    let (mut server, mut programs) = (None, Vec::new());
    for executable in told.lines().filter_map(executable) {
        match executable {
            Executable::Test(program) => programs.push(program),
            Executable::Server(path) => server = Some(path),
        }
    }
    let server = server.context("cargo built no server")?;
    ensure!(!programs.is_empty(), "cargo built no test program");
    programs.sort_by_key(|program| {
        LONG_ONES.iter().position(|name| *name == program.name).unwrap_or(LONG_ONES.len())
    });
    Ok(Built { server, programs })
}

/// What can be run, of all that cargo tells of.
#[derive(Debug, PartialEq, Eq)]
enum Executable {
    Test(Program),
    Server(PathBuf),
}

/// The executable that a line of cargo's tells of, if it does and it is of use here.
fn executable(line: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message.get("executable").and_then(Value::as_str)?;
    let name = message.pointer("/target/name")?.as_str()?;
    if !message.pointer("/profile/test").and_then(Value::as_bool)? {
        return (name == SERVER).then(|| Executable::Server(path.into()));
    }
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    let (name, directory) = (name.to_owned(), manifest.parent()?.to_owned());
    Some(Executable::Test(Program { name, path: path.into(), directory }))
}

/// Runs all of them, with these arguments and variables, and gives `told` what each has said when it has ended.
///
/// # Errors
/// When one cannot be started or listened to.
pub(crate) fn run(
    programs: Vec<Program>,
    arguments: &[String],
    variables: &[(&str, &Path)],
    told: impl FnMut(Ran) + Send,
) -> Result<()> {
    let (waiting, told) = (Mutex::new(VecDeque::from(programs)), Mutex::new(told));
    std::thread::scope(|scope| {
        let lane = || -> Result<()> {
            while let Some(program) = next(&waiting) {
                // What it says comes when it has ended: of one that never does, this is all that is known.
                println!("     Started {}", program.name);
                let ran = program.run(arguments, variables)?;
                (told.lock().unwrap_or_else(PoisonError::into_inner))(ran);
            }
            Ok(())
        };
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join().map_err(|_| anyhow::anyhow!("running a test program panicked"))?
        })
    })
}

fn next(waiting: &Mutex<VecDeque<Program>>) -> Option<Program> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

impl Built {
    /// The command that runs one test program.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let program = self.programs.iter().find(|program| program.name == name);
        Ok(program.with_context(|| format!("cargo built no test {name}"))?.command())
    }
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.directory).env("CARGO_MANIFEST_DIR", &self.directory);
        command
    }

    fn run(&self, arguments: &[String], variables: &[(&str, &Path)]) -> Result<Ran> {
        let began = Instant::now();
        let (mut reader, writer) = std::io::pipe().context("a pipe for a test program")?;
        let mut command = self.command();
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(writer.try_clone().context("a pipe for a test program")?)
            .stderr(writer);
        let started = command.spawn().with_context(|| format!("cannot start {}", self.path.display()));
        // It holds the writing ends, too: without them the output ends with the program.
        drop(command);
        let mut child = started?;
        let mut said = Vec::new();
        reader.read_to_end(&mut said).context("reading a test program's output")?;
        let passed = child.wait().context("waiting for a test program")?.success();
        let mut lines = vec![format!("     Running {} ({})", self.name, self.path.display())];
        lines.extend(String::from_utf8_lossy(&said).lines().map(str::to_owned));
        let outcome = if passed { "ended" } else { "failed" };
        lines.push(format!("     {} {outcome} after {:.0} s", self.name, began.elapsed().as_secs_f64()));
        Ok(Ran { lines, passed })
    }
}

#[cfg(test)]
#[path = "programs_tests.rs"]
mod tests;
