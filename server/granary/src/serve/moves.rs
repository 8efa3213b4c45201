//! The engine's moves of shards, as documents of the admin API.

use granary_admin::{DrainPlan, DrainReport, Fate, Leaving, MoveReport, MoveStep, TaskProgress};
use granary_engine::{DrainStatus, RebalanceStatus};

pub(super) fn leaving(leaving: Leaving) -> granary_engine::Leaving {
    match leaving {
        Leaving::Drive(id) => granary_engine::Leaving::Drive(id),
        Leaving::Node(name) => granary_engine::Leaving::Node(name),
        Leaving::Replaced { old, new, fate } => {
            let fate = match fate {
                Fate::Unsaid => granary_engine::Fate::Unsaid,
                Fate::Lost => granary_engine::Fate::Lost,
            };
            granary_engine::Leaving::Replaced { old, new, fate }
        }
    }
}

pub(super) fn plan(plan: granary_engine::DrainPlan) -> DrainPlan {
    let step = |step: &granary_engine::MoveStep| MoveStep {
        from: step.from.to_string(),
        to: step.to.to_string(),
        shards: step.shards,
        bytes: step.length_bytes,
    };
    DrainPlan {
        drives: plan.drives.iter().map(ToString::to_string).collect(),
        moves: plan.steps.iter().map(step).collect(),
        rewritten_volumes: plan.rewrites,
        rewritten_bytes: plan.rewrite_bytes,
        open_volumes: plan.open,
        rebuilt_shards: plan.rebuilds,
        erasure: plan.erasure,
        applied: plan.is_applied,
    }
}

pub(super) fn report(
    drains: Vec<DrainStatus>,
    rebalance: RebalanceStatus,
    (tasks, damaged): (Vec<TaskProgress>, usize),
) -> MoveReport {
    let drain = |status: DrainStatus| DrainReport {
        drive: status.drain.drive.to_string(),
        replaced_by: status.drain.target.map(|target| target.to_string()),
        shards: status.drain.shards,
        bytes: status.drain.length_bytes,
        shards_left: status.shards_left,
        bytes_left: status.bytes_left,
        bytes_per_second: status.rate_bytes,
        seconds_left: status.time_left.map(|left| left.as_secs()),
        drained: status.shards_left == 0,
        present: status.is_there,
    };
    MoveReport {
        drains: drains.into_iter().map(drain).collect(),
        rebalance_moves_left: rebalance.moves_left,
        rebalance_bytes_left: rebalance.bytes_left,
        tasks,
        damaged: damaged as u64,
    }
}
