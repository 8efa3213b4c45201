//! `granary status`: whether a store is well, summed up from what the admin API tells.

use std::process::ExitCode;

use anyhow::{Context, Result};
use granary_admin::{
    DrainReport, DriveReport, DriveState, LossList, MoveReport, NodeReport, NodeState, TaskProgress,
    TierList, TierReport,
};
use serde::Serialize;

use super::{Target, size, used, word};
use crate::output::{OutputFormat, print_json, print_line};

/// What the admin API tells.
struct Told {
    nodes: Vec<NodeReport>,
    drives: Vec<DriveReport>,
    tiers: TierList,
    moves: MoveReport,
    losses: LossList,
}

/// How a store is.
#[derive(Debug, PartialEq, Serialize)]
struct Status {
    /// Whether nothing is wrong.
    well: bool,
    /// What is wrong, each in a sentence.
    problems: Vec<String>,
    /// What is under way, each in a sentence.
    under_way: Vec<String>,
    /// The drives of each class.
    tiers: Vec<TierStatus>,
    /// Writes that went to the disks as the SSDs were full, since the node that was asked was started.
    spilled: u64,
    /// Writes that it refused as drives were full.
    refused: u64,
}

/// How full the drives of a class are.
#[derive(Debug, PartialEq, Serialize)]
struct TierStatus {
    /// `ssd` or `hdd`.
    class: String,
    drives: u64,
    capacity_bytes: u64,
    free_bytes: u64,
    /// Whether they take no more.
    full: bool,
    /// What becomes of writes then: `refuse` or `spill`.
    when_full: &'static str,
}

/// `granary status`. The exit code is a failure if something is wrong.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn status(target: &Target, format: OutputFormat) -> Result<ExitCode> {
    let client = target.client()?;
    let told = Told {
        nodes: client.nodes().await.context("listing nodes")?,
        drives: client.drives().await.context("listing drives")?,
        tiers: client.tiers().await.context("listing tiers")?,
        moves: client.moves().await.context("asking what is moved")?,
        losses: client.losses().await.context("listing losses")?,
    };
    let status = Status::of(&told);
    match format {
        OutputFormat::Json => print_json(&status)?,
        OutputFormat::Text => print_line(&text(&status))?,
    }
    Ok(if status.well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Status {
    fn of(told: &Told) -> Self {
        let mut problems: Vec<String> = told.nodes.iter().filter_map(node_problem).collect();
        problems.extend(told.drives.iter().filter_map(drive_problem));
        problems.extend(told.tiers.tiers.iter().filter_map(tier_problem));
        problems.extend(loss_problems(&told.losses));
        let with_class = told.tiers.tiers.iter().filter(|tier| tier.class.is_some());
        Self {
            well: problems.is_empty(),
            problems,
            under_way: under_way(told),
            tiers: with_class.map(TierStatus::of).collect(),
            spilled: told.tiers.spilled,
            refused: told.tiers.refused,
        }
    }
}

impl TierStatus {
    fn of(tier: &TierReport) -> Self {
        Self {
            class: class_of(tier).to_owned(),
            drives: tier.drives,
            capacity_bytes: tier.capacity_bytes,
            free_bytes: tier.free_bytes,
            full: tier.full,
            when_full: if tier.spills { "spill" } else { "refuse" },
        }
    }
}

fn class_of(tier: &TierReport) -> &'static str {
    tier.class.map_or("mixed", granary_types::DriveClass::as_str)
}

/// What is behind a colon, if there is something.
fn detail(detail: Option<&String>) -> String {
    detail.map(|detail| format!(": {detail}")).unwrap_or_default()
}

fn node_problem(node: &NodeReport) -> Option<String> {
    match node.state {
        NodeState::Alive | NodeState::Removed => None,
        NodeState::Dead | NodeState::Unreachable => {
            Some(format!("node {} is {}{}", node.address, word(&node.state), detail(node.detail.as_ref())))
        }
    }
}

fn drive_problem(drive: &DriveReport) -> Option<String> {
    if matches!(drive.state, DriveState::Online | DriveState::Removed) {
        return None;
    }
    let node = drive.node_address.as_ref().map(|node| format!(" of {node}")).unwrap_or_default();
    let (state, detail) = (word(&drive.state), detail(drive.detail.as_ref()));
    Some(format!("drive {}{node} is {state}{detail}", drive.path))
}

/// Drives that are full are a problem unless their writes go elsewhere.
fn tier_problem(tier: &TierReport) -> Option<String> {
    let is_problem = tier.full && !tier.spills;
    is_problem.then(|| format!("the drives of class {} are full: writes to them are refused", class_of(tier)))
}

fn loss_problems(losses: &LossList) -> Vec<String> {
    let mut problems = Vec::new();
    if losses.failing_over {
        problems.push("the database failed over, and it is being found out what that lost".to_owned());
    }
    if !losses.losses.is_empty() {
        let count = losses.losses.len();
        problems.push(format!("a fail-over lost {count} changes; `granary metadata losses` shows them"));
    }
    if losses.copies_missing > 0 {
        problems.push(format!("{} copies of the metadata are missing", losses.copies_missing));
    }
    problems
}

fn under_way(told: &Told) -> Vec<String> {
    let moves = &told.moves;
    let mut all: Vec<String> = moves.drains.iter().map(drain_line).collect();
    all.extend(moves.tasks.iter().map(task_line));
    if moves.damaged > 0 {
        all.push(format!("{} damaged shards wait to be healed", moves.damaged));
    }
    if moves.rebalance_moves_left > 0 {
        let (left, bytes) = (moves.rebalance_moves_left, size(moves.rebalance_bytes_left));
        all.push(format!("drives are made equally full: {left} moves left, {bytes}"));
    }
    if told.tiers.warm.restoring > 0 {
        all.push(format!("{} archived objects are being restored", told.tiers.warm.restoring));
    }
    all
}

fn drain_line(drain: &DrainReport) -> String {
    let all = drain.shards.max(drain.shards_left);
    let what = match &drain.replaced_by {
        Some(by) => format!("drive {} is being replaced by {by}", drain.drive),
        None if drain.drained => return format!("drive {} is drained and can be removed", drain.drive),
        None => format!("drive {} is being emptied", drain.drive),
    };
    format!("{what}: {} of {all} shards left, {}", drain.shards_left, size(drain.bytes_left))
}

fn task_line(task: &TaskProgress) -> String {
    let TaskProgress { kind, done, total, repaired, unrepairable, .. } = task;
    let cannot = match unrepairable {
        0 => String::new(),
        count => format!(", {count} cannot be repaired now"),
    };
    format!("{}: {done} of {total} volumes, {repaired} repaired{cannot}", kind.as_str())
}

fn text(status: &Status) -> String {
    let mut lines = match status.problems.len() {
        0 => vec!["well".to_owned()],
        _ => vec!["not well:".to_owned()],
    };
    let indented = |line: &String| format!("  {line}");
    lines.extend(status.problems.iter().map(indented));
    if !status.under_way.is_empty() {
        lines.push("under way:".to_owned());
        lines.extend(status.under_way.iter().map(indented));
    }
    for tier in &status.tiers {
        let full = match (tier.full, tier.when_full) {
            (false, _) => "",
            (true, "spill") => ", full: writes spill to the disks",
            (true, _) => ", full: writes are refused",
        };
        let used = used(tier.capacity_bytes, tier.free_bytes);
        lines.push(format!("{}: {} drives, {used} used{full}", tier.class, tier.drives));
    }
    let since = "since the node that was asked was started";
    if status.spilled > 0 {
        lines.push(format!("the disks were written in place of the SSDs {} times {since}", status.spilled));
    }
    if status.refused > 0 {
        lines.push(format!("{} writes were refused for want of room {since}", status.refused));
    }
    lines.join("\n")
}

#[cfg(test)]
#[path = "status_tests.rs"]
pub(super) mod tests;
