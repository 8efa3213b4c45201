//! The open volumes of this process: of each tier one for packed stripes, and one for large runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use granary_cluster::access::{DriveAccess, LaneKind};
use granary_cluster::{Candidate, Redundancy, degraded, place};
use granary_drive::ShardName;
use granary_erasure::{Codec, Profile};
use granary_metadata::{MetadataError, MetadataStore, NewVolume, VolumeRow};
use granary_types::{ClusterId, DriveClass, UnixMillis, VolumeId, crash_point};
use parking_lot::Mutex;

use super::book::RecordBook;
use super::open::{OpenColumn, OpenVolume};
use super::room::{Space, VolumeLimit, with_room};
use crate::drives::DriveSet;
use crate::error::{EngineError, Result};
use crate::tiers::{Tier, Tiers};

const ATTEMPTS_MAX: usize = 8;

/// What a volume is open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) lane: LaneKind,
    pub(crate) tier: Tier,
}

/// The volume that is open in a slot.
type Opened = Arc<tokio::sync::Mutex<Option<Arc<OpenVolume>>>>;

/// Opens volumes when they are needed and seals them when nobody writes them any more.
pub(crate) struct VolumePool {
    drives: Arc<DriveSet>,
    pub(crate) tiers: Tiers,
    store: Arc<dyn MetadataStore>,
    cluster: ClusterId,
    /// How long files that no row names are safe from those who look after the drives.
    grace: Duration,
    pub(crate) limit: VolumeLimit,
    turn: AtomicU64,
    slots: Mutex<HashMap<Slot, Opened>>,
    retiring: Mutex<Vec<Arc<OpenVolume>>>,
    pub(crate) records: RecordBook,
    /// Writes that went to the disks instead of SSDs, and those that were refused, for want of room.
    spilled: AtomicU64,
    refused: AtomicU64,
}

impl VolumePool {
    pub(crate) fn new(
        tiers: Tiers,
        store: Arc<dyn MetadataStore>,
        cluster: ClusterId,
        grace: Duration,
        limit: VolumeLimit,
    ) -> Self {
        Self {
            drives: Arc::clone(&tiers.drives),
            tiers,
            store,
            cluster,
            grace,
            limit,
            turn: AtomicU64::new(0),
            slots: Mutex::default(),
            retiring: Mutex::default(),
            records: RecordBook::default(),
            spilled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The volume to append to now; of another tier if that is full and its bytes may go elsewhere.
    pub(crate) async fn current(self: &Arc<Self>, lane: LaneKind, tier: Tier) -> Result<Arc<OpenVolume>> {
        let full = match self.current_of(lane, tier).await {
            Err(EngineError::NoSpace) => EngineError::NoSpace,
            result => return result,
        };
        let Some(elsewhere) = self.spill(tier) else { return Err(full) };
        self.current_of(lane, elsewhere).await
    }

    /// Where bytes go now whose tier is full, if they may go elsewhere.
    pub(crate) fn spill(&self, tier: Tier) -> Option<Tier> {
        let elsewhere = self.tiers.spill(tier)?;
        metrics::counter!("granary_tier_spills_total").increment(1);
        self.spilled.fetch_add(1, Ordering::Relaxed);
        Some(elsewhere)
    }

    /// Counts writes of clients that are refused, as the tier has no room.
    pub(crate) fn note_refused(&self, tier: Tier, writes: u64) {
        let class = self.tiers.drives_of(tier).as_str();
        metrics::counter!("granary_tier_refused_total", "class" => class).increment(writes);
        self.refused.fetch_add(writes, Ordering::Relaxed);
    }

    /// How often bytes went elsewhere, and how many writes of clients were refused, since the start.
    pub(crate) fn spilled_and_refused(&self) -> (u64, u64) {
        (self.spilled.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Whether drives of a class take no new volume for want of room.
    pub(crate) fn is_full(&self, class: DriveClass) -> bool {
        matches!(self.candidates(self.tiers.on(class)), Err(EngineError::NoSpace))
    }

    async fn current_of(self: &Arc<Self>, lane: LaneKind, tier: Tier) -> Result<Arc<OpenVolume>> {
        // In a task of its own: a client that hangs up must not leave a volume open that nobody knows.
        let pool = Arc::clone(self);
        let slot = Slot { lane, tier };
        let opened = self.opened(slot);
        if let Some(volume) = opened.try_lock().ok().and_then(|opened| self.fit(opened.as_ref())) {
            return Ok(volume);
        }
        let opening = tokio::spawn(async move { pool.current_or_open(slot).await });
        opening.await.map_err(|_| EngineError::Internal("opening a volume panicked"))?
    }

    async fn current_or_open(&self, slot: Slot) -> Result<Arc<OpenVolume>> {
        let opened = self.opened(slot);
        let mut opened = opened.lock().await;
        if let Some(volume) = self.fit(opened.as_ref()) {
            return Ok(volume);
        }
        let volume = Arc::new(self.open(slot).await?);
        if let Some(old) = opened.replace(Arc::clone(&volume)) {
            self.set_aside(old);
        }
        Ok(volume)
    }

    /// Stops appending to a volume, if it is one of ours; the next append opens another.
    pub(crate) async fn retire(&self, id: VolumeId) {
        self.retire_if(|volume| volume.id == id).await;
    }

    /// Stops appending to all volumes.
    pub(crate) async fn retire_all(&self) {
        self.retire_if(|_| true).await;
    }

    /// Stops appending to volumes that the next write would leave: while nobody writes, what a drive that is gone held of
    /// them could not be rebuilt.
    pub(crate) async fn retire_unfit(&self) {
        let is_unfit = |volume: &Arc<OpenVolume>| {
            let is_leaving = |column: &OpenColumn| self.drives.is_leaving(column.drive.id());
            self.is_needless(volume)
                || self.fit(Some(volume)).is_none()
                || volume.columns().iter().any(is_leaving)
        };
        self.retire_if(|volume| is_unfit(volume)).await;
    }

    /// Stops appending to volumes in the reserve of drives that have room again: nobody would, and they could not be compacted.
    pub(crate) async fn retire_needless(&self) {
        self.retire_if(|volume| self.is_needless(volume)).await;
    }

    fn is_needless(&self, volume: &OpenVolume) -> bool {
        volume.slot.tier.home().is_some_and(|home| self.has_room_in(home))
    }

    /// Stops appending to the volume that a commit was refused for: another node took this one for dead and sealed it, so
    /// nothing that is written there can be committed any more.
    pub(crate) async fn leave_fenced(&self, error: &MetadataError) {
        if let MetadataError::Fenced { volume, .. } | MetadataError::VolumeGone(volume) = error {
            tracing::warn!(%volume, "a volume was sealed by another node; the next write opens another");
            self.retire(*volume).await;
        }
    }

    async fn retire_if(&self, chosen: impl Fn(&Arc<OpenVolume>) -> bool) {
        for opened in self.all_opened() {
            if let Some(volume) = opened.lock().await.take_if(|volume| chosen(volume)) {
                self.set_aside(volume);
            }
        }
    }

    /// Closes a volume and keeps it until no write holds it and it can be sealed.
    fn set_aside(&self, volume: Arc<OpenVolume>) {
        volume.close();
        self.retiring.lock().push(volume);
    }

    /// The volumes that this process writes.
    pub(crate) async fn open_volumes(&self) -> Vec<VolumeId> {
        let mut ids: Vec<VolumeId> = self.retiring.lock().iter().map(|volume| volume.id).collect();
        for opened in self.all_opened() {
            ids.extend(opened.lock().await.as_ref().map(|volume| volume.id));
        }
        ids
    }

    /// Whether this process may still commit to the volume.
    pub(crate) async fn holds(&self, id: VolumeId) -> bool {
        for opened in self.all_opened() {
            if opened.lock().await.as_ref().is_some_and(|volume| volume.id == id) {
                return true;
            }
        }
        self.retiring.lock().iter().any(|volume| volume.id == id)
    }

    /// Seals the retired volumes that no write holds any more.
    pub(crate) async fn seal_retired(&self) -> Result<()> {
        let idle: Vec<Arc<OpenVolume>> =
            self.retiring.lock().iter().filter(|volume| Arc::strong_count(volume) == 1).cloned().collect();
        for volume in idle {
            crash_point("volume.before_seal");
            match self.store.seal_volume(volume.id).await {
                Ok(_) | Err(MetadataError::VolumeGone(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.retiring.lock().retain(|kept| kept.id != volume.id);
        }
        Ok(())
    }

    fn opened(&self, slot: Slot) -> Opened {
        Arc::clone(self.slots.lock().entry(slot).or_default())
    }

    fn all_opened(&self) -> Vec<Opened> {
        self.slots.lock().values().cloned().collect()
    }

    /// The volume, if it may be appended to: not full, all its drives well and with room, and no safer one to be had.
    fn fit(&self, volume: Option<&Arc<OpenVolume>>) -> Option<Arc<OpenVolume>> {
        let volume = volume.filter(|volume| volume.has_room())?;
        let room = volume.slot.tier.room();
        let unfit = |column: &OpenColumn| {
            let (free_bytes, total_bytes) = column.drive.space_bytes();
            !column.drive.is_usable() || !room.is_left(self.limit, free_bytes, total_bytes)
        };
        let is_fit = !volume.columns().iter().any(unfit)
            && !self.is_outgrown(volume)
            && self.tiers.is_current(volume.slot.tier);
        is_fit.then(|| Arc::clone(volume))
    }

    /// Whether drives that came since would bear more losses than the volume does. Of several nodes, the first begins alone.
    fn is_outgrown(&self, volume: &OpenVolume) -> bool {
        let tier = volume.slot.tier;
        let (wanted, parity) = (self.tiers.code(tier), volume.codec.profile().parity_columns());
        parity < wanted.parity
            && degraded(wanted, self.usable(tier).len()).is_some_and(|code| code.parity > parity)
    }

    /// The drives that may take new volumes of a tier.
    pub(super) fn usable(&self, tier: Tier) -> Vec<Arc<dyn DriveAccess>> {
        let mut usable = self.drives.usable();
        usable.retain(|drive| Tiers::takes(tier, self.drives.class(drive.id())));
        usable
    }

    async fn open(&self, slot: Slot) -> Result<OpenVolume> {
        let mut is_full = false;
        for _ in 0..ATTEMPTS_MAX {
            let begun = Instant::now();
            let (drives, profile) = self.choose(slot.tier)?;
            let id = random_id()?;
            let codes = (profile.data_columns(), profile.parity_columns());
            // A drive that was chosen may have gone since; shards made for fewer would belong to nobody.
            if drives.len() != profile.columns() {
                continue;
            }
            let columns = match create_shards(&drives, id, codes).await {
                Ok(columns) => columns,
                Err(NoShards { is_full: full }) => {
                    is_full |= full;
                    continue;
                }
            };
            crash_point("volume.after_files_before_open");
            let row = NewVolume {
                id,
                data_columns: codes.0,
                parity_columns: codes.1,
                drives: drives.iter().map(|drive| drive.id()).collect(),
                opened: UnixMillis::now(),
            };
            self.store.open_volume(row).await?;
            // A process that was stopped for that long may come back to files that were moved aside meanwhile.
            if begun.elapsed() > self.grace / 2 {
                tracing::warn!(volume = %id, "opening a volume took too long; it is left and another is opened");
                self.store.seal_volume(id).await?;
                continue;
            }
            crash_point("volume.after_open_before_write");
            self.records.begin(id);
            let codec = Arc::new(Codec::new(profile)?);
            let limit_bytes = self.limit_for(&drives);
            return Ok(OpenVolume::new(id, codec, self.cluster, slot, columns, limit_bytes));
        }
        if is_full {
            // They filled up since they were asked last.
            return Err(EngineError::NoSpace);
        }
        Err(EngineError::Unavailable { context: "opening a volume" })
    }

    /// The code of new volumes of what most objects are, while all drives are usable.
    pub(crate) fn wanted_code(&self) -> Redundancy {
        self.tiers.code(self.tiers.usual())
    }

    /// The least parity that what lies where this volume does would have if it was written now.
    pub(crate) fn placeable_parity(&self, row: &VolumeRow) -> Option<u8> {
        let tiers = self.tiers.of_volume(row).into_iter();
        tiers.map(|tier| self.candidates(tier).ok().map(|(_, code)| code.parity)).min().flatten()
    }

    /// Whether a volume of a tier could be opened now.
    pub(crate) fn has_room_in(&self, tier: Tier) -> bool {
        self.candidates(tier).is_ok()
    }

    /// Whether a volume could be opened now.
    pub(crate) fn can_place(&self) -> bool {
        matches!(self.candidates(self.tiers.usual()), Ok(_) | Err(EngineError::NoSpace))
    }

    /// Where a volume on these drives ends.
    fn limit_for(&self, drives: &[Arc<dyn DriveAccess>]) -> u64 {
        let smallest_bytes = drives.iter().map(|drive| drive.space_bytes().1).min().unwrap_or(u64::MAX);
        self.limit.on(smallest_bytes)
    }

    /// The drives for a new volume, and the code: the wanted one while enough drives are usable.
    fn choose(&self, tier: Tier) -> Result<(Vec<Arc<dyn DriveAccess>>, Profile)> {
        let (candidates, code) = self.candidates(tier)?;
        if code != self.tiers.code(tier) {
            metrics::counter!("granary_volumes_opened_degraded_total").increment(1);
            tracing::warn!(
                data = code.data,
                parity = code.parity,
                "too few usable drives: the new volume has a smaller code"
            );
        }
        let profile = Profile::new(code.data, code.parity)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ids = place(candidates, profile.columns(), turn)
            .ok_or(EngineError::Unavailable { context: "placing a volume" })?;
        let drives = ids.iter().filter_map(|id| self.drives.get(*id)).collect();
        Ok((drives, profile))
    }

    /// The drives that could take a new volume now, and the code it would have.
    fn candidates(&self, tier: Tier) -> Result<(Vec<Candidate>, Redundancy)> {
        let wanted = self.tiers.code(tier);
        let spaces: Vec<Space> = self.usable(tier).iter().map(Space::of).collect();
        let candidates =
            with_room(&spaces, (wanted, tier.room(), self.limit), |drive| self.drives.site(drive))?;
        let code = degraded(wanted, candidates.len())
            .ok_or(EngineError::Unavailable { context: "placing a volume: no drive is usable" })?;
        // A node that is cut off from most others must not keep its clients' data for itself: the others go on with it.
        let all = match tier {
            Tier::All | Tier::Reserve(None) => self.drives.active_count().unwrap_or(0),
            Tier::Of(rule) | Tier::Reserve(Some(rule)) if self.drives.is_shared() => {
                self.drives.count_of(rule.drives)
            }
            Tier::Warm if self.drives.is_shared() => self.drives.count_of(DriveClass::Ssd),
            Tier::Of(_) | Tier::Warm | Tier::Reserve(_) => 0,
        };
        if code.parity < wanted.parity && all > usize::from(wanted.parity) {
            return Err(EngineError::Unavailable { context: "placing a volume: too few drives answer" });
        }
        Ok((candidates, code))
    }
}

fn random_id() -> Result<VolumeId> {
    VolumeId::random().map_err(|source| EngineError::Io { context: "drawing a volume id", source })
}

/// Why shards were not created.
struct NoShards {
    /// A drive has no room.
    is_full: bool,
}

/// Creates one shard on each drive, all at once. If any fails there are none, and its drive is marked unless it is only full.
async fn create_shards(
    drives: &[Arc<dyn DriveAccess>],
    id: VolumeId,
    profile: (u8, u8),
) -> Result<Vec<OpenColumn>, NoShards> {
    let creating = (0_u8..).zip(drives).map(|(column, drive)| async move {
        let created = drive.create_shard(ShardName { volume: id, column }, profile).await;
        crash_point("volume.after_file");
        created.map(|shard| OpenColumn { drive: Arc::clone(drive), shard }).map_err(|error| (drive, error))
    });
    let (mut columns, mut failed, mut is_full) = (Vec::with_capacity(drives.len()), false, false);
    for created in join_all(creating).await {
        match created {
            Ok(column) => columns.push(column),
            Err((drive, error)) => {
                tracing::warn!(drive = %drive.place(), %error, "a shard cannot be created");
                if error.is_no_space() {
                    is_full = true;
                } else {
                    drive.mark_failed();
                }
                failed = true;
            }
        }
    }
    if !failed {
        return Ok(columns);
    }
    // No row refers to them, and nobody else can have made them: they are ours to remove.
    let remove =
        (0_u8..).zip(drives).map(|(column, drive)| drive.remove_shard(ShardName { volume: id, column }));
    for removed in join_all(remove).await {
        if let Err(error) = removed {
            tracing::debug!(%error, "a shard of a volume that was not opened stays until it is quarantined");
        }
    }
    Err(NoShards { is_full })
}
