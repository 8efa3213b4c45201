//! The engine: everything wired together, opened and closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use granary_drive::Drive;
use granary_erasure::Profile;
use granary_metadata::sqlite::SqliteStore;
use granary_metadata::{MetadataStore, VolumeState};
use granary_types::{ClusterId, WriteId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::buckets::BucketCache;
use crate::configurations::OneConfiguration;
use crate::configured::ConfiguredCache;
use crate::drives::{DriveSet, Peers, UnusedDrive};
use crate::error::{EngineError, Result};
use crate::events::{Origin, Targets};
use crate::fail_over::FailOver;
use crate::lifecycle::LifecycleRules;
use crate::maintain::{DamageLog, Maintenance, MoveBoard, Pacer, RecentHeals, Tasks, has_regressed};
use crate::moving::Surveys;
use crate::nodes::{Nodes, Packing, Served, Watching};
use crate::options::EngineOptions;
use crate::quota::Quotas;
use crate::read::{Reader, Room};
use crate::sealing::EncryptionCache;
use crate::start::{
    Metadata, NodeStart, Opened, blocking, known_classes, open_drives, open_metadata, open_node,
    record_drives, retire_replaced, settle_identities,
};
use crate::tiers::{Tiers, Wanted};
use crate::upkeep::Upkeep;
use crate::volume::{VolumeLimit, VolumeMap, VolumePool, all_rows};
use crate::warm::Warm;
use crate::write::{BUDGET_UNIT_BYTES, Packer, Pool};

/// A budget lets at least this much go on.
const BUDGET_UNITS_MIN: usize = 256;
/// What copies of large objects hold to write it: of two moves to the widest usual code, a run that is filled and two that are on
/// their way. With less, runs would be cut short, and disks written in short pieces.
const MAINTENANCE_WRITE_BYTES: usize = 80 << 20;
/// What copies of large objects hold that was read and is not written yet: two long runs of each of two moves.
const MAINTENANCE_READ_BYTES: usize = 32 << 20;

/// A store. Cheap to clone; all clones are the same store, which ends where it is when the last of them is dropped.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    /// Who causes what is asked for through this handle.
    pub(crate) origin: Arc<Origin>,
    pub(crate) _in_use: Arc<InUse>,
}

/// What all handles of a store share and nothing in the background does: when it is dropped, nobody uses the store any more.
pub(crate) struct InUse {
    inner: Arc<Inner>,
}

impl InUse {
    fn of(inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner) })
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // Work in the background holds the store, which holds the threads that it runs on.
        self.inner.upkeep.stop();
        let running = self.inner.running.lock().take();
        drop(running);
    }
}

pub(crate) struct Inner {
    pub options: EngineOptions,
    pub cluster: ClusterId,
    pub drives: Arc<DriveSet>,
    /// The other nodes; `None` for a store on one machine.
    pub nodes: Option<Arc<Nodes>>,
    pub store: Arc<dyn MetadataStore>,
    /// The same store where it is the embedded one: its copies live on our drives.
    pub embedded: Option<Arc<SqliteStore>>,
    pub pool: Arc<VolumePool>,
    pub map: Arc<VolumeMap>,
    pub packer: Packer,
    pub reader: Arc<Reader>,
    pub warm: Arc<Warm>,
    pub write_budget: Arc<Semaphore>,
    /// Buffers of compaction and repair: clients that hold all of theirs must not stop these.
    pub maintenance_budget: Arc<Semaphore>,
    /// What compaction, repair and moves read ahead.
    pub maintenance_reads: Room,
    pub damage: Arc<DamageLog>,
    pub buckets: BucketCache,
    pub rules: OneConfiguration<LifecycleRules>,
    pub encryption: EncryptionCache,
    pub configured: ConfiguredCache,
    pub quotas: Quotas,
    pub targets: Targets,
    pub tasks: Tasks,
    /// The database knows less than was committed: nothing may be freed, for the rest of this life.
    regressed: AtomicBool,
    pub fail_over: FailOver,
    /// Held while one volume is healed; knows which were just now.
    pub heal_turn: tokio::sync::Mutex<RecentHeals>,
    /// How far moves of shards are.
    pub moves: MoveBoard,
    /// The rate of moves, of shards and between tiers.
    pub move_pace: Pacer,
    /// Which backups of the metadata there were lately.
    pub surveys: Surveys,
    pub upkeep: Arc<Upkeep>,
    running: Mutex<Option<Running>>,
}

/// What has to end before the metadata may be closed. Dropped, it ends where it is.
struct Running {
    maintenance: Maintenance,
    watching: Option<Watching>,
    served: Option<Served>,
}

/// Permits for so many bytes of buffers.
fn budget(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((bytes / BUDGET_UNIT_BYTES).max(BUDGET_UNITS_MIN)))
}

/// The tiers of the store, which these drives are enough for.
fn tiers_of(options: &EngineOptions, drives: &Arc<DriveSet>, wanted: Wanted) -> Result<Tiers> {
    let (rules, when_full) = (options.tiers.clone(), options.when_ssd_full);
    let tiers = Tiers::new(Arc::clone(drives), wanted, options.erasure, rules, when_full);
    tiers.check()?;
    Ok(tiers)
}

impl Engine {
    /// Opens the store in these directories, or makes a new one if all of them are empty.
    ///
    /// # Errors
    /// [`EngineError::Layout`] when the directories do not make up one store; metadata and drive errors otherwise.
    pub async fn open(options: EngineOptions) -> Result<Self> {
        let (opened, metadata, node) = open_parts(&options).await?;
        let Metadata { store, embedded, fail_overs } = metadata;
        record_drives(store.as_ref(), &options, &opened.drives).await?;
        let opened_drives = opened.drives.clone();
        blocking(move || settle_identities(&opened_drives)).await?;
        report_unused(&opened.unused);
        let fail_over = FailOver::open(fail_overs).await?;
        let regressed = begins_regressed(store.as_ref(), &opened.drives, &fail_over).await?;
        let Opened { cluster, profile, drives, unused, .. } = opened;
        let peers = node.as_ref().map(|_| Arc::new(Peers::default()));
        let drives = Arc::new(DriveSet::new(drives, unused, peers.clone()));
        drives.learn_classes(known_classes(store.as_ref()).await?);
        let served = serve_node(&options, node, peers, cluster, &drives).await?;
        let nodes = served.as_ref().map(|served| Arc::clone(&served.nodes));
        seal_former_volumes(store.as_ref(), nodes.as_deref(), &fail_over).await?;
        let tiers = tiers_of(&options, &drives, wanted(&options, nodes.as_deref(), profile))?;
        let (grace, limit) = (options.grace, VolumeLimit(options.volume_limit_bytes));
        let pool = Arc::new(VolumePool::new(tiers, Arc::clone(&store), cluster, grace, limit));
        let map = Arc::new(VolumeMap::new(Arc::clone(&drives), Arc::clone(&store)));
        let (damage, upkeep) = (Arc::new(DamageLog::default()), Arc::new(Upkeep::start()?));
        let warm = Arc::new(Warm::new(Arc::clone(&pool), &options.warm));
        let reader = Reader::new(
            Arc::clone(&map),
            Arc::clone(&store),
            Arc::clone(&damage),
            budget(options.read_budget_bytes),
            (options.keys.clone(), Arc::clone(&warm)),
        );
        let peers = pool_of(&options, nodes.as_ref());
        let packer = Packer::new((&pool, &store), new_life()?, Arc::clone(&upkeep), peers);
        let inner = Arc::new(Inner {
            write_budget: budget(options.write_budget_bytes),
            maintenance_budget: budget(MAINTENANCE_WRITE_BYTES),
            maintenance_reads: Room::new(MAINTENANCE_READ_BYTES),
            targets: Targets::new(&options.event_targets),
            move_pace: Pacer::new(options.move_rate_bytes),
            options,
            cluster,
            drives,
            nodes: nodes.clone(),
            store,
            embedded,
            pool,
            map,
            packer,
            reader: Arc::new(reader),
            warm,
            damage,
            buckets: BucketCache::default(),
            rules: OneConfiguration::default(),
            encryption: EncryptionCache::default(),
            configured: ConfiguredCache::default(),
            quotas: Quotas::default(),
            tasks: Tasks::default(),
            regressed: AtomicBool::new(regressed),
            fail_over,
            heal_turn: tokio::sync::Mutex::default(),
            moves: MoveBoard::default(),
            surveys: Surveys::default(),
            upkeep,
            running: Mutex::new(None),
        });
        let engine = Self { _in_use: InUse::of(&inner), inner, origin: Arc::default() };
        served.iter().for_each(|served| served.door.open(&engine.inner));
        let maintenance = Maintenance::start(&engine);
        let watching = nodes.map(|nodes| Watching::start(nodes, Arc::clone(&engine.inner.reader.running)));
        *engine.inner.running.lock() = Some(Running { maintenance, watching, served });
        Ok(engine)
    }

    /// The store's id.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.inner.cluster
    }

    /// The code of new volumes while all drives are usable, `k+m`.
    #[must_use]
    pub fn profile(&self) -> String {
        let code = self.inner.pool.wanted_code();
        format!("{}+{}", code.data, code.parity)
    }

    /// Finishes what is being written, seals the open volumes and closes the metadata. Requests must have ended
    /// before; later ones are answered with an error.
    ///
    /// # Errors
    /// When the last changes cannot be written.
    pub async fn close(&self) -> Result<()> {
        let running = self.inner.running.lock().take();
        let (mut watching, mut served) = (None, None);
        self.inner.warm.stop_jobs();
        if let Some(running) = running {
            running.maintenance.stop().await;
            self.inner.packer.close();
            self.inner.packer.ended().await;
            (watching, served) = (running.watching, running.served);
        }
        self.inner.pool.retire_all().await;
        self.inner.pool.seal_retired().await?;
        if let Some(watching) = watching {
            watching.stop().await;
        }
        if let Some(served) = served {
            served.stop().await;
        }
        self.inner.store.close().await?;
        for drive in self.inner.drives.local() {
            drive.release();
        }
        Ok(())
    }
}

/// Whether the database knows less than the drives remember.
async fn begins_regressed(
    store: &dyn MetadataStore,
    drives: &[Arc<Drive>],
    fail_over: &FailOver,
) -> Result<bool> {
    // What a fail-over lost is committed again; whether that was all is asked again then.
    let regressed = !fail_over.is_unsettled() && has_regressed(store, drives).await?;
    metrics::gauge!("granary_metadata_regressed").set(f64::from(u8::from(regressed)));
    Ok(regressed)
}

/// The code of new volumes: of a node, by what drives there are, unless it was told.
fn wanted(options: &EngineOptions, nodes: Option<&Nodes>, profile: Profile) -> Wanted {
    match (options.erasure, nodes) {
        (None, Some(_)) => Wanted::ByDrives,
        _ => Wanted::Fixed(profile),
    }
}

/// Who may pack for this node.
fn pool_of(options: &EngineOptions, nodes: Option<&Arc<Nodes>>) -> Option<Arc<dyn Pool>> {
    let packing = options.node.as_ref()?.packing;
    nodes.filter(|_| packing == Packing::Pooled).map(|nodes| Arc::clone(nodes) as Arc<dyn Pool>)
}

/// What tells this life of the process from others.
fn new_life() -> Result<u64> {
    let drawn = WriteId::random().map_err(EngineError::drawing)?;
    let (half, _) = drawn.as_bytes().split_at(8);
    Ok(half.iter().fold(0, |life, byte| life << 8 | u64::from(*byte)))
}

fn report_unused(unused: &[UnusedDrive]) {
    for drive in unused {
        tracing::error!(
            directory = %drive.directory.display(), slot = drive.slot, problem = %drive.message,
            "a drive is not in use: its data is served from the others"
        );
    }
}

/// Opens the drives and the metadata, in the order that suits: a node asks the database first.
async fn open_parts(options: &EngineOptions) -> Result<(Opened, Metadata, Option<NodeStart>)> {
    if let Some(node) = &options.node {
        let (opened, metadata, start) = open_node(options, node).await?;
        return Ok((opened, metadata, Some(start)));
    }
    let opening = options.clone();
    let opened = blocking(move || open_drives(&opening)).await?;
    let metadata = open_metadata(options, &opened).await?;
    let listed = metadata.store.drives().await?;
    retire_replaced(metadata.store.as_ref(), listed, &opened.members).await?;
    Ok((opened, metadata, None))
}

/// Lets other nodes use the drives, and learns of the other nodes.
async fn serve_node(
    options: &EngineOptions,
    start: Option<NodeStart>,
    peers: Option<Arc<Peers>>,
    cluster: ClusterId,
    drives: &Arc<DriveSet>,
) -> Result<Option<Served>> {
    let (Some(start), Some(peers), Some(node)) = (start, peers, &options.node) else { return Ok(None) };
    let secret = (node.secret.clone(), node.tls.clone());
    let nodes = Nodes::new(start.id, cluster, secret, start.membership, Arc::clone(drives), peers);
    let nodes = Arc::new(nodes);
    let served = Served::start(nodes, start.listener);
    served.nodes.beat_and_look(None).await?;
    Ok(Some(served))
}

/// A writer appends only to volumes that it opened in this life: whatever a former one left open is sealed. Of several
/// nodes, each seals its own.
async fn seal_former_volumes(
    store: &dyn MetadataStore,
    nodes: Option<&Nodes>,
    fail_over: &FailOver,
) -> Result<()> {
    // Where they end is not known before it is known what a fail-over lost.
    if fail_over.is_unsettled() {
        return Ok(());
    }
    if let Some(nodes) = nodes {
        for (volume, owner) in nodes.membership.open_volumes().await? {
            if owner.is_none_or(|owner| owner == nodes.id) {
                store.seal_volume(volume).await?;
            }
        }
        return Ok(());
    }
    for row in all_rows(store).await?.iter().filter(|row| row.state == VolumeState::Open) {
        store.seal_volume(row.volume.id).await?;
    }
    Ok(())
}

impl Inner {
    /// Whether the database has been found to know less than was committed, or may.
    pub(crate) fn is_regressed(&self) -> bool {
        self.regressed.load(Ordering::Acquire) || self.fail_over.holds_up()
    }

    /// The database was found to know less than was committed.
    pub(crate) fn note_regressed(&self) {
        if !self.regressed.swap(true, Ordering::AcqRel) {
            metrics::gauge!("granary_metadata_regressed").set(1.0);
        }
    }

    /// Whether work that one node does for all is this process's, now.
    pub(crate) fn does_shared_work(&self) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.leads())
    }

    /// Whether clients read or upload through this process, now.
    pub(crate) fn is_busy(&self) -> bool {
        let units = (self.options.write_budget_bytes / BUDGET_UNIT_BYTES).max(BUDGET_UNITS_MIN);
        let uploads = self.write_budget.available_permits() < units;
        uploads || self.reader.running.oldest().is_some() || self.packer.is_busy()
    }
}
