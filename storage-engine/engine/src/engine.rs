//! The engine: everything wired together, opened and closed.

use std::sync::Arc;

use granary_drive::Drive;
use granary_erasure::Profile;
use granary_metadata::sqlite::SqliteStore;
use granary_metadata::{DriveRow, DriveState, MetadataStore, VolumeState};
use granary_types::ClusterId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::buckets::BucketCache;
use crate::drives::{DriveSet, UnusedDrive};
use crate::error::Result;
use crate::maintain::{DamageLog, Maintenance, Tasks, has_regressed};
use crate::options::EngineOptions;
use crate::read::Reader;
use crate::start::{Metadata, Opened, blocking, finish_format, open_drives, open_metadata};
use crate::volume::{VolumeMap, VolumePool, all_rows};
use crate::write::{BUDGET_UNIT_BYTES, Packer};

/// A store. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub options: EngineOptions,
    pub cluster: ClusterId,
    pub profile: Profile,
    pub drives: Arc<DriveSet>,
    pub store: Arc<dyn MetadataStore>,
    /// The same store where it is the embedded one: its copies live on our drives.
    pub embedded: Option<Arc<SqliteStore>>,
    pub pool: Arc<VolumePool>,
    pub map: Arc<VolumeMap>,
    pub packer: Packer,
    pub reader: Arc<Reader>,
    pub write_budget: Arc<Semaphore>,
    /// Buffers of compaction and repair: clients that hold all of theirs must not stop these.
    pub maintenance_budget: Arc<Semaphore>,
    pub damage: Arc<DamageLog>,
    pub buckets: BucketCache,
    pub tasks: Tasks,
    /// The database knows less than was committed: nothing may be freed.
    pub regressed: bool,
    /// Held while one volume is healed.
    pub heal_turn: tokio::sync::Mutex<()>,
    running: Mutex<Option<Running>>,
}

/// What has to end before the metadata may be closed.
struct Running {
    committing: tokio::task::JoinHandle<()>,
    maintenance: Maintenance,
}

impl Engine {
    /// Opens the store in these directories, or makes a new one if all of them are empty.
    ///
    /// # Errors
    /// [`EngineError::Layout`] when the directories do not make up one store; metadata and drive errors otherwise.
    pub async fn open(options: EngineOptions) -> Result<Self> {
        let opening = options.clone();
        let opened = blocking(move || open_drives(&opening)).await?;
        let Metadata { store, embedded } = open_metadata(&options.metadata, &opened).await?;
        let formatted = opened.drives.clone();
        blocking(move || finish_format(&formatted)).await?;
        report_unused(&opened.unused);
        record_drives(store.as_ref(), &opened.drives).await?;
        let regressed = has_regressed(store.as_ref(), &opened.drives).await?;
        metrics::gauge!("granary_metadata_regressed").set(f64::from(u8::from(regressed)));
        seal_former_volumes(store.as_ref()).await?;
        let Opened { cluster, profile, drives, unused, .. } = opened;
        let drives = Arc::new(DriveSet::new(drives, unused));
        let pool = VolumePool::new(
            Arc::clone(&drives),
            Arc::clone(&store),
            cluster,
            profile,
            options.volume_limit_bytes,
        );
        let pool = Arc::new(pool);
        let map = Arc::new(VolumeMap::new(Arc::clone(&drives), Arc::clone(&store)));
        let damage = Arc::new(DamageLog::default());
        let budget = |bytes: usize| Arc::new(Semaphore::new((bytes / BUDGET_UNIT_BYTES).max(256)));
        let reader = Reader::new(
            Arc::clone(&map),
            Arc::clone(&store),
            Arc::clone(&damage),
            budget(options.read_budget_bytes),
        );
        let (packer, committing) = Packer::start(Arc::clone(&pool), Arc::clone(&store));
        let inner = Arc::new(Inner {
            write_budget: budget(options.write_budget_bytes),
            maintenance_budget: budget(0),
            options,
            cluster,
            profile,
            drives,
            store,
            embedded,
            pool,
            map,
            packer,
            reader: Arc::new(reader),
            damage,
            buckets: BucketCache::default(),
            tasks: Tasks::default(),
            regressed,
            heal_turn: tokio::sync::Mutex::default(),
            running: Mutex::new(None),
        });
        let engine = Self { inner };
        let maintenance = Maintenance::start(&engine);
        *engine.inner.running.lock() = Some(Running { committing, maintenance });
        Ok(engine)
    }

    /// The store's id.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.inner.cluster
    }

    /// The code of new volumes while all drives are usable.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.inner.profile
    }

    /// Finishes what is being written, seals the open volumes and closes the metadata. Requests must have ended
    /// before; later ones are answered with an error.
    ///
    /// # Errors
    /// When the last changes cannot be written.
    pub async fn close(&self) -> Result<()> {
        let running = self.inner.running.lock().take();
        if let Some(Running { committing, maintenance }) = running {
            maintenance.stop().await;
            self.inner.packer.close();
            let _ended = committing.await;
        }
        self.inner.pool.retire_all().await;
        self.inner.pool.seal_retired().await?;
        self.inner.store.close().await?;
        for drive in self.inner.drives.local() {
            drive.release();
        }
        Ok(())
    }
}

fn report_unused(unused: &[UnusedDrive]) {
    for drive in unused {
        tracing::error!(
            directory = %drive.directory.display(), slot = drive.slot, problem = %drive.message,
            "a drive is not in use: its data is served from the others"
        );
    }
}

async fn record_drives(store: &dyn MetadataStore, drives: &[Arc<Drive>]) -> Result<()> {
    for drive in drives {
        let path = drive.directory().display().to_string();
        store
            .put_drive(DriveRow { id: drive.id(), slot: drive.slot(), path, state: DriveState::Active })
            .await?;
    }
    Ok(())
}

/// A writer appends only to volumes that it opened in this life: whatever a former one left open is sealed.
async fn seal_former_volumes(store: &dyn MetadataStore) -> Result<()> {
    for row in all_rows(store).await?.iter().filter(|row| row.state == VolumeState::Open) {
        store.seal_volume(row.volume.id).await?;
    }
    Ok(())
}
