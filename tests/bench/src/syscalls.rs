//! Counting a server's system calls with strace. It slows the server down, so the rates of a counted
//! scenario mean nothing; only the number of calls does.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A running count.
pub struct Counting {
    strace: Child,
    summary: PathBuf,
}

impl Counting {
    /// Attaches to all threads of `pid`.
    pub async fn start(pid: u32, summary: PathBuf) -> Result<Self> {
        let strace = Command::new("strace")
            .args(["-f", "-c", "-q", "-o"])
            .arg(&summary)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("strace is needed to count system calls (--syscalls)")?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Self { strace, summary })
    }

    /// Detaches and returns how many calls were made.
    pub fn finish(mut self) -> Result<f64> {
        let interrupted = Command::new("kill").args(["-INT", &self.strace.id().to_string()]).status()?;
        ensure!(interrupted.success(), "cannot interrupt strace");
        self.strace.wait()?;
        let summary = std::fs::read_to_string(&self.summary).context("strace's summary")?;
        let total = summary.lines().rev().find(|line| line.trim_end().ends_with("total"));
        // `% time  seconds  usecs/call  calls  errors  total`; the errors column may be empty.
        let calls = total.and_then(|line| line.split_whitespace().nth(3)).context("strace's total")?;
        calls.parse().context("strace's total")
    }
}
