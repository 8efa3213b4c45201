//! The documents about tiers: where storage classes lie.

use granary_types::DriveClass;
use serde::{Deserialize, Serialize};

use crate::warm::WarmReport;

/// Where a storage class lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// S3's name of the class.
    pub class: String,
    /// What the drives are made of that it is written to; absent if it is written to all drives.
    pub drives: Option<DriveClass>,
    /// The erasure code of new volumes, `k+m`; absent if the store has no such drives, so that writes to the class are refused.
    pub erasure: Option<String>,
}

/// The drives of a class, and what is on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierReport {
    /// What the drives are made of; absent for volumes that lie on drives of both classes.
    pub class: Option<DriveClass>,
    /// How many drives.
    pub drives: u64,
    /// The sizes of their file systems together, as far as they can be asked.
    pub capacity_bytes: u64,
    /// What is free of them.
    pub free_bytes: u64,
    /// Volumes on them.
    pub volumes: u64,
    /// What the volumes take, parity included.
    pub stored_bytes: u64,
    /// What lives in them, parity left out.
    pub live_bytes: u64,
    /// How much of what the volumes take is live data and its parity, from 0 to 1; absent if they take nothing.
    pub live_fraction: Option<f64>,
    /// Whether they take no more for want of room.
    #[serde(default)]
    pub full: bool,
    /// Whether writes go to the disks then; otherwise they are refused.
    #[serde(default)]
    pub spills: bool,
}

/// All tiers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierList {
    /// Whether storage classes lie apart: the store has drives of both classes, or `--tier` says where they belong.
    pub tiered: bool,
    /// Every storage class.
    pub classes: Vec<ClassReport>,
    /// The drives of each class.
    pub tiers: Vec<TierReport>,
    /// Copies on SSDs of what lies on disks.
    #[serde(default)]
    pub warm: WarmReport,
    /// How often bytes went to the disks as the SSDs were full, since the node that was asked was started, and by it. One write of a
    /// client may be several times, deletes have records too, and small objects that are packed together are one.
    #[serde(default)]
    pub spilled: u64,
    /// Writes of clients that it refused as drives were full.
    #[serde(default)]
    pub refused: u64,
}
