//! The plan for people.

use bytesize::ByteSize;

use super::sizing::{Plan, TierPlan};
use super::training::Saved;
use super::{PlanArgs, sizing};
use crate::output::table;

/// The whole plan, with the formulas and where they are from.
pub(super) fn text(args: &PlanArgs, plan: &Plan) -> String {
    let bytes = plan.bytes_per_parameter;
    let mut rows = vec![
        row(
            "bytes per parameter in memory",
            &bytes.in_memory().to_string(),
            "weights + gradients + master + optimizer",
        ),
        row(
            "bytes per parameter saved",
            &bytes.in_checkpoint(args.save).to_string(),
            match args.save {
                Saved::All => "weights + master + optimizer",
                Saved::Weights => "weights",
            },
        ),
        row("checkpoint", &size(plan.checkpoint_bytes), "parameters x bytes saved"),
        row("upload needed", &rate(plan.client_bytes_per_s), "checkpoint / pause"),
        row("training waits", &format!("{:.1} %", plan.waiting_percent), "pause / interval"),
    ];
    if let Some(interval_s) = plan.best_interval_s {
        let interval = std::time::Duration::from_secs_f64(interval_s.round());
        let interval = humantime::format_duration(interval).to_string();
        rows.push(row("best interval", &interval, "sqrt(2 x pause x MTBF)"));
    }
    let mut drives = vec![tier("ssd", &plan.ssd)];
    drives.extend(plan.hdd.as_ref().map(|hdd| tier("hdd", hdd)));
    let header =
        ["class", "code", "data", "with parity", "written", "for capacity", "for bandwidth", "drives"];
    format!(
        "{}\n\n{}\n\n\
         data         (checkpoints kept + the one being written) x checkpoint, and the dataset on SSD\n\
         with parity  data x (k+m)/k\n\
         written      upload x (k+m)/k; for the archive, one checkpoint in the time between two archived\n\
         drives       the most of: with parity / (size x {} %), written / drive speed, k+m\n\n\
         Sources: bytes per parameter, ZeRO (https://arxiv.org/abs/1910.02054, 3.1); best interval, Young 1974\n\
         (https://doi.org/10.1145/361147.361115). Sizes are decimal. Networks and the clients' own speed are not planned.",
        table(&["checkpoints", "", "formula"], &rows),
        table(&header, &drives),
        args.fill_percent
    )
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
    ByteSize::b(bytes.round() as u64).display().si().to_string()
}

fn rate(bytes_per_s: f64) -> String {
    format!("{}/s", size(bytes_per_s))
}
