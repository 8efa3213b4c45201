//! Heal, scrub and compact: start the task, and follow it to its end.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use granary_admin::{AdminClient, TaskId, TaskKind, TaskProgress, TaskState};
use indicatif::{ProgressBar, ProgressStyle};

use super::Target;
use crate::output::{OutputFormat, print_json, print_line, print_notice};

const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A server that restarts for this long loses the task; a shorter hiccup does not end the command.
const MAX_FAILED_POLLS: u32 = 20;

/// Starts a task and, unless `detach`, waits for it. The exit code is a failure when the task failed, when a scrub found
/// damage, or when a heal left some.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn run_task(
    target: &Target,
    kind: TaskKind,
    detach: bool,
    format: OutputFormat,
) -> Result<ExitCode> {
    let client = target.client()?;
    let name = kind.as_str();
    let task = client.start(kind).await.with_context(|| format!("starting the {name}"))?;
    if detach {
        match format {
            OutputFormat::Json => print_json(&serde_json::json!({ "task": task, "kind": kind }))?,
            OutputFormat::Text => print_line(&format!("{name} started: {task}"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let progress = follow(&client, &task, kind, format).await?;
    report(&progress, format)?;
    Ok(if is_success(&progress) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A heal that repaired what it found has done its work; a scrub that found something has bad news.
fn is_success(progress: &TaskProgress) -> bool {
    let is_clean = match progress.kind {
        TaskKind::Scrub => progress.findings == 0,
        TaskKind::Heal | TaskKind::Compact => progress.unrepairable == 0,
    };
    progress.state == TaskState::Done && is_clean
}

async fn follow(
    client: &AdminClient,
    task: &TaskId,
    kind: TaskKind,
    format: OutputFormat,
) -> Result<TaskProgress> {
    let bar = bar(kind, format)?;
    let mut failed_polls = 0;
    loop {
        match client.progress(task).await {
            Ok(progress) => {
                failed_polls = 0;
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(format!(
                    "{}, {} findings",
                    indicatif::BinaryBytes(progress.bytes),
                    progress.findings
                ));
                if progress.state != TaskState::Running {
                    bar.finish_and_clear();
                    return Ok(progress);
                }
            }
            Err(error) => {
                failed_polls += 1;
                if failed_polls == MAX_FAILED_POLLS {
                    return Err(error).context("asking for the progress");
                }
                if error.status() == http::StatusCode::NOT_FOUND {
                    bail!("the server does not know the task any more; it was restarted, most likely");
                }
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// A bar on standard error; indicatif hides it when that is no terminal.
fn bar(kind: TaskKind, format: OutputFormat) -> Result<ProgressBar> {
    if format == OutputFormat::Json {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix:>7} {wide_bar} {pos}/{len} volumes, {msg} {eta}")
        .context("the progress bar")?;
    Ok(ProgressBar::new(0).with_style(style).with_prefix(kind.as_str()))
}

fn report(progress: &TaskProgress, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(progress);
    }
    let outcome = match &progress.state {
        TaskState::Failed(error) => {
            print_notice(&format!("granary: the {} failed: {error}", progress.kind.as_str()));
            "failed"
        }
        TaskState::Running => "running",
        TaskState::Done => "done",
    };
    print_line(&format!(
        "{} {outcome}: {} of {} volumes, {}, {} findings, {} repaired, {} unrepairable",
        progress.kind.as_str(),
        progress.done,
        progress.total,
        indicatif::BinaryBytes(progress.bytes),
        progress.findings,
        progress.repaired,
        progress.unrepairable
    ))
}
