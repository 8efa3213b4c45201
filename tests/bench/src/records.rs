//! Stores that hold many objects before anything is measured: their records are written straight into the metadata, as a
//! restore writes them, and no bytes to the drives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use granary_drive::{Found, inspect};
use granary_metadata::moving::{CopyState, Entry, Export, Import, Place, Source, Table, VersionEntry};
use granary_metadata::postgres::{Consistency, PostgresCopy, PostgresOptions};
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SqliteImport, SqliteStore};
use granary_metadata::{Content, MetadataStore, NewObject, ObjectLock, ObjectRow, VersionKind};
use granary_types::{Attributes, BucketId, Etag, ObjectKey, StorageClass, UnixMillis, VersionId, WriteId};

use crate::cluster::Cluster;
use crate::target::{BUCKET, Started, granary, start, start_granary};

/// Records of one transaction.
const STEP: u64 = 4_000;
/// The parity of the embedded metadata of six drives.
const COPIES: usize = 2;
/// The entity tag of no bytes.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// The database that takes the place of the one that a node began with.
const GROWN: &str = "grown";

/// The key of a record.
pub fn record_key(number: u64) -> String {
    format!("r/{number:010}")
}

/// All that a store knows, but for the records.
struct Base {
    source: Source,
    tables: BTreeMap<Table, Vec<Entry>>,
    bucket: BucketId,
}

impl Base {
    async fn read(from: &dyn Export) -> Result<Self> {
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            let (mut entries, mut after): (Vec<Entry>, Option<Place>) = (Vec::new(), None);
            loop {
                let page = from.page(table, after.as_ref(), 1_000).await?;
                entries.extend(page.entries);
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            tables.insert(table, entries);
        }
        let buckets = tables.get(&Table::Buckets).into_iter().flatten();
        let ours = buckets.filter_map(|entry| match entry {
            Entry::Bucket(bucket) if bucket.name.as_str() == BUCKET => Some(bucket.id),
            _ => None,
        });
        let bucket = { ours }.next().context("the store has no bucket to grow")?;
        Ok(Self { source: from.source().await?, tables, bucket })
    }

    /// Fills empty metadata with this and `records` objects.
    async fn write(&self, to: &dyn Import, records: u64) -> Result<()> {
        let mut state =
            CopyState { source: self.source, at: Some((Table::Drives, None)), stored: 0, complete: false };
        to.begin(&state).await?;
        for table in Table::ALL {
            let entries = self.tables.get(&table).map(Vec::as_slice).unwrap_or_default();
            state = store(to, entries, table, state).await?;
            if table == Table::Objects {
                for from in (0..records).step_by(usize::try_from(STEP)?) {
                    let numbers = from..records.min(from + STEP);
                    let entries =
                        numbers.map(|number| record(self.bucket, number)).collect::<Result<Vec<_>>>()?;
                    state = store(to, &entries, table, state).await?;
                }
            }
        }
        let whole = CopyState { at: None, ..state.clone() };
        to.store(&[], &state, &whole).await?;
        Ok(to.finish(&whole).await?)
    }
}

async fn store(to: &dyn Import, entries: &[Entry], table: Table, before: CopyState) -> Result<CopyState> {
    let stored = before.stored + entries.len() as u64;
    // Where it would go on says which step this is, and is never gone on from.
    let at = Some((table, Some(Place::new(stored.to_le_bytes().to_vec()))));
    let after = CopyState { at, stored, ..before.clone() };
    to.store(entries, &before, &after).await?;
    Ok(after)
}

/// An object without bytes.
fn record(bucket: BucketId, number: u64) -> Result<Entry> {
    let mut write = [0_u8; 16];
    write.iter_mut().zip(number.to_be_bytes()).for_each(|(to, byte)| *to = byte);
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes(write),
        modified: UnixMillis(1_700_000_000_000),
        length_bytes: 0,
        etag: Etag::new(EMPTY_ETAG),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Empty,
    };
    let row = ObjectRow { order: 1, object, tag_count: 0, lock: ObjectLock::default() };
    let key = ObjectKey::new(record_key(number)).context("the key of a record")?;
    Ok(Entry::Object(VersionEntry::found(bucket, key, row, 1, 0)))
}

/// A store on one machine with the metadata on its drives.
///
/// # Errors
/// A server that does not come up, or metadata that cannot be written.
pub async fn start_embedded(dir: &Path, drives: usize, records: u64) -> Result<Started> {
    let mut started = start_granary(dir, drives).await?;
    let host = started.target.host_for(0)?.to_owned();
    started.stop()?;
    let homes = homes(dir, drives)?;
    let options = EmbeddedOptions::new(homes.clone(), COPIES, Existing::Expected);
    let old = SqliteStore::open(options)?;
    let base = Base::read(&old).await?;
    old.close().await?;
    drop(old);
    for home in &homes {
        std::fs::remove_dir_all(&home.dir).context("removing the metadata that is replaced")?;
        std::fs::create_dir(&home.dir)?;
    }
    let import = SqliteImport::open(homes)?;
    base.write(&import, records).await?;
    drop(import);
    start("granary", granary(dir, drives, &host)?, dir, host, drives).await
}

fn homes(dir: &Path, drives: usize) -> Result<Vec<Home>> {
    let home = |number: usize| {
        let drive: PathBuf = dir.join(format!("d{number}"));
        match inspect(&drive) {
            Found::Drive(identity) => Ok(Home { drive: identity.drive, dir: drive.join("meta") }),
            _ => bail!("{} is no drive", drive.display()),
        }
    };
    (1..=drives).map(home).collect()
}

/// A store of one node with the metadata in a Postgres of its own.
///
/// # Errors
/// As [`start_embedded`].
pub async fn start_postgres(dir: &Path, drives: usize, records: u64) -> Result<Cluster> {
    let mut cluster = Cluster::start(dir, 1, drives).await?;
    cluster.stop_nodes()?;
    let old = copy_of(&cluster.database_url())?;
    let base = Base::read(&old).await?;
    drop(old);
    cluster.database().create_database(GROWN)?;
    let grown = cluster.database().url(GROWN);
    base.write(&copy_of(&grown)?, records).await?;
    // What a database of this size looks like that has been used for a while.
    cluster.database().sql(GROWN, "VACUUM ANALYZE")?;
    cluster.start_nodes(&grown).await?;
    ensure!(cluster.target.pids.len() == 1, "a grown store has one node");
    Ok(cluster)
}

fn copy_of(url: &str) -> Result<PostgresCopy> {
    Ok(PostgresCopy::new(PostgresOptions::new(url)?, Consistency::Quiet)?)
}
