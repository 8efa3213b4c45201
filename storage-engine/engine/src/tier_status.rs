//! The tiers as operators see them.

use std::collections::BTreeMap;

use granary_metadata::{VolumeRow, VolumeState};
use granary_types::{DriveClass, StorageClass};

use crate::drive_status::DriveStatus;
use crate::engine::{Engine, Inner};
use crate::error::Result;
use crate::tiers::Tier;
use crate::volume::all_rows;

/// Where a storage class lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassStatus {
    /// The class.
    pub class: StorageClass,
    /// The drives it is written to; `None` for all drives, as the store is not tiered.
    pub drives: Option<DriveClass>,
    /// The code of new volumes, `k+m`, while all these drives are usable; `None` if there are none, so that the class takes no
    /// writes.
    pub erasure: Option<String>,
}

/// The drives of a class, and what is on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierStatus {
    /// The class; `None` for what lies on drives of several, as before the store was tiered.
    pub class: Option<DriveClass>,
    /// How many drives.
    pub drives: usize,
    /// The sizes of their file systems together, as far as they can be asked.
    pub capacity_bytes: u64,
    /// What is free of them.
    pub free_bytes: u64,
    /// Volumes on them, freed ones left out.
    pub volumes: u64,
    /// What these take, parity included.
    pub stored_bytes: u64,
    /// What lives in them, parity left out.
    pub live_bytes: u64,
    /// What the live bytes need with their parity in full stripes.
    pub needed_bytes: u64,
    /// Whether they take no more for want of room.
    pub is_full: bool,
    /// Whether writes go elsewhere then; otherwise they are refused.
    pub spills: bool,
}

/// Shows how full the drives of each class are to who watches, as far as that is known without asking them.
#[allow(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
pub(crate) fn show_tiers(inner: &Inner) {
    let usable = inner.drives.usable();
    for class in DriveClass::ALL.into_iter().filter(|class| inner.drives.count_of(*class) > 0) {
        let own = usable.iter().filter(|drive| inner.drives.class(drive.id()) == class);
        let (free, capacity) = own.map(|drive| drive.space_bytes()).fold((0_u64, 0_u64), |sum, space| {
            (sum.0.saturating_add(space.0), sum.1.saturating_add(space.1))
        });
        let is_full = inner.pool.is_full(class);
        let class = class.as_str();
        metrics::gauge!("granary_tier_full", "class" => class).set(f64::from(u8::from(is_full)));
        metrics::gauge!("granary_tier_capacity_bytes", "class" => class).set(capacity as f64);
        metrics::gauge!("granary_tier_free_bytes", "class" => class).set(free as f64);
    }
}

impl Engine {
    /// Whether storage classes lie apart, and where each lies.
    #[must_use]
    pub fn class_status(&self) -> (bool, Vec<ClassStatus>) {
        let tiers = &self.inner.pool.tiers;
        let of_class = |class: &StorageClass| {
            let erasure = tiers.for_writing(*class).ok().map(|tier| {
                let code = tiers.code(tier);
                format!("{}+{}", code.data, code.parity)
            });
            let drives = match tiers.for_writing(*class) {
                Ok(Tier::All | Tier::Warm | Tier::Reserve(_)) => None,
                Ok(Tier::Of(rule)) => Some(rule.drives),
                Err(_) => Some(tiers.rule(*class).drives),
            };
            ClassStatus { class: *class, drives, erasure }
        };
        (tiers.is_tiered(), StorageClass::ALL.iter().map(of_class).collect())
    }

    /// The drives of each class that there are, and what is on them. Reads the rows of all volumes.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn tier_status(&self) -> Result<Vec<TierStatus>> {
        let engine = self.clone();
        // Asking a file system for its free space can hang with the drive.
        let drives = crate::start::blocking(move || Ok(engine.drive_status())).await?;
        let mut tiers: BTreeMap<Option<DriveClass>, TierStatus> = BTreeMap::new();
        for drive in drives.iter().filter(|drive| drive.drive.is_some()) {
            add_drive(tiers.entry(Some(drive.class)).or_insert_with(|| empty(Some(drive.class))), drive);
        }
        for row in all_rows(self.inner.store.as_ref()).await? {
            if row.state != VolumeState::Freed {
                let class = self.inner.pool.tiers.class_of(&row);
                add_volume(tiers.entry(class).or_insert_with(|| empty(class)), &row);
            }
        }
        let pool = &self.inner.pool;
        for (class, tier) in tiers.iter_mut().filter_map(|(class, tier)| class.map(|class| (class, tier))) {
            tier.is_full = pool.is_full(class);
            tier.spills = pool.tiers.spill(pool.tiers.on(class)).is_some();
        }
        Ok(tiers.into_values().collect())
    }

    /// How often bytes went to the disks as the SSDs were full, and how many writes of clients were refused as drives were, since this
    /// process was started.
    #[must_use]
    pub fn spilled_and_refused(&self) -> (u64, u64) {
        self.inner.pool.spilled_and_refused()
    }
}

fn empty(class: Option<DriveClass>) -> TierStatus {
    TierStatus {
        class,
        drives: 0,
        capacity_bytes: 0,
        free_bytes: 0,
        volumes: 0,
        stored_bytes: 0,
        live_bytes: 0,
        needed_bytes: 0,
        is_full: false,
        spills: false,
    }
}

fn add_drive(tier: &mut TierStatus, drive: &DriveStatus) {
    let (free_bytes, capacity_bytes) = drive.space_bytes.unwrap_or_default();
    tier.drives += 1;
    tier.capacity_bytes = tier.capacity_bytes.saturating_add(capacity_bytes);
    tier.free_bytes = tier.free_bytes.saturating_add(free_bytes);
}

fn add_volume(tier: &mut TierStatus, row: &VolumeRow) {
    let (data, parity) = (u64::from(row.volume.data_columns.max(1)), u64::from(row.volume.parity_columns));
    let needed = u128::from(row.live_bytes) * u128::from(data + parity) / u128::from(data);
    tier.volumes += 1;
    tier.stored_bytes = tier.stored_bytes.saturating_add(row.stored_bytes);
    tier.live_bytes = tier.live_bytes.saturating_add(row.live_bytes);
    tier.needed_bytes = tier.needed_bytes.saturating_add(u64::try_from(needed).unwrap_or(u64::MAX));
}
