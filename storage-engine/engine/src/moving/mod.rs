//! Moving a store's metadata: the store does not run meanwhile, and the place it came from is never served again.
//!
//! Order is what makes it safe to be killed at any point: everything is copied and verified; then the source is marked as
//! moved, so that nobody opens it; then the target is made the one that may be opened. In between neither opens, and the
//! same command again goes on from there.

mod backups;
mod shards;
mod survey;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use granary_metadata::moving::{CopyOptions, CopyReport, Digests, Phase, Progress, SetDigest, Table};
use granary_metadata::moving::{Entry, Export, Import, Place, copy};
use granary_metadata::postgres::{Consistency, PostgresCopy, PostgresOptions};
use granary_metadata::sqlite::{
    EmbeddedOptions, Existing, Home, SqliteImport, SqliteStore, WhenMoved, mark_moved,
};
use granary_metadata::{DriveState, MetadataStore};
use granary_types::DriveId;

use crate::error::{EngineError, Result};
use crate::start::{Opened, blocking, homes, open_all_drives};

pub(crate) use backups::back_up_forever;
pub use backups::{BackupPlace, StoredBackup, back_up_metadata, list_backups, restore_metadata};
pub use granary_metadata::moving::Manifest;
pub use granary_metadata::postgres::SchemaVersion;
pub(crate) use shards::{ShardCheck, find as find_backups};
pub(crate) use survey::Surveys;

/// How long sessions are waited for whose node has ended.
const LEFT_WITHIN: Duration = Duration::from_secs(3);

/// Where a store's metadata is or goes.
#[derive(Debug, Clone)]
pub enum MetadataPlace {
    /// On the store's own drives; all their directories, in their order.
    Embedded(Vec<PathBuf>),
    /// In a database.
    Postgres(Box<PostgresOptions>),
}

/// What is read.
enum Source {
    /// The drives stay locked as long as it is open.
    Embedded {
        opened: Opened,
        homes: Vec<Home>,
        store: Arc<SqliteStore>,
    },
    Postgres(PostgresCopy),
}

/// What is filled.
enum Target {
    Embedded { opened: Opened, import: SqliteImport },
    Postgres(PostgresCopy),
}

impl Source {
    async fn open(place: &MetadataPlace) -> Result<Self> {
        match place {
            MetadataPlace::Embedded(data) => {
                let data = data.clone();
                blocking(move || {
                    let opened = open_all_drives(&data)?;
                    let homes = homes(&opened.drives);
                    let copies = opened.profile.parity();
                    let mut options = EmbeddedOptions::new(homes.clone(), copies, Existing::Expected);
                    options.when_moved = WhenMoved::Open;
                    let store = Arc::new(SqliteStore::open(options)?);
                    Ok(Self::Embedded { opened, homes, store })
                })
                .await
            }
            MetadataPlace::Postgres(options) => {
                let source = PostgresCopy::new((**options).clone(), Consistency::Quiet)?;
                let others = sessions_left(&source).await?;
                if others > 0 {
                    return Err(EngineError::Layout(format!(
                        "{others} other sessions are connected to the database that is copied from: stop all nodes first"
                    )));
                }
                Ok(Self::Postgres(source))
            }
        }
    }

    fn export(&self) -> &dyn Export {
        match self {
            Self::Embedded { store, .. } => &**store,
            Self::Postgres(source) => source,
        }
    }

    /// Sees to it that nobody opens the source any more.
    async fn retire(self, to: &str) -> Result<()> {
        match self {
            Self::Embedded { opened, homes, store } => {
                store.close().await?;
                let to = to.to_owned();
                blocking(move || Ok(mark_moved(&homes, &to)?)).await?;
                drop(opened);
                Ok(())
            }
            Self::Postgres(source) => Ok(source.mark_moved(to).await?),
        }
    }
}

/// How many others use the database. Those of a node that was stopped just now are waited for: the database hears of its end some
/// time after it.
async fn sessions_left(source: &PostgresCopy) -> Result<u64> {
    let begun = Instant::now();
    loop {
        let others = source.other_sessions().await?;
        if others == 0 || begun.elapsed() >= LEFT_WITHIN {
            return Ok(others);
        }
        tokio::time::sleep(LEFT_WITHIN / 20).await;
    }
}

impl Target {
    async fn open(place: &MetadataPlace) -> Result<Self> {
        match place {
            MetadataPlace::Embedded(data) => {
                let data = data.clone();
                blocking(move || {
                    let opened = open_all_drives(&data)?;
                    let import = SqliteImport::open(homes(&opened.drives))?;
                    Ok(Self::Embedded { opened, import })
                })
                .await
            }
            MetadataPlace::Postgres(options) => {
                Ok(Self::Postgres(PostgresCopy::new((**options).clone(), Consistency::Quiet)?))
            }
        }
    }

    fn import(&self) -> &dyn Import {
        match self {
            Self::Embedded { import, .. } => import,
            Self::Postgres(target) => target,
        }
    }

    /// Refuses metadata that is not that of the drives it goes to.
    async fn check(&self, from: &dyn Export) -> Result<()> {
        let Self::Embedded { opened, .. } = self else { return Ok(()) };
        let ours: HashSet<DriveId> = opened.members.iter().copied().collect();
        let known = active_drives(from).await?;
        if known == ours {
            return Ok(());
        }
        Err(EngineError::Layout(format!(
            "the metadata is that of {} drives which are not the {} drives given: it belongs to another store",
            known.len(),
            ours.len()
        )))
    }
}

async fn active_drives(from: &dyn Export) -> Result<HashSet<DriveId>> {
    let mut drives = HashSet::new();
    let mut after: Option<Place> = None;
    loop {
        let page = from.page(Table::Drives, after.as_ref(), 1_000).await?;
        let found = page.entries.iter().filter_map(Entry::drive);
        drives.extend(found.filter(|drive| drive.state == DriveState::Active).map(|drive| drive.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(drives),
        }
    }
}

/// Brings a database's schema up to this binary's, under the lock that nodes take too. Returns what it was and what it is.
///
/// # Errors
/// When it does not answer, or its schema does not serve this binary any more.
pub async fn migrate_metadata(options: &PostgresOptions) -> Result<(SchemaVersion, SchemaVersion)> {
    Ok(granary_metadata::postgres::migrate(options).await?)
}

/// Moves the metadata of a store that is not running. `shown` names the target to people: no password. Killed at any
/// point, the same call goes on where it was.
///
/// # Errors
/// When a server uses one of them, a drive is not usable, the target holds another store's metadata, either side fails, or
/// both differ in the end; the source stays as it is then.
pub async fn copy_metadata(
    from: &MetadataPlace,
    to: &MetadataPlace,
    shown: &str,
    options: CopyOptions,
    watch: impl FnMut(Progress),
) -> Result<CopyReport> {
    let source = Source::open(from).await?;
    let target = Target::open(to).await?;
    target.check(source.export()).await?;
    let (report, state) = copy(source.export(), target.import(), options, watch).await?;
    source.retire(shown).await?;
    target.import().finish(&state).await?;
    Ok(report)
}
