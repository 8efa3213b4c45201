//! Where the shards of each volume are, for readers: a cache of volume rows and of open shard files.

use std::collections::HashMap;
use std::sync::Arc;

use granary_cluster::access::ShardAccess;
use granary_drive::{DriveError, ShardName};
use granary_erasure::{Codec, Profile};
use granary_metadata::{MetadataStore, VolumeRow};
use granary_types::{DriveId, VolumeId};
use parking_lot::RwLock;

use crate::drives::DriveSet;
use crate::error::{EngineError, Result};

const SHARD_FILES_OPEN_MAX: usize = 2048;
const VOLUMES_CACHED_MAX: usize = 65_536;

/// What a reader must know of a volume.
#[derive(Debug)]
pub(crate) struct VolumeView {
    pub id: VolumeId,
    pub codec: Codec,
    pub drives: Vec<DriveId>,
}

impl VolumeView {
    pub(crate) fn of(row: &VolumeRow) -> Result<Self> {
        let profile = Profile::new(row.volume.data_columns, row.volume.parity_columns)?;
        Ok(Self { id: row.volume.id, codec: Codec::new(profile)?, drives: row.volume.drives.clone() })
    }

    /// Where a column is.
    pub(crate) fn drive(&self, column: u8) -> Option<DriveId> {
        self.drives.get(usize::from(column)).copied()
    }

    /// Whether something that was committed may be known only to columns that cannot be asked now, where so many more are lost. A
    /// stripe is on more columns than the code has of parity.
    pub(crate) fn may_hide(&self, silent: usize, lost: usize) -> bool {
        silent > 0 && silent.saturating_add(lost) > self.codec.profile().parity()
    }

    pub(crate) fn profile_columns(&self) -> (u8, u8) {
        let profile = self.codec.profile();
        (profile.data_columns(), profile.parity_columns())
    }
}

/// The rows of all volumes, freed ones too, by id.
pub(crate) async fn all_rows(store: &dyn MetadataStore) -> Result<Vec<VolumeRow>> {
    const PAGE: u32 = 1000;
    let mut rows: Vec<VolumeRow> = Vec::new();
    loop {
        let page = store.volumes(rows.last().map(|row| row.volume.id), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
}

type ShardKey = (VolumeId, u8);

/// The cache.
pub(crate) struct VolumeMap {
    drives: Arc<DriveSet>,
    /// None while the metadata is being made anew: then no volume is looked up.
    store: Option<Arc<dyn MetadataStore>>,
    /// A look-up that raced with a change must not be remembered: the number goes up with every change.
    views: RwLock<(u64, HashMap<VolumeId, Arc<VolumeView>>)>,
    shards: RwLock<HashMap<ShardKey, Arc<dyn ShardAccess>>>,
}

impl VolumeMap {
    pub(crate) fn new(drives: Arc<DriveSet>, store: Arc<dyn MetadataStore>) -> Self {
        Self { drives, store: Some(store), views: RwLock::default(), shards: RwLock::default() }
    }

    /// For reading volumes of which no metadata tells.
    pub(crate) fn without_metadata(drives: Arc<DriveSet>) -> Self {
        Self { drives, store: None, views: RwLock::default(), shards: RwLock::default() }
    }

    async fn row(&self, id: VolumeId) -> Result<Option<VolumeRow>> {
        match &self.store {
            Some(store) => Ok(store.volume(id).await?),
            None => Ok(None),
        }
    }

    /// The volume; [`EngineError::Unreadable`] if no metadata knows it.
    pub(crate) async fn view(&self, id: VolumeId) -> Result<Arc<VolumeView>> {
        let generation = {
            let views = self.views.read();
            if let Some(view) = views.1.get(&id) {
                return Ok(Arc::clone(view));
            }
            views.0
        };
        let row = self.row(id).await?;
        let row = row.ok_or_else(|| EngineError::Unreadable { context: format!("volume {id} is gone") })?;
        let view = Arc::new(VolumeView::of(&row)?);
        let mut views = self.views.write();
        if views.1.len() >= VOLUMES_CACHED_MAX {
            views.1.clear();
        }
        if views.0 == generation {
            views.1.insert(id, Arc::clone(&view));
        }
        Ok(view)
    }

    /// Whether other processes use the same store.
    pub(crate) fn is_shared(&self) -> bool {
        self.drives.is_shared()
    }

    /// How many of a volume's columns have no file any more, or a wrong one.
    pub(crate) async fn lost(&self, view: &VolumeView) -> usize {
        let mut lost = 0;
        for column in (0_u8..).take(view.drives.len()) {
            lost += usize::from(self.shard(view, column).await.is_err_and(|error| error.is_lost()));
        }
        lost
    }

    /// The columns of a volume, those whose drives seem well first.
    pub(crate) fn by_health(&self, view: &VolumeView) -> Vec<u8> {
        let is_ill = |drive: &DriveId| !self.drives.get(*drive).is_some_and(|drive| drive.is_usable());
        let mut columns: Vec<(bool, u8)> = view.drives.iter().map(is_ill).zip(0_u8..).collect();
        columns.sort_unstable();
        columns.into_iter().map(|(_, column)| column).collect()
    }

    /// The volume as it is now, if its columns lie on other drives than `view` says: another node moved them.
    pub(crate) async fn moved(&self, view: &VolumeView) -> Option<Arc<VolumeView>> {
        if !self.drives.is_shared() {
            return None;
        }
        let row = self.row(view.id).await.ok().flatten()?;
        if row.volume.drives == view.drives {
            return None;
        }
        self.forget(view.id);
        self.view(view.id).await.ok()
    }

    /// The open shard file of a column.
    pub(crate) async fn shard(
        &self,
        view: &VolumeView,
        column: u8,
    ) -> Result<Arc<dyn ShardAccess>, DriveError> {
        if let Some(shard) = self.shards.read().get(&(view.id, column)) {
            return Ok(Arc::clone(shard));
        }
        let missing = || DriveError::Identity {
            path: format!("column {column} of volume {}", view.id).into(),
            reason: "its drive is not in use".to_owned(),
        };
        let id = view.drives.get(usize::from(column)).ok_or_else(missing)?;
        let Some(drive) = self.drives.get(*id) else {
            let away = DriveError::Peer {
                place: format!("drive {id}").into(),
                reason: "its node was not met yet".to_owned(),
            };
            return Err(if self.drives.is_away(*id) { away } else { missing() });
        };
        let shard = drive.open_shard(ShardName { volume: view.id, column }, view.profile_columns()).await?;
        let mut shards = self.shards.write();
        if shards.len() >= SHARD_FILES_OPEN_MAX {
            shards.clear();
        }
        shards.insert((view.id, column), Arc::clone(&shard));
        drop(shards);
        Ok(shard)
    }

    /// Knows a volume that is in no metadata, for tests.
    #[cfg(test)]
    pub(crate) fn put_view(&self, view: Arc<VolumeView>) {
        self.views.write().1.insert(view.id, view);
    }

    /// Has a column that is on no drive, for tests.
    #[cfg(test)]
    pub(crate) fn put_shard(&self, volume: VolumeId, column: u8, shard: Arc<dyn ShardAccess>) {
        self.shards.write().insert((volume, column), shard);
    }

    /// Forgets what is known of a volume: it was healed, moved or freed.
    pub(crate) fn forget(&self, volume: VolumeId) {
        {
            let mut views = self.views.write();
            views.0 += 1;
            views.1.remove(&volume);
        }
        self.shards.write().retain(|(id, _), _| *id != volume);
    }

    /// Closes all files: the set of drives has changed.
    pub(crate) fn forget_files(&self) {
        self.shards.write().clear();
    }

    /// Closes the file of one column that turned out damaged; the next reader opens what is there then.
    pub(crate) fn forget_shard(&self, volume: VolumeId, column: u8) {
        self.shards.write().remove(&(volume, column));
    }
}
