//! `cargo xtask test`: everything that decides whether the store is right.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::{self, Built, Program};
use crate::{postgres, process, python, target_dir, workspace_root};

/// pytest's exit code when a filter selects nothing.
const PYTEST_NOTHING_SELECTED: i32 = 5;

/// What a run has counted so far, over cargo's and pytest's closing lines.
#[derive(Default)]
pub(crate) struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Adds the counts of a closing line (`test result: ok. 3 passed; 0 failed; 1 ignored; …` or
    /// `=== 4 passed, 1 skipped in 2.00s ===`); other lines add nothing.
    pub(crate) fn add_closing_line(&mut self, line: &str) {
        let is_cargo = line.starts_with("test result:");
        let is_pytest = line.starts_with('=') && line.contains(" in ") && line.trim_end().ends_with('=');
        if !is_cargo && !is_pytest {
            return;
        }
        let words: Vec<&str> = line.split([' ', ';', ',', '=']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let [count, what] = pair else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match *what {
                "passed" => self.passed += count,
                "failed" | "error" | "errors" => self.failed += count,
                "ignored" | "skipped" | "xfailed" => self.skipped += count,
                _ => {}
            }
        }
    }

    /// Adds what another runner has counted.
    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Prints the totals and decides: nothing failed, nothing skipped, something ran.
    pub(crate) fn conclude(&self) -> Result<()> {
        println!("\ntotal: {} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed > 0 {
            bail!("{} tests failed", self.failed);
        }
        if self.skipped > 0 {
            bail!("{} tests were skipped; a missing dependency is a failure here", self.skipped);
        }
        if self.passed == 0 {
            bail!("no test matched");
        }
        Ok(())
    }
}

/// Files of the client tests that go on beside the others: the one that uploads tens of thousands of files, and those in which
/// clocks are waited for most of the time. They take a third of the time of all.
const APART: [&str; 5] = [
    "test_corpus.py",
    "test_slow_clients.py",
    "test_tiers.py",
    "test_transitions.py",
    "test_walkthroughs.py",
];

/// Which client tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    All,
    /// Those of [`APART`].
    Apart,
    Others,
}

/// What runners that go on side by side have said.
#[derive(Default)]
struct Output {
    totals: Totals,
    /// Of the one that does not print as it goes.
    lines: Vec<String>,
}

impl Output {
    /// Tells a line at once.
    fn say(&mut self, line: &str) {
        println!("{line}");
        self.totals.add_closing_line(line);
    }

    /// Keeps a line for later.
    fn keep(&mut self, line: &str) {
        self.totals.add_closing_line(line);
        self.lines.push(line.to_owned());
    }

    /// What a runner keeps, and how it ended.
    fn kept(run: impl FnOnce(&mut Self) -> Result<bool>) -> (Self, Result<bool>) {
        let mut output = Self::default();
        let ended = run(&mut output);
        (output, ended)
    }
}

/// What a test run needs, found or made.
struct Kit {
    root: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    /// The server under test.
    binary: PathBuf,
    programs: Vec<Program>,
    /// The `bin` directory of the Python that has the clients.
    python_bin: PathBuf,
}

impl Kit {
    /// What is fetched waits for the network and takes one core at the most: cargo has the others meanwhile.
    fn prepare() -> Result<Self> {
        let root = workspace_root()?;
        let target = target_dir()?;
        let (python_bin, built) = std::thread::scope(|scope| {
            let python = scope.spawn(|| python::ensure(&root, &target));
            let built = programs::build(&mut cargo(&root));
            (python.join(), built)
        });
        let python_bin = python_bin.map_err(|_| anyhow::anyhow!("installing the clients panicked"))??;
        let Built { server: binary, programs } = built?;
        Ok(Self { root, target, binary, programs, python_bin })
    }
}

/// Unit tests and whole-system tests, and beside them the schedules and the clients: clusters wait for clocks, clients for
/// their own interpreter.
pub(crate) fn run(filter: &[String]) -> Result<()> {
    let (kit, postgres_bin) = std::thread::scope(|scope| {
        let postgres = scope.spawn(postgres::ensure);
        (Kit::prepare(), postgres.join())
    });
    let kit = kit?;
    let postgres_bin = postgres_bin.map_err(|_| anyhow::anyhow!("installing Postgres panicked"))??;
    let mut here = Output::default();
    let clients = |output: &mut Output, which| run_pytest(&kit, which, filter, |line| output.keep(line));
    let others = || Output::kept(|output| clients(output, Clients::Others));
    let apart = || {
        Output::kept(|output| {
            let schedules_ok = run_schedules(&kit, filter, |line| output.keep(line))?;
            Ok(clients(output, Clients::Apart)? && schedules_ok)
        })
    };
    let (here_ok, beside) = std::thread::scope(|scope| {
        let beside = [scope.spawn(others), scope.spawn(apart)];
        let here_ok = run_programs(&kit, filter, &postgres_bin, &mut here);
        (here_ok, beside.map(|runner| runner.join()))
    });
    println!("\nwhat ran beside these:");
    let mut ended = vec![here_ok];
    for ran in beside {
        let panicked = |_| (Output::default(), Err(anyhow::anyhow!("running the clients panicked")));
        let (output, ok) = ran.unwrap_or_else(panicked);
        output.lines.iter().for_each(|line| println!("{line}"));
        here.totals.add(&output.totals);
        ended.push(ok);
    }
    here.totals.conclude()?;
    for ok in ended {
        if !ok? {
            bail!("a test runner failed without counting a failed test; see above");
        }
    }
    Ok(())
}

/// Only the client tests.
pub(crate) fn run_clients_only(filter: &[String]) -> Result<()> {
    let kit = Kit::prepare()?;
    let mut output = Output::default();
    let ok = run_pytest(&kit, Clients::All, filter, |line| output.say(line))?;
    output.totals.conclude()?;
    if !ok {
        bail!("pytest failed without counting a failed test; see above");
    }
    Ok(())
}

/// The test programs. The documentation has no examples that could be run: what cargo would build for them is everything once more,
/// with other features.
fn run_programs(kit: &Kit, filter: &[String], postgres_bin: &Path, output: &mut Output) -> Result<bool> {
    let Kit { binary, programs, python_bin, .. } = kit;
    let python = python_bin.join("python");
    let variables = [
        ("GRANARY_TEST_BINARY", binary.as_path()),
        ("GRANARY_TEST_POSTGRES_BIN", postgres_bin),
        ("GRANARY_TEST_PYTHON", python.as_path()),
    ];
    let mut all_passed = true;
    programs::run(programs.clone(), filter, &variables, |ran| {
        all_passed &= ran.passed;
        ran.lines.iter().for_each(|line| output.say(line));
    })?;
    Ok(all_passed)
}

/// Threads of the storage engine under many schedules: a workspace of its own, which needs little.
fn run_schedules(kit: &Kit, filter: &[String], on_line: impl FnMut(&str)) -> Result<bool> {
    let mut command = cargo(&kit.root);
    command
        .args(["test", "--locked", "--manifest-path", "storage-engine/schedules/Cargo.toml"])
        .arg("--target-dir")
        .arg(kit.target.join("schedules"))
        .arg("--")
        .args(filter);
    let code = process::run_watched(&mut command, on_line)?;
    Ok(code == Some(0))
}

fn run_pytest(kit: &Kit, clients: Clients, filter: &[String], on_line: impl FnMut(&str)) -> Result<bool> {
    let Kit { root, binary, python_bin, .. } = kit;
    let tests = root.join("tests/clients");
    let apart = APART.iter().map(|file| tests.join(file));
    let selection: Vec<OsString> = match clients {
        Clients::All => vec![tests.into()],
        Clients::Apart => apart.map(OsString::from).collect(),
        Clients::Others => {
            let ignored = apart.flat_map(|file| [OsString::from("--ignore"), file.into()]);
            std::iter::once(tests.clone().into()).chain(ignored).collect()
        }
    };
    let mut command = Command::new(python_bin.join("python"));
    command
        .args(["-m", "pytest", "-ra", "--durations=10", "--color=no", "-p", "no:cacheprovider"])
        .args(selection)
        .env("GRANARY_TEST_BINARY", binary)
        .env("PATH", prepend_path(python_bin)?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(root);
    if !filter.is_empty() {
        command.arg("-k").arg(filter.join(" or "));
    }
    let code = process::run_watched(&mut command, on_line)?;
    let nothing_selected = code == Some(PYTEST_NOTHING_SELECTED) && !filter.is_empty();
    Ok(code == Some(0) || nothing_selected)
}

fn prepend_path(dir: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(dir.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).context("PATH")
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

#[cfg(test)]
#[path = "test_tests.rs"]
mod tests;
