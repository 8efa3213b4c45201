//! What an engine is told at start.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use granary_erasure::Profile;
use granary_keys::KeyRing;
use granary_metadata::postgres::PostgresOptions;
use granary_types::{DriveClass, StorageClass};

use crate::lifecycle::DayLength;
use crate::nodes::NodeOptions;
use crate::tiers::{TierRule, WhenFull};
use crate::warm::WarmOptions;

/// Where the metadata is.
#[derive(Debug, Clone)]
pub enum MetadataChoice {
    /// In SQLite on the drives themselves, with copies on as many other drives as may be lost.
    Embedded,
    /// In a Postgres database.
    Postgres(Box<PostgresOptions>),
}

/// Options of [`crate::Engine::open`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The data directories, one for each drive, always in the same order.
    pub data: Vec<PathBuf>,
    /// What the drives of these directories are made of; of others the kernel says it.
    pub drive_classes: HashMap<PathBuf, DriveClass>,
    /// Where storage classes belong, if not where they belong by themselves; the last word on a class counts. With any, the
    /// store is tiered.
    pub tiers: Vec<(StorageClass, TierRule)>,
    /// What becomes of writes to SSDs that are full.
    pub when_ssd_full: WhenFull,
    /// Where the metadata is; always the same for one store.
    pub metadata: MetadataChoice,
    /// Makes this process one of several nodes of a store; the metadata must then be in Postgres.
    pub node: Option<NodeOptions>,
    /// The code of new volumes; chosen from the number of drives if not given.
    pub erasure: Option<Profile>,
    /// A volume whose shard files reach this length takes no more.
    pub volume_limit_bytes: u64,
    /// How long freed data and uncommitted tails are kept before their room is used again.
    pub grace: Duration,
    /// How often the background work looks for something to do.
    pub maintenance_interval: Duration,
    /// How often the metadata is backed up to the drives; zero is never.
    pub backup_interval: Duration,
    /// How many of these backups are kept.
    pub backups_kept: usize,
    /// A write that a drive has not finished after this long counts as stalled.
    pub stall_deadline: Duration,
    /// Memory for large uploads, all together.
    pub write_budget_bytes: usize,
    /// Memory for bytes read and not yet sent, all together.
    pub read_budget_bytes: usize,
    /// Bytes a second that are moved at most to empty drives and to make them equally full.
    pub move_rate_bytes: u64,
    /// A sealed volume of which more than this share (in percent) is dead or hollow is compacted by itself.
    pub compact_dead_percent: u8,
    /// How long a day of a lifecycle rule is.
    pub lifecycle_day: DayLength,
    /// How warm copies on SSDs are kept.
    pub warm: WarmOptions,
    /// The keys that objects are encrypted under; without any, only clients' own keys can be used.
    pub keys: KeyRing,
    /// The names of the targets that events may be told to; the same on all nodes.
    pub event_targets: Vec<String>,
}

impl EngineOptions {
    /// The usual options for these directories.
    #[must_use]
    pub fn new(data: Vec<PathBuf>) -> Self {
        Self {
            data,
            drive_classes: HashMap::new(),
            tiers: Vec::new(),
            when_ssd_full: WhenFull::default(),
            metadata: MetadataChoice::Embedded,
            node: None,
            erasure: None,
            volume_limit_bytes: 1 << 30,
            grace: Duration::from_mins(10),
            maintenance_interval: Duration::from_secs(2),
            backup_interval: Duration::from_hours(6),
            backups_kept: 4,
            stall_deadline: Duration::from_secs(30),
            write_budget_bytes: 96 << 20,
            read_budget_bytes: 96 << 20,
            move_rate_bytes: 500_000_000,
            compact_dead_percent: 25,
            lifecycle_day: DayLength::Real,
            warm: WarmOptions::default(),
            keys: KeyRing::default(),
            event_targets: Vec::new(),
        }
    }
}
