//! What fail-overs lost, from the engine's words to those of the admin API.

use granary_admin::{AdminError, LossList, LossReport};
use granary_engine::{Loss, LossKind, LossPage};

pub(super) fn list(page: LossPage, failing_over: bool, copies_missing: usize) -> LossList {
    LossList {
        losses: page.losses.into_iter().map(report).collect(),
        next_after: page.next.map(|place| place.iter().map(|byte| format!("{byte:02x}")).collect()),
        failing_over,
        copies_missing: copies_missing as u64,
    }
}

/// The place that the `next_after` of a page names.
pub(super) fn place(after: &str) -> Result<Vec<u8>, AdminError> {
    let digits = |at: usize| after.get(at..at.saturating_add(2));
    let byte = |at: usize| u8::from_str_radix(digits(at)?, 16).ok();
    let place: Option<Vec<u8>> = (0..after.len()).step_by(2).map(byte).collect();
    place.ok_or_else(|| AdminError::Invalid("after is not what a page named".to_owned()))
}

fn report(loss: Loss) -> LossReport {
    LossReport {
        kind: kind(loss.kind).to_owned(),
        timeline: loss.timeline,
        found_ms: loss.found.0,
        bucket: loss.bucket,
        key: loss.key.map(|key| key.as_str().to_owned()),
        version: loss.version.map(|version| version.to_string()),
        write: loss.write.map(|write| write.to_string()),
        detail: loss.detail,
    }
}

fn kind(kind: LossKind) -> &'static str {
    match kind {
        LossKind::Delete => "delete",
        LossKind::Condition => "condition",
        LossKind::Conflict => "conflict",
        LossKind::Bytes => "bytes",
        LossKind::Bucket => "bucket",
        LossKind::Part => "part",
        LossKind::Refused => "refused",
        LossKind::Change => "change",
    }
}
