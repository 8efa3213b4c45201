//! From what was read to the entries of the new metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use granary_metadata::moving::{Backup, Entry, Export as _, Place, Table, VersionEntry, referrer};
use granary_metadata::{DriveRow, LegalHold, ObjectRow, VersionKind, VolumeRow};
use granary_types::{BlobId, BucketId, ClusterId, ObjectKey, VolumeId};

use super::assemble::{Assembled, Tables};
use super::blobs::Blobs;
use super::drives::OpenDrives;
use super::replay::{HELD, Item, Replayed, Rules, Version, replay, stored_length};
use super::report::{Finding, FindingKind, Findings, RecoverReport};
use super::rows::{Live, drive_rows, volume_row};
use super::scan::Scanned;
use super::spool::{SHARES, Work, read_all};
use super::{BeginWith, RecoverOptions, RecoverProgress};
use crate::error::{EngineError, Result};
use crate::moving::find_backups;
use crate::start::blocking;

/// Entries of a backup that are read at a time.
const PAGE: u32 = 1_000;

/// The backup a rebuild begins with, and what is needed of it before all else.
pub(super) struct Base {
    backup: Backup,
    id: ClusterId,
    pub(super) volumes: BTreeMap<VolumeId, VolumeRow>,
    pub(super) drives: Vec<DriveRow>,
}

impl Base {
    async fn of(backup: Backup, id: ClusterId) -> Result<Self> {
        let mut base = Self { backup, id, volumes: BTreeMap::new(), drives: Vec::new() };
        let (mut volumes, mut drives) = (BTreeMap::new(), Vec::new());
        base.each(Table::Drives, |entry| {
            drives.extend(entry.drive());
            Ok(())
        })
        .await?;
        base.each(Table::Volumes, |entry| {
            if let Entry::Volume(row, _) = entry {
                volumes.insert(row.volume.id, row);
            }
            Ok(())
        })
        .await?;
        (base.volumes, base.drives) = (volumes, drives);
        Ok(base)
    }

    async fn each(&self, table: Table, mut take: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        let mut after: Option<Place> = None;
        loop {
            let page = self.backup.page(table, after.as_ref(), PAGE).await?;
            page.entries.into_iter().try_for_each(&mut take)?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// Finds the backup to begin with.
pub(super) async fn find_base(options: &RecoverOptions, opened: &OpenDrives) -> Result<Option<Base>> {
    let wanted = match options.begin_with {
        BeginWith::Nothing => return Ok(None),
        BeginWith::Newest => None,
        BeginWith::Backup(id) => Some(id),
    };
    let (directories, cluster) = (opened.directories(), opened.cluster);
    let found = blocking(move || {
        for source in find_backups(&directories) {
            let id = ClusterId::from_bytes(source.id);
            if source.cluster != cluster || wanted.is_some_and(|wanted| wanted != id) {
                continue;
            }
            match Backup::open(Arc::new(source)) {
                Ok(backup) => return Ok(Some((backup, id))),
                Err(error) => {
                    tracing::warn!(%id, %error, "a backup cannot be read: an older one is looked for");
                }
            }
        }
        Ok(None)
    });
    match (found.await?, wanted) {
        (Some((backup, id)), _) => Ok(Some(Base::of(backup, id).await?)),
        (None, None) => Ok(None),
        (None, Some(id)) => {
            Err(EngineError::Layout(format!("the drives hold no backup {id} that can be read")))
        }
    }
}

/// The new metadata, and the report.
pub(super) struct Resolved {
    pub(super) export: Assembled,
    pub(super) report: RecoverReport,
}

struct Resolver<'o> {
    options: &'o RecoverOptions,
    backup_ms: Option<i64>,
    blobs: Blobs,
    tables: Tables,
    findings: Findings,
    report: RecoverReport,
    live: Live,
    /// Referred to, with its length.
    referred: BTreeMap<BlobId, u64>,
    buckets: BTreeSet<BucketId>,
}

/// Replays all keys and makes the entries of what comes out.
pub(super) async fn resolve(
    options: &RecoverOptions,
    opened: &OpenDrives,
    base: Option<&Base>,
    mut scanned: Scanned,
    work: &Work,
    watch: &mut impl FnMut(RecoverProgress),
) -> Result<Resolved> {
    let mut resolver = Resolver {
        options,
        backup_ms: base.map(|base| base.backup.manifest().created_ms),
        blobs: std::mem::take(&mut scanned.blobs),
        tables: Tables::create(work)?,
        findings: Findings::create(options.list.as_deref())?,
        report: RecoverReport {
            cluster: opened.cluster.to_string(),
            backup: base.map(|base| (base.id.to_string(), base.backup.manifest().created_ms)),
            drives: opened.drives.len(),
            lost_drives: opened.lost.len(),
            volumes: std::mem::take(&mut scanned.report),
            ..RecoverReport::default()
        },
        live: Live::default(),
        referred: BTreeMap::new(),
        buckets: BTreeSet::new(),
    };
    if let Some(base) = base {
        resolver.take_base(base, &mut scanned).await?;
    }
    let Scanned { volumes, buckets, shares, .. } = scanned;
    for (number, path) in (1_u64..).zip(shares.finish()?) {
        let mut keys: BTreeMap<(BucketId, ObjectKey), Vec<Item>> = BTreeMap::new();
        for item in blocking(move || read_all::<Item>(&path)).await? {
            keys.entry(item.of()).or_default().push(item);
        }
        for ((bucket, key), items) in keys {
            resolver.take_key(bucket, &key, items, buckets.is_locked(bucket))?;
        }
        watch(RecoverProgress::Replaying { done: number, total: SHARES as u64 });
    }
    let (rows, findings) = buckets.rows(&resolver.buckets)?;
    findings.into_iter().try_for_each(|finding| resolver.findings.add(finding))?;
    resolver.report.buckets = rows.len() as u64;
    rows.into_iter().try_for_each(|row| resolver.tables.add(Entry::Bucket(row)))?;
    resolver.take_blobs()?;
    for row in drive_rows(opened, base) {
        resolver.tables.add(Entry::of_drive(row))?;
    }
    for volume in &volumes {
        if resolver.live.is_empty_in(volume.id) && volume.lost_files(opened) > volume.profile.1.into() {
            resolver.report.volumes.leave_out(volume);
            continue;
        }
        let (row, items) = volume_row(volume, opened, base, &resolver.live)?;
        resolver.tables.add(Entry::Volume(row, items))?;
    }
    let Resolver { tables, findings, mut report, .. } = resolver;
    findings.finish(&mut report)?;
    Ok(Resolved { export: tables.finish(opened.cluster)?, report })
}

impl Resolver<'_> {
    /// Takes what a backup knows: versions go to the keys' shares, what the blocks tell better is left, the rest stays.
    async fn take_base(&mut self, base: &Base, scanned: &mut Scanned) -> Result<()> {
        for table in Table::ALL {
            let (shares, buckets) = (&mut scanned.shares, &mut scanned.buckets);
            let (tables, findings) = (&mut self.tables, &mut self.findings);
            base.each(table, |entry| match entry {
                Entry::Drive(_)
                | Entry::ClassedDrive(..)
                | Entry::Volume(..)
                | Entry::Blob(..)
                | Entry::Reference(..) => Ok(()),
                Entry::Bucket(bucket) => {
                    buckets.learn_base(bucket);
                    Ok(())
                }
                Entry::Object(version) | Entry::Version(version) => {
                    let (bucket, key) = (version.bucket, version.key.clone());
                    shares.add(bucket, &key, &Item::Base(version))
                }
                Entry::Tags(bucket, key, write, tags) => {
                    let item = Item::BaseTags(bucket, key.clone(), write, tags);
                    shares.add(bucket, &key, &item)
                }
                Entry::Acl(bucket, key, write, acl) => {
                    let item = Item::BaseAcl(bucket, key.clone(), write, acl);
                    shares.add(bucket, &key, &item)
                }
                Entry::Upload(upload) => {
                    let finding = Finding::new(FindingKind::Upload, upload.bucket, &upload.key);
                    findings.add(Finding {
                        write: upload.upload.to_string(),
                        modified_ms: upload.initiated.0,
                        ..finding
                    })
                }
                // Warm copies are made again; what they take is garbage in their volumes.
                Entry::Part(..) | Entry::Warm(..) => Ok(()),
                other => tables.add(other),
            })
            .await?;
        }
        Ok(())
    }

    fn take_key(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        items: Vec<Item>,
        is_locked: bool,
    ) -> Result<()> {
        let blobs = &self.blobs;
        let rules = Rules {
            backup_ms: self.backup_ms,
            candidates: self.options.candidates,
            decisions: &self.options.decisions,
            has_blob: &|blob, length_bytes| blobs.extents(blob, length_bytes).is_some(),
        };
        let Replayed { versions, top_order, findings, gone, outdated, undecided } =
            replay(bucket, key, items, &rules);
        findings.into_iter().try_for_each(|finding| self.findings.add(finding))?;
        self.report.gone += gone;
        self.report.outdated += outdated;
        self.report.undecided += undecided;
        if !versions.is_empty() {
            self.buckets.insert(bucket);
        }
        let older_count = (versions.len() as u64).saturating_sub(1);
        for (number, version) in (0_u64..).zip(versions) {
            let place = Standing { is_locked, is_current: number == older_count, top_order, older_count };
            self.take_version(bucket, key, version, &place)?;
        }
        Ok(())
    }

    fn take_version(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Version,
        standing: &Standing,
    ) -> Result<()> {
        let Version { object, order, mut lock, tags, acl, in_backup, .. } = version;
        self.report.from_blocks += u64::from(!in_backup);
        match object.kind {
            VersionKind::DeleteMarker => self.report.delete_markers += 1,
            VersionKind::Object => {
                self.report.objects += 1;
                self.report.tags_as_put += u64::from(!in_backup);
                if standing.is_locked {
                    // Nobody knows which locks were set or taken away since this was written.
                    lock.legal_hold = HELD.legal_hold;
                }
                self.report.closed += u64::from(lock.legal_hold == LegalHold::On);
            }
        }
        if let Some(place) = object.content.packed() {
            self.live.packed(place);
        }
        for (index, part) in (0_u32..).zip(object.content.parts()) {
            self.referred.insert(part.blob, stored_length(&object.content, part));
            let reference = referrer(bucket, key, order, index);
            self.tables.add(Entry::Reference(part.blob, reference))?;
        }
        if !tags.is_empty() {
            self.tables.add(Entry::Tags(bucket, key.clone(), object.write, tags))?;
        }
        if let Some(acl) = acl {
            self.tables.add(Entry::Acl(bucket, key.clone(), object.write, acl))?;
        }
        let row = ObjectRow { order, object, tag_count: 0, lock };
        let found = |top, older| VersionEntry::found(bucket, key.clone(), row, top, older);
        self.tables.add(if standing.is_current {
            Entry::Object(found(standing.top_order, standing.older_count))
        } else {
            Entry::Version(found(0, 0))
        })
    }

    fn take_blobs(&mut self) -> Result<()> {
        for (blob, length_bytes) in &self.referred {
            let extents = self.blobs.extents(*blob, *length_bytes);
            let extents = extents.ok_or(EngineError::Internal("a blob was found and lost"))?;
            self.live.blob(&extents);
            self.tables.add(Entry::Blob(*blob, extents))?;
        }
        Ok(())
    }
}

struct Standing {
    is_locked: bool,
    is_current: bool,
    top_order: u64,
    older_count: u64,
}

impl Item {
    fn of(&self) -> (BucketId, ObjectKey) {
        match self {
            Self::Base(entry) => (entry.bucket, entry.key.clone()),
            Self::BaseTags(bucket, key, ..) | Self::BaseAcl(bucket, key, ..) => (*bucket, key.clone()),
            Self::Record(record) => (record.bucket, record.key.clone()),
        }
    }
}
