//! The plan for people.

use std::time::Duration;

use bytesize::ByteSize;

use super::formulas::DEFINITION;
use super::sizing::{Plan, TierPlan};
use super::{PlanArgs, sizing};
use crate::output::table;

/// The whole plan, with the formulas and where they are from.
pub(super) fn text(args: &PlanArgs, plan: &Plan) -> String {
    let (mut rows, mut notes, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for formula in &plan.formulas {
        match value(args, plan, formula.name) {
            Some(value) => rows.push(row(formula.name, &value, &formula.formula)),
            None => notes.push(format!("{:<12} {}", formula.name, formula.formula)),
        }
        if formula.source != DEFINITION {
            sources.push(format!("  {}: {}", formula.name, formula.source));
        }
    }
    let mut drives = vec![tier("ssd", &plan.ssd)];
    drives.extend(plan.hdd.as_ref().map(|hdd| tier("hdd", hdd)));
    let header =
        ["class", "code", "data", "with parity", "written", "for capacity", "for bandwidth", "drives"];
    format!(
        "{}\n\n{}\n\nWith these codes: granary serve {}\n\n{}\n\nSources:\n{}\nSizes are decimal. Networks and the clients' own speed are not planned.",
        table(&["checkpoints", "", "formula"], &rows),
        table(&header, &drives),
        options(plan),
        notes.join("\n"),
        sources.join("\n"),
    )
}

/// What has a store use the codes that were planned with, whatever it would choose for the number of its drives.
fn options(plan: &Plan) -> String {
    let ssd = format!("--tier STANDARD=ssd:{}", plan.ssd.code);
    match &plan.hdd {
        Some(hdd) => format!("{ssd} --tier GLACIER=hdd:{0} --tier DEEP_ARCHIVE=hdd:{0}", hdd.code),
        None => ssd,
    }
}

/// The number that a formula gives; `None` if each class of drives has its own.
fn value(args: &PlanArgs, plan: &Plan, name: &str) -> Option<String> {
    let bytes = plan.bytes_per_parameter;
    match name {
        "bytes per parameter of the optimizer" => Some(bytes.optimizer.to_string()),
        "bytes per parameter in memory" => Some(bytes.in_memory().to_string()),
        "bytes per parameter saved" => Some(bytes.in_checkpoint(args.save).to_string()),
        "checkpoint" => Some(size(plan.checkpoint_bytes)),
        "upload needed" => Some(rate(plan.client_bytes_per_s)),
        "training waits" => Some(format!("{:.1} %", plan.waiting_percent)),
        "best interval" => plan.best_interval_s.map(|interval_s| {
            let interval = Duration::from_secs_f64(interval_s.round());
            humantime::format_duration(interval).to_string()
        }),
        _ => None,
    }
}

fn row(name: &str, value: &str, formula: &str) -> Vec<String> {
    vec![name.to_owned(), value.to_owned(), formula.to_owned()]
}

fn tier(class: &str, tier: &TierPlan) -> Vec<String> {
    let sizing::TierPlan { code, drives_for_capacity, drives_for_bandwidth, drives, .. } = tier;
    vec![
        class.to_owned(),
        code.to_string(),
        size(tier.data_bytes),
        size(tier.stored_bytes),
        rate(tier.written_bytes_per_s),
        drives_for_capacity.to_string(),
        drives_for_bandwidth.to_string(),
        drives.to_string(),
    ]
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn size(bytes: f64) -> String {
    const EXABYTE: f64 = 1e18;
    // A count of bytes ends at 18 EB.
    if bytes >= 10.0 * EXABYTE {
        return format!("{:.1} EB", bytes / EXABYTE);
    }
    ByteSize::b(bytes.round() as u64).display().si().to_string()
}

fn rate(bytes_per_s: f64) -> String {
    format!("{}/s", size(bytes_per_s))
}
