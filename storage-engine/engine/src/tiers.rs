//! Which drives, and which code, the bytes of a storage class get.
//!
//! A store that has drives of both classes is tiered: what is hot lies on its SSDs, what is cold on its disks. A store with
//! drives of one class keeps everything on them, whatever class objects have by name, unless the operator mapped classes to
//! drives: then a class whose drives are not there takes no writes. `docs/decisions` tells why.

use std::sync::Arc;

use granary_cluster::{Redundancy, archive_for_drives, for_drives};
use granary_erasure::Profile;
use granary_metadata::VolumeRow;
use granary_types::{DriveClass, StorageClass};

use crate::drives::DriveSet;
use crate::error::{EngineError, Result};
use crate::volume::Room;

/// The code of the volumes of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeRule {
    /// By the number of drives.
    Usual,
    /// By the number of drives, wider where there are enough of them.
    Archive,
    /// This one.
    Fixed(Profile),
}

/// Where a storage class belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TierRule {
    /// On drives of this class.
    pub drives: DriveClass,
    /// With this code.
    pub code: CodeRule,
}

impl TierRule {
    /// Where a class belongs of which the operator says nothing.
    #[must_use]
    pub fn of(class: StorageClass) -> Self {
        match class {
            StorageClass::Standard | StorageClass::ReducedRedundancy => {
                Self { drives: DriveClass::Ssd, code: CodeRule::Usual }
            }
            StorageClass::StandardIa
            | StorageClass::OnezoneIa
            | StorageClass::GlacierIr
            | StorageClass::IntelligentTiering => Self { drives: DriveClass::Hdd, code: CodeRule::Usual },
            StorageClass::Glacier | StorageClass::DeepArchive => {
                Self { drives: DriveClass::Hdd, code: CodeRule::Archive }
            }
        }
    }
}

/// What becomes of writes whose SSDs are full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// They are refused until there is room again.
    #[default]
    Refuse,
    /// They go to the disks; compaction brings what lives back when there is room.
    Spill,
}

/// Volumes of one kind: which drives they are placed on, and with which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    /// On all drives: the store is not tiered.
    All,
    /// On drives of one class.
    Of(TierRule),
    /// On SSDs, beside what belongs there: copies of what lies on disks. In volumes of their own, so that what is evicted
    /// together lies together.
    Warm,
    /// What compaction writes while the tier of this rule is full, or the one of all drives: into a part of the reserve.
    Reserve(Option<TierRule>),
}

impl Tier {
    /// Where compaction writes what belongs here, while there is no room.
    pub(crate) fn reserve(self) -> Self {
        match self {
            Self::All => Self::Reserve(None),
            Self::Of(rule) => Self::Reserve(Some(rule)),
            Self::Warm => Self::Reserve(Some(WARM)),
            Self::Reserve(_) => self,
        }
    }

    /// The tier whose reserve this is.
    pub(crate) fn home(self) -> Option<Self> {
        match self {
            Self::Reserve(rule) => Some(rule.map_or(Self::All, Self::Of)),
            Self::All | Self::Of(_) | Self::Warm => None,
        }
    }

    /// How many full stripes a run of a large object has at most, each of 128 KiB in each shard file. A disk spends on finding the
    /// place of a write what it spends on a MiB of it, so it gets longer ones.
    pub(crate) fn run_stripes_max(self) -> usize {
        match self {
            Self::Of(rule) | Self::Reserve(Some(rule)) if rule.drives == DriveClass::Hdd => 16,
            Self::All | Self::Of(_) | Self::Warm | Self::Reserve(_) => 8,
        }
    }

    /// Which room its volumes take.
    pub(crate) fn room(self) -> Room {
        if self.home().is_some() { Room::Reserve } else { Room::Free }
    }
}

/// The code of new volumes of a store that is not tiered, while all drives are usable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// This one.
    Fixed(Profile),
    /// By the number of drives that the nodes have together.
    ByDrives,
}

/// Where warm copies lie.
const WARM: TierRule = TierRule { drives: DriveClass::Ssd, code: CodeRule::Usual };

/// How storage classes are spread over the drives of the store.
pub(crate) struct Tiers {
    pub(crate) drives: Arc<DriveSet>,
    wanted: Wanted,
    /// The code that the operator asked for.
    asked: Option<Profile>,
    /// What the operator says of classes.
    rules: Vec<(StorageClass, TierRule)>,
    when_full: WhenFull,
}

impl Tiers {
    pub(crate) fn new(
        drives: Arc<DriveSet>,
        wanted: Wanted,
        asked: Option<Profile>,
        rules: Vec<(StorageClass, TierRule)>,
        when_full: WhenFull,
    ) -> Self {
        Self { drives, wanted, asked, rules, when_full }
    }

    /// Where bytes go whose own tier is full, if they may go elsewhere.
    pub(crate) fn spill(&self, tier: Tier) -> Option<Tier> {
        let Tier::Of(TierRule { drives: DriveClass::Ssd, .. }) = tier else { return None };
        let disks = TierRule { drives: DriveClass::Hdd, code: CodeRule::Usual };
        let may = self.when_full == WhenFull::Spill && self.drives.count_of(DriveClass::Hdd) > 0;
        may.then_some(Tier::Of(disks))
    }

    /// Where most objects on drives of a class lie.
    pub(crate) fn on(&self, class: DriveClass) -> Tier {
        if self.is_tiered() { Tier::Of(TierRule { drives: class, code: CodeRule::Usual }) } else { Tier::All }
    }

    /// What the drives of a tier are; of a store with one kind of drives, which these are.
    pub(crate) fn drives_of(&self, tier: Tier) -> DriveClass {
        match tier {
            Tier::Of(rule) | Tier::Reserve(Some(rule)) => rule.drives,
            Tier::Warm => WARM.drives,
            Tier::All | Tier::Reserve(None) if self.drives.count_of(DriveClass::Ssd) == 0 => DriveClass::Hdd,
            Tier::All | Tier::Reserve(None) => DriveClass::Ssd,
        }
    }

    /// Whether classes lie apart.
    pub(crate) fn is_tiered(&self) -> bool {
        !self.rules.is_empty() || DriveClass::ALL.into_iter().all(|class| self.drives.count_of(class) > 0)
    }

    /// Where a class belongs in a store that is tiered.
    pub(crate) fn rule(&self, class: StorageClass) -> TierRule {
        // The last word counts.
        let said = self.rules.iter().rev().find(|(of, _)| *of == class);
        said.map_or_else(|| TierRule::of(class), |(_, rule)| *rule)
    }

    /// Where bytes of a class are written for a client.
    ///
    /// # Errors
    /// [`EngineError::NoDrivesForClass`] if the store has no drives of the kind that the class needs.
    pub(crate) fn for_writing(&self, class: StorageClass) -> Result<Tier> {
        if !self.is_tiered() {
            return Ok(Tier::All);
        }
        let rule = self.rule(class);
        if self.drives.count_of(rule.drives) == 0 {
            return Err(EngineError::NoDrivesForClass { class, drives: rule.drives });
        }
        // What would have the same code lies in the same volumes.
        let usual = Tier::Of(TierRule { code: CodeRule::Usual, ..rule });
        let tier = Tier::Of(rule);
        Ok(if self.code(usual) == self.code(tier) { usual } else { tier })
    }

    /// Whether the store has SSDs that take copies of what lies on disks.
    pub(crate) fn has_warm(&self) -> bool {
        self.is_tiered() && DriveClass::ALL.into_iter().all(|class| self.drives.count_of(class) > 0)
    }

    /// Whether versions of a class may have warm copies: they lie on disks, and there are SSDs. Costs nothing for classes that
    /// lie on SSDs.
    pub(crate) fn may_be_warm(&self, class: StorageClass) -> bool {
        self.rule(class).drives == DriveClass::Hdd && self.has_warm()
    }

    /// Where bytes of a class go that the store has already: where it belongs if there are drives for it, or else to those
    /// that there are.
    pub(crate) fn for_keeping(&self, class: StorageClass) -> Tier {
        self.for_writing(class).unwrap_or(Tier::All)
    }

    /// Where what belongs to no object goes.
    pub(crate) fn usual(&self) -> Tier {
        self.for_keeping(StorageClass::Standard)
    }

    /// The code of new volumes while all drives are usable.
    pub(crate) fn code(&self, tier: Tier) -> Redundancy {
        let rule = match tier {
            Tier::All | Tier::Reserve(None) => return self.code_of_all(),
            Tier::Of(rule) | Tier::Reserve(Some(rule)) => rule,
            Tier::Warm => WARM,
        };
        let count = self.drives.count_of(rule.drives);
        let asked = self.asked.filter(|asked| asked.columns() <= count);
        match (rule.code, asked) {
            (CodeRule::Fixed(profile), _) | (CodeRule::Usual, Some(profile)) => redundancy(profile),
            (CodeRule::Usual, None) => for_drives(count),
            (CodeRule::Archive, _) => archive_for_drives(count),
        }
    }

    fn code_of_all(&self) -> Redundancy {
        match self.wanted {
            Wanted::Fixed(profile) => redundancy(profile),
            Wanted::ByDrives => for_drives(self.drives.active_count().unwrap_or(1)),
        }
    }

    /// All tiers that volumes may be opened in now.
    pub(crate) fn all(&self) -> Vec<Tier> {
        if !self.is_tiered() {
            return vec![Tier::All];
        }
        let mut tiers: Vec<Tier> = Vec::new();
        for class in StorageClass::ALL {
            let tier = self.for_keeping(*class);
            if !tiers.contains(&tier) {
                tiers.push(tier);
            }
        }
        tiers
    }

    /// Whether volumes of the tier are still opened.
    pub(crate) fn is_current(&self, tier: Tier) -> bool {
        match tier {
            Tier::All | Tier::Reserve(None) => {
                DriveClass::ALL.into_iter().any(|class| self.drives.count_of(class) == 0)
            }
            Tier::Of(rule) | Tier::Reserve(Some(rule)) => {
                self.is_tiered() && self.drives.count_of(rule.drives) > 0
            }
            Tier::Warm => self.is_tiered() && self.drives.count_of(WARM.drives) > 0,
        }
    }

    /// Whether drives of a class take shards of the tier.
    pub(crate) fn takes(tier: Tier, class: DriveClass) -> bool {
        match tier {
            Tier::All | Tier::Reserve(None) => true,
            Tier::Of(rule) | Tier::Reserve(Some(rule)) => rule.drives == class,
            Tier::Warm => WARM.drives == class,
        }
    }

    /// The class of the drives that a volume lies on; `None` if it lies on several, as before the store was tiered.
    pub(crate) fn class_of(&self, row: &VolumeRow) -> Option<DriveClass> {
        let mut classes = row.volume.drives.iter().map(|drive| self.drives.class(*drive));
        let first = classes.next()?;
        classes.all(|class| class == first).then_some(first)
    }

    /// Whether a volume lies where `tier` places its volumes, with the code that the tier is there for. One with a code that no
    /// tier has any more, as there are more drives by now or were fewer then, is in the usual tier of its drives.
    pub(crate) fn is_in(&self, row: &VolumeRow, tier: Tier) -> bool {
        let rule = match tier {
            Tier::All | Tier::Reserve(None) => return true,
            Tier::Of(rule) | Tier::Reserve(Some(rule)) => rule,
            Tier::Warm => WARM,
        };
        let fits = match rule.code {
            CodeRule::Usual => {
                let code = Redundancy { data: row.volume.data_columns, parity: row.volume.parity_columns };
                self.code(tier) == code || !self.of_volume(row).iter().any(|other| self.code(*other) == code)
            }
            CodeRule::Archive | CodeRule::Fixed(_) => row.volume.data_columns == self.code(tier).data,
        };
        fits && self.class_of(row) == Some(rule.drives)
    }

    /// Where the bytes in a volume go of which nothing else is known: to where they are. Of several tiers on the same drives, to
    /// the one that has the volume's code: what is in an archive stays in one.
    pub(crate) fn of_unknown(&self, row: &VolumeRow) -> Tier {
        if self.class_of(row).is_none() {
            return self.usual();
        }
        let tiers = self.of_volume(row);
        let same_code = tiers.iter().find(|tier| self.code(**tier).data == row.volume.data_columns);
        same_code.or(tiers.first()).copied().unwrap_or(Tier::All)
    }

    /// The tiers that a volume may be one of, by where it lies.
    pub(crate) fn of_volume(&self, row: &VolumeRow) -> Vec<Tier> {
        let Some(class) = self.class_of(row).filter(|_| self.is_tiered()) else { return vec![Tier::All] };
        self.all().into_iter().filter(|tier| Self::takes(*tier, class)).collect()
    }

    /// Refuses codes that no drives are there for.
    pub(crate) fn check(&self) -> Result<()> {
        for (class, rule) in &self.rules {
            let count = self.drives.count_of(rule.drives);
            let CodeRule::Fixed(profile) = rule.code else { continue };
            if !self.drives.is_shared() && count > 0 && profile.columns() > count {
                return Err(EngineError::Layout(format!(
                    "class {} is to have code {profile}, which needs {} drives of class {}, and there are {count}",
                    class.as_str(),
                    profile.columns(),
                    rule.drives
                )));
            }
        }
        Ok(())
    }
}

fn redundancy(profile: Profile) -> Redundancy {
    Redundancy { data: profile.data_columns(), parity: profile.parity_columns() }
}

#[cfg(test)]
#[path = "tiers_tests.rs"]
mod tests;
