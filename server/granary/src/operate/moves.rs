//! Emptying, replacing and removing drives: shown first, begun when told to, followed to the end.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use granary_admin::{AdminClient, DrainPlan, DrainReport, Leaving, MoveReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Target, size};
use crate::output::{OutputFormat, print_json, print_line, table};

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A server that restarts for this long ends the command, not the drain.
const MAX_FAILED_POLLS: u32 = 60;

/// How a drain is asked for.
#[derive(Debug, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Begin; without it only what would be moved is shown, and a terminal is asked.
    #[arg(long)]
    apply: bool,
    /// Begin and do not wait for the end; `granary drive moves` shows how far it is.
    #[arg(long)]
    detach: bool,
}

/// What a drain that was followed to its end prints.
#[derive(Serialize)]
struct Drained {
    plan: DrainPlan,
    drained: bool,
}

/// `granary drive drain`, `drive replace`, `node drain`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn drain(args: &DrainArgs, leaving: &Leaving, format: OutputFormat) -> Result<()> {
    let client = args.target.client()?;
    let plan = client.drain(leaving, false).await.context("planning")?;
    if format == OutputFormat::Text {
        show(&plan)?;
    }
    let agreed = args.apply || (format == OutputFormat::Text && confirm()?);
    if !agreed {
        return match format {
            OutputFormat::Json => print_json(&plan),
            OutputFormat::Text => print_line("nothing was done; give --apply to begin"),
        };
    }
    let plan = client.drain(leaving, true).await.context("beginning")?;
    if args.detach {
        return match format {
            OutputFormat::Json => print_json(&plan),
            OutputFormat::Text => print_line("begun; `granary drive moves` shows how far it is"),
        };
    }
    follow(&client, &plan.drives, format).await?;
    match format {
        OutputFormat::Json => print_json(&Drained { plan, drained: true }),
        OutputFormat::Text => print_line(match leaving {
            Leaving::Replaced { .. } => "done: the drive is replaced and retired",
            Leaving::Drive(_) => "done: the drive is empty; `granary drive remove` retires it",
            Leaving::Node(_) => "done: the node's drives are empty; `granary node remove` removes it",
        }),
    }
}

fn show(plan: &DrainPlan) -> Result<()> {
    let rows: Vec<Vec<String>> = plan
        .moves
        .iter()
        .map(|step| vec![step.from.clone(), step.to.clone(), step.shards.to_string(), size(step.bytes)])
        .collect();
    if !rows.is_empty() {
        print_line(&table(&["FROM", "TO", "SHARDS", "BYTES"], &rows))?;
    }
    let (shards, bytes) =
        plan.moves.iter().fold((0, 0), |(shards, bytes), step| (shards + step.shards, bytes + step.bytes));
    print_line(&format!(
        "{} drives are emptied: {shards} shards of {} are copied",
        plan.drives.len(),
        size(bytes)
    ))?;
    if plan.rewritten_volumes > 0 {
        print_line(&format!(
            "{} volumes with {} of data are written again as {}: the drives that stay are too few for their code",
            plan.rewritten_volumes,
            size(plan.rewritten_bytes),
            plan.erasure
        ))?;
    }
    if plan.rebuilt_shards > 0 {
        print_line(&format!("{} shards of a drive that is gone are rebuilt", plan.rebuilt_shards))?;
    }
    if plan.open_volumes > 0 {
        print_line(&format!("{} volumes that are still written are sealed first", plan.open_volumes))?;
    }
    print_line(&format!("new volumes are written as {} from then on", plan.erasure))
}

/// Asks whoever sits at a terminal; nobody else says yes.
fn confirm() -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(false);
    }
    let mut out = std::io::stdout().lock();
    write!(out, "Begin? [y/N] ").and_then(|()| out.flush()).context("asking")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn follow(client: &AdminClient, drives: &[String], format: OutputFormat) -> Result<()> {
    let bar = if format == OutputFormat::Json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let style = ProgressStyle::with_template("drain {wide_bar} {pos}/{len} shards, {msg}");
    bar.set_style(style.context("the progress bar")?);
    let mut failed = 0;
    loop {
        match client.moves().await {
            Ok(report) => {
                failed = 0;
                let ours: Vec<&DrainReport> =
                    report.drains.iter().filter(|drain| drives.contains(&drain.drive)).collect();
                // One that is not listed any more was replaced, or its drain was ended by somebody.
                let left: u64 = ours.iter().map(|drain| drain.shards_left).sum();
                if left == 0 && ours.iter().all(|drain| drain.replaced_by.is_none()) {
                    bar.finish_and_clear();
                    return Ok(());
                }
                let total = ours.iter().map(|drain| drain.shards.max(drain.shards_left)).sum();
                bar.set_length(total);
                bar.set_position(total.saturating_sub(left));
                bar.set_message(estimate(&ours));
            }
            Err(error) => {
                failed += 1;
                if failed == MAX_FAILED_POLLS {
                    bail!("the server does not answer any more ({error}); the drain goes on by itself");
                }
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// What is left and for how long.
fn estimate(drains: &[&DrainReport]) -> String {
    let left: u64 = drains.iter().map(|drain| drain.bytes_left).sum();
    let rate: u64 = drains.iter().map(|drain| drain.bytes_per_second).sum();
    match left.checked_div(rate) {
        Some(seconds) => {
            format!("{} left, about {}", size(left), indicatif::HumanDuration(Duration::from_secs(seconds)))
        }
        None => format!("{} left", size(left)),
    }
}

/// `granary drive drain --cancel`, `node drain --cancel`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn cancel_drain(target: &Target, leaving: &Leaving, format: OutputFormat) -> Result<()> {
    let ended = target.client()?.cancel_drain(leaving).await.context("ending a drain")?;
    match format {
        OutputFormat::Json => print_json(&serde_json::json!({ "ended": ended })),
        OutputFormat::Text if ended => print_line("ended; what was moved stays where it is"),
        OutputFormat::Text => print_line("nothing was being emptied there"),
    }
}

/// `granary drive remove`.
///
/// # Errors
/// The server cannot be reached, or refuses: the drive holds shards, or is not known.
pub async fn remove_drive(target: &Target, id: &str) -> Result<()> {
    target.client()?.remove_drive(id).await.context("removing a drive")
}

/// `granary drive moves`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn list_moves(target: &Target, format: OutputFormat) -> Result<()> {
    let report = target.client()?.moves().await.context("asking what is moved")?;
    if format == OutputFormat::Json {
        return print_json(&report);
    }
    show_moves(&report)
}

fn show_moves(report: &MoveReport) -> Result<()> {
    let rows: Vec<Vec<String>> = report.drains.iter().map(drain_row).collect();
    if !rows.is_empty() {
        let header = ["DRAINED DRIVE", "REPLACED BY", "SHARDS LEFT", "BYTES LEFT", "PER SECOND", "TIME LEFT"];
        print_line(&table(&header, &rows))?;
    }
    print_line(&format!(
        "to even out: {} moves left, {}",
        report.rebalance_moves_left,
        size(report.rebalance_bytes_left)
    ))
}

fn drain_row(drain: &DrainReport) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        drain.drive.clone(),
        drain.replaced_by.clone().unwrap_or_else(dash),
        format!("{} of {}", drain.shards_left, drain.shards.max(drain.shards_left)),
        size(drain.bytes_left),
        size(drain.bytes_per_second),
        match drain.seconds_left {
            _ if drain.drained => "drained".to_owned(),
            Some(seconds) => indicatif::HumanDuration(Duration::from_secs(seconds)).to_string(),
            None => dash(),
        },
    ]
}
