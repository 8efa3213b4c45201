//! What checkpoints need of drives.

use std::time::Duration;

use serde::Serialize;

use super::formulas::{Formula, formulas};
use super::training::BytesPerParameter;
use super::{PERCENT, PlanArgs};
use crate::config::ErasureSetting;

const BYTES_PER_MB: f64 = 1e6;

/// A training run's needs. Bytes and bandwidths are decimal numbers that may be rounded in their last digits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Bytes of each parameter, by what they are for.
    pub bytes_per_parameter: BytesPerParameter,
    /// One checkpoint.
    pub checkpoint_bytes: f64,
    /// What clients must be able to upload together, to write one within the pause.
    pub client_bytes_per_s: f64,
    /// The share of the time that training waits for checkpoints, in percent.
    pub waiting_percent: f64,
    /// The interval that loses the least time to checkpoints and failures together, in seconds, if failures are known.
    pub best_interval_s: Option<f64>,
    /// The SSDs.
    pub ssd: TierPlan,
    /// The HDDs; none without an archive.
    pub hdd: Option<TierPlan>,
    /// What all these are computed by, and where that is from.
    pub formulas: Vec<Formula>,
}

/// What one class of drives has to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierPlan {
    /// k+m.
    pub code: ErasureSetting,
    /// What users store.
    pub data_bytes: f64,
    /// With parity.
    pub stored_bytes: f64,
    /// What is written to all drives together while it has to be fast, parity included.
    pub written_bytes_per_s: f64,
    /// Drives for the capacity, filled as far as they may be.
    pub drives_for_capacity: u64,
    /// Drives for the bandwidth.
    pub drives_for_bandwidth: u64,
    /// Drives: the most that capacity, bandwidth and code (k+m different drives) ask for.
    pub drives: u64,
}

struct Drives {
    size_bytes: f64,
    bytes_per_s: f64,
    fill: f64,
}

impl TierPlan {
    fn of(code: ErasureSetting, data_bytes: f64, data_bytes_per_s: f64, drives: &Drives) -> Self {
        let overhead = f64::from(code.data() + code.parity()) / f64::from(code.data());
        let (stored_bytes, written_bytes_per_s) = (data_bytes * overhead, data_bytes_per_s * overhead);
        let drives_for_capacity = whole(stored_bytes / (drives.size_bytes * drives.fill));
        let drives_for_bandwidth = whole(written_bytes_per_s / drives.bytes_per_s);
        let drives = drives_for_capacity.max(drives_for_bandwidth).max(code.drives() as u64);
        Self {
            code,
            data_bytes,
            stored_bytes,
            written_bytes_per_s,
            drives_for_capacity,
            drives_for_bandwidth,
            drives,
        }
    }
}

/// The next whole number. Beyond what a `u64` holds it is the largest one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

impl Plan {
    /// Works it out.
    #[must_use]
    pub fn of(args: &PlanArgs) -> Self {
        let bytes_per_parameter = BytesPerParameter::of(args.precision, args.optimizer);
        let checkpoint_bytes = args.params.count() * f64::from(bytes_per_parameter.in_checkpoint(args.save));
        let client_bytes_per_s = checkpoint_bytes / args.pause.as_secs_f64();
        let fill = f64::from(args.fill_percent) / PERCENT;
        let drives = |size: bytesize::ByteSize, mb_per_s: u32| Drives {
            size_bytes: size.as_u64() as f64,
            bytes_per_s: f64::from(mb_per_s) * BYTES_PER_MB,
            fill,
        };
        // While the newest is being written, those to keep are all still there.
        let on_ssd = checkpoint_bytes * (f64::from(args.keep) + 1.0) + args.dataset.as_u64() as f64;
        let ssds = drives(args.ssd_size, args.ssd_mb_per_s);
        let hdds = drives(args.hdd_size, args.hdd_mb_per_s);
        let hdd = (args.archive_keep > 0).then(|| {
            let archived_bytes = checkpoint_bytes * (f64::from(args.archive_keep) + 1.0);
            let interval_s = args.every.as_secs_f64() * f64::from(args.archive_every);
            TierPlan::of(args.hdd_code, archived_bytes, checkpoint_bytes / interval_s, &hdds)
        });
        Self {
            bytes_per_parameter,
            checkpoint_bytes,
            client_bytes_per_s,
            waiting_percent: PERCENT * args.pause.as_secs_f64() / args.every.as_secs_f64(),
            best_interval_s: args.mtbf.map(|mtbf| best_interval_s(args.pause, mtbf)),
            ssd: TierPlan::of(args.ssd_code, on_ssd, client_bytes_per_s, &ssds),
            hdd,
            formulas: formulas(args),
        }
    }
}

/// √(2 · time of a checkpoint · mean time between failures): Young, 1974, <https://doi.org/10.1145/361147.361115>.
fn best_interval_s(pause: Duration, mtbf: Duration) -> f64 {
    (2.0 * pause.as_secs_f64() * mtbf.as_secs_f64()).sqrt()
}
