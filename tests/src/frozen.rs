//! Servers that are stopped at a certain moment, as when the power fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{PATIENCE, Server};

/// What a server may have asked of the kernel when it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All of it is done.
    Ended,
    /// A flush may be under way. It goes on, but its end is told to nobody.
    UnderWay,
}

impl Server {
    /// As [`Server::freeze`], and waits until the process has stopped, so that it answers nothing any more.
    ///
    /// # Errors
    /// When its threads go on for too long.
    pub async fn freeze_with(&self, calls: Calls) -> Result<()> {
        self.freeze()?;
        let (tasks, begun) = (format!("/proc/{}/task", self.pid()?.as_raw_nonzero()), Instant::now());
        while !has_stopped(&tasks, calls)? {
            ensure!(begun.elapsed() < PATIENCE, "the server does not stop");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Whether all threads have stopped, or wait for the kernel alone.
fn has_stopped(tasks: &str, calls: Calls) -> Result<bool> {
    for task in std::fs::read_dir(tasks).context("the server's threads")? {
        // One that has ended meanwhile does nothing any more.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        // Behind the name, which is in brackets and may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        let is_still = match state {
            Some('T') => true,
            Some('D') => calls == Calls::UnderWay,
            _ => false,
        };
        if !is_still {
            return Ok(false);
        }
    }
    Ok(true)
}
