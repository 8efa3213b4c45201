//! Tiers, from the engine's words to those of the admin API.

use granary_admin::{ClassReport, TierList, TierReport};
use granary_engine::{ClassStatus, TierStatus, WarmStatus};

pub(super) fn report(
    tiered: bool,
    classes: Vec<ClassStatus>,
    tiers: &[TierStatus],
    warm: &WarmStatus,
    (spilled, refused): (u64, u64),
) -> TierList {
    let class = |status: ClassStatus| ClassReport {
        class: status.class.as_str().to_owned(),
        drives: status.drives,
        erasure: status.erasure,
    };
    TierList {
        tiered,
        classes: classes.into_iter().map(class).collect(),
        tiers: tiers.iter().map(tier).collect(),
        warm: super::warm::status(warm),
        spilled,
        refused,
    }
}

fn tier(status: &TierStatus) -> TierReport {
    TierReport {
        class: status.class,
        drives: u64::try_from(status.drives).unwrap_or(u64::MAX),
        capacity_bytes: status.capacity_bytes,
        free_bytes: status.free_bytes,
        volumes: status.volumes,
        stored_bytes: status.stored_bytes,
        live_bytes: status.live_bytes,
        live_fraction: fraction(status.needed_bytes, status.stored_bytes),
        full: status.is_full,
        spills: status.spills,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a fraction is shown with two digits")]
fn fraction(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}
