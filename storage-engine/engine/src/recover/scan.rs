//! Reading all volumes from end to end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt as _;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlockKind, FileHeader, ShardName};
use granary_erasure::{Codec, Profile};
use granary_metadata::PackedLocation;
use granary_types::{BlobId, DriveId, VolumeId};

use super::RecoverProgress;
use super::blobs::{Blobs, Segment};
use super::buckets::KnownBuckets;
use super::drives::OpenDrives;
use super::replay::{Item, Record, Standing};
use super::report::VolumesReport;
use super::resolve::Base;
use super::spool::{Shares, Work};
use super::torn::Tear;
use crate::drives::DriveSet;
use crate::error::{EngineError, Result};
use crate::layout::BlobStripe;
use crate::maintain::{Step, Walk, block_of, remembered_ends};
use crate::read::{Records, Stripe, VerifiedBlock};
use crate::record::ObjectRecord;
use crate::start::blocking;
use crate::told::{Deed, Stamp};
use crate::volume::{VolumeMap, VolumeView};

/// Volumes that are read at the same time.
const VOLUMES_IN_FLIGHT: usize = 4;

/// A volume of which there is at least one column.
#[derive(Debug, Clone)]
pub(super) struct FoundVolume {
    pub(super) id: VolumeId,
    /// k and m.
    pub(super) profile: (u8, u8),
    /// By column: the drive that has it.
    pub(super) columns: Vec<Option<DriveId>>,
    /// By column: how long its file is, where there is one whose length is known.
    pub(super) lengths: Vec<Option<u64>>,
    /// What is known to be committed of it.
    pub(super) known_end: u64,
    /// One past the last stripe that something can be read of and that nothing torn lies before, and no less than what is known to be
    /// committed.
    pub(super) end: u64,
    pub(super) stored_bytes: u64,
    pub(super) epoch: u64,
    /// The earliest record in it.
    pub(super) opened_ms: Option<i64>,
    pub(super) lost_stripes: u64,
    /// Behind its end: stripes that were being written.
    pub(super) torn_stripes: u64,
    pub(super) unreadable_records: u64,
}

/// All that was read.
pub(super) struct Scanned {
    pub(super) volumes: Vec<FoundVolume>,
    pub(super) blobs: Blobs,
    pub(super) buckets: KnownBuckets,
    pub(super) shares: Shares,
    pub(super) report: VolumesReport,
}

/// What one volume holds.
pub(super) struct Contents {
    pub(super) volume: FoundVolume,
    pub(super) records: Vec<Record>,
    /// Where the stripe of each record begins.
    pub(super) stripes: Vec<u64>,
    pub(super) segments: Vec<(BlobId, Segment)>,
}

/// Reads all volumes; records go to a spool.
pub(super) async fn scan(
    opened: &OpenDrives,
    base: Option<&Base>,
    work: &Work,
    watch: &mut impl FnMut(RecoverProgress),
) -> Result<Scanned> {
    let (found, mut report) = census(opened, base).await?;
    let drives = Arc::new(DriveSet::new(opened.drives.clone(), Vec::new(), None));
    let map = Arc::new(VolumeMap::without_metadata(drives));
    let total_bytes = found.iter().map(|(_, bytes)| bytes).sum();
    let mut scanned = Scanned {
        volumes: Vec::with_capacity(found.len()),
        blobs: Blobs::default(),
        buckets: KnownBuckets::default(),
        shares: Shares::create(work)?,
        report: VolumesReport::default(),
    };
    watch(RecoverProgress::Reading { done_bytes: 0, total_bytes });
    let reading = found.into_iter().map(|(volume, bytes)| {
        let map = &map;
        async move { (read_volume(map, volume).await, bytes) }
    });
    let mut reading = futures::stream::iter(reading).buffer_unordered(VOLUMES_IN_FLIGHT);
    while let Some((contents, bytes)) = reading.next().await {
        let Contents { volume, records, segments, .. } = contents?;
        for record in records {
            scanned.buckets.learn(&record);
            let is_of_bucket = record
                .told
                .as_ref()
                .is_some_and(|told| matches!(told.deed, Deed::Bucket(_) | Deed::BucketGone));
            if !is_of_bucket {
                let (bucket, key) = (record.bucket, record.key.clone());
                scanned.shares.add(bucket, &key, &Item::Record(record))?;
            }
        }
        segments.into_iter().for_each(|(blob, segment)| scanned.blobs.add(blob, segment));
        report.found += 1;
        report.degraded += u64::from(volume.columns.iter().any(Option::is_none));
        report.lost_stripes += volume.lost_stripes;
        report.torn_stripes += volume.torn_stripes;
        report.unreadable_records += volume.unreadable_records;
        report.read_bytes += bytes;
        watch(RecoverProgress::Reading { done_bytes: report.read_bytes, total_bytes });
        scanned.volumes.push(volume);
    }
    scanned.volumes.sort_unstable_by_key(|volume| volume.id);
    scanned.report = report;
    Ok(scanned)
}

/// All volumes, each with the length of its files together.
async fn census(
    opened: &OpenDrives,
    base: Option<&Base>,
) -> Result<(Vec<(FoundVolume, u64)>, VolumesReport)> {
    let (drives, directories) = (opened.drives.clone(), opened.directories());
    let mut ends: BTreeMap<VolumeId, u64> = blocking(move || Ok(remembered_ends(&directories))).await?;
    for (id, row) in base.iter().flat_map(|base| &base.volumes) {
        let end = ends.entry(*id).or_default();
        *end = (*end).max(row.committed_end);
    }
    blocking(move || {
        let mut found: HashMap<VolumeId, Columns> = HashMap::new();
        let mut report = VolumesReport::default();
        for drive in &drives {
            report.quarantined_files += drive.quarantined()?;
            for (name, length_bytes) in drive.census()? {
                let header = match drive.shard_header(name) {
                    Ok(Some(header)) => header,
                    Ok(None) => continue,
                    // Of a drive that answers so for all its files nothing is used; what is missing then is told.
                    Err(error) if error.is_of_sector() => {
                        tracing::warn!(%error, "the header of a column cannot be read: the column counts as missing");
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                found.entry(name.volume).or_default().add(&header, name, drive.id(), length_bytes);
            }
        }
        let volumes = found.into_iter().map(|(id, columns)| {
            let bytes = columns.bytes;
            (columns.volume(id, ends.get(&id).copied().unwrap_or(0)), bytes)
        });
        let mut volumes: Vec<_> = volumes.collect();
        volumes.sort_unstable_by_key(|(volume, _)| volume.id);
        Ok((volumes, report))
    })
    .await
}

/// The files of a volume.
#[derive(Default)]
struct Columns {
    profile: (u8, u8),
    /// The longest file of each column.
    files: BTreeMap<u8, (u64, DriveId)>,
    bytes: u64,
}

impl Columns {
    fn add(&mut self, header: &FileHeader, name: ShardName, drive: DriveId, length_bytes: u64) {
        self.profile = header.profile;
        self.bytes = self.bytes.saturating_add(length_bytes);
        let file = self.files.entry(name.column).or_insert((length_bytes, drive));
        *file = (length_bytes, drive).max(*file);
    }

    fn volume(self, id: VolumeId, known_end: u64) -> FoundVolume {
        let count = self.profile.0.saturating_add(self.profile.1);
        let files = (0..count).map(|column| self.files.get(&column).copied());
        let (lengths, columns) = files.map(Option::unzip).unzip();
        FoundVolume { lengths, ..FoundVolume::new(id, self.profile, columns, known_end) }
    }
}

async fn read_volume(map: &Arc<VolumeMap>, volume: FoundVolume) -> Result<Contents> {
    let profile = Profile::new(volume.profile.0, volume.profile.1)?;
    // A column that is nowhere is on no drive.
    let nowhere = DriveId::from_bytes([0; 16]);
    let drives = volume.columns.iter().map(|drive| drive.unwrap_or(nowhere)).collect();
    let view = Arc::new(VolumeView { id: volume.id, codec: Codec::new(profile)?, drives });
    let longest = volume.lengths.iter().flatten().max().copied();
    let walk = Walk::new(Arc::clone(&view), longest.unwrap_or(0));
    read_walked(map, view, walk, volume).await
}

/// Reads what a walk passes.
pub(super) async fn read_walked(
    map: &Arc<VolumeMap>,
    view: Arc<VolumeView>,
    mut walk: Walk,
    volume: FoundVolume,
) -> Result<Contents> {
    let mut contents = Contents { volume, records: Vec::new(), stripes: Vec::new(), segments: Vec::new() };
    let mut open: HashMap<BlobId, Segment> = HashMap::new();
    let (mut gap, mut tear) = (None, Tear::default());
    let mut reached = walk.at();
    while let Some(step) = walk.next(map).await? {
        match step {
            // A gap behind all that was committed is what was reserved and never written.
            Step::Gap { from, .. } => gap = Some(from),
            Step::Stripe(stripe) => {
                if let Some(from) = gap.take() {
                    tear.pass_gap(&contents, &open, from);
                    contents.volume.lost_stripes += 1;
                }
                reached = stripe.header.stripe_offset.saturating_add(stripe.span_bytes());
                let data = data_of(&view, &stripe)?;
                tear.pass(&contents, &open, &stripe, data.is_whole);
                take_stripe(&mut contents, &mut open, &view, &stripe, data);
            }
        }
    }
    tear.cut(&mut contents, &mut open);
    map.forget(view.id);
    contents.volume.settle_end(reached);
    contents.segments.extend(open);
    Ok(contents)
}

impl FoundVolume {
    /// A volume of which nothing was read yet.
    fn new(id: VolumeId, profile: (u8, u8), columns: Vec<Option<DriveId>>, known_end: u64) -> Self {
        Self {
            id,
            profile,
            lengths: vec![None; columns.len()],
            columns,
            known_end,
            end: FileHeader::LENGTH_BYTES,
            stored_bytes: 0,
            epoch: 0,
            opened_ms: None,
            lost_stripes: 0,
            torn_stripes: 0,
            unreadable_records: 0,
        }
    }

    /// How many of its files are gone though no drive was lost with them.
    pub(super) fn lost_files(&self, opened: &OpenDrives) -> usize {
        self.columns.iter().filter(|column| column.is_none()).count().saturating_sub(opened.lost.len())
    }

    /// A volume ends where it is known to, also if nothing is left of its last stripes: what can be read of them one day is no tail
    /// that was never committed. `reached` is how far there were stripes.
    fn settle_end(&mut self, reached: u64) {
        let (from, to) = (reached, self.known_end);
        if from < to {
            tracing::error!(volume = %self.id, from, to, "no column of what was committed last is readable");
            self.lost_stripes += 1;
        }
        self.end = self.end.max(self.known_end);
    }

    /// A volume of which the metadata tells where its columns are, and whose `known_end` is known to be committed.
    pub(super) fn of_view(view: &VolumeView, known_end: u64) -> Self {
        let columns = view.drives.iter().copied().map(Some).collect();
        Self::new(view.id, view.profile_columns(), columns, known_end)
    }
}

/// What is left of the data of a stripe.
struct Data {
    blocks: Vec<(u8, VerifiedBlock)>,
    is_whole: bool,
}

fn data_of(view: &VolumeView, stripe: &Stripe) -> Result<Data> {
    let mut blocks = Vec::new();
    let mut is_whole = true;
    for column in (0_u8..).take(view.codec.profile().data()).filter(|column| stripe.is_written(*column)) {
        match block_of(stripe, view, column) {
            Ok(Some(block)) => blocks.push((column, block)),
            Ok(None) | Err(EngineError::Unreadable { .. }) => is_whole = false,
            Err(error) => return Err(error),
        }
    }
    Ok(Data { blocks, is_whole })
}

fn take_stripe(
    contents: &mut Contents,
    open: &mut HashMap<BlobId, Segment>,
    view: &VolumeView,
    stripe: &Stripe,
    Data { blocks, is_whole }: Data,
) {
    let volume = &mut contents.volume;
    let end = stripe.header.stripe_offset.saturating_add(stripe.span_bytes());
    // What is behind the known end and not whole was never acknowledged.
    volume.lost_stripes += u64::from(!is_whole && end <= volume.known_end);
    if blocks.is_empty() {
        return;
    }
    volume.end = volume.end.max(end);
    volume.epoch = volume.epoch.max(stripe.header.epoch.0);
    let written = u64::from(stripe.header.columns_written.count_ones());
    volume.stored_bytes = volume.stored_bytes.saturating_add(stripe.span_bytes().saturating_mul(written));
    let standing = if end <= volume.known_end { Standing::Before } else { Standing::Behind };
    match stripe.header.kind {
        BlockKind::Packed => {
            // What cannot be healed is no match for a whole stripe of fewer columns.
            let readable = if is_whole { stripe.blocks.iter().flatten().count() } else { 0 };
            let columns = u8::try_from(readable).unwrap_or(u8::MAX);
            for (column, block) in blocks {
                take_packed(contents, stripe, column, &block, (standing, columns));
            }
        }
        BlockKind::Blob if is_whole => take_blob(contents, open, view, stripe, &blocks),
        BlockKind::Blob => {}
    }
}

fn take_packed(
    contents: &mut Contents,
    stripe: &Stripe,
    column: u8,
    block: &VerifiedBlock,
    (standing, columns): (Standing, u8),
) {
    let Records::Packed(records) = &block.records else { return };
    let base = stripe.header.stripe_offset
        + BLOCK_HEADER_LENGTH_BYTES as u64
        + u64::from(block.header.records_length_bytes);
    for entry in &records.entries {
        let Some(whole) = ObjectRecord::decode_all(&entry.record, entry.length_bytes) else {
            contents.volume.unreadable_records += 1;
            continue;
        };
        let ObjectRecord { bucket, key, object } = whole.record;
        let place = (entry.length_bytes > 0).then(|| PackedLocation {
            volume: contents.volume.id,
            stripe_offset: stripe.header.stripe_offset,
            column,
            offset: base + u64::from(entry.offset),
            length_bytes: entry.length_bytes,
            hash: entry.hash,
        });
        let guess =
            Stamp { at_us: u64::try_from(object.modified.0).unwrap_or(0).saturating_mul(1000), life: 0 };
        let (told, stamp) = whole.told.map_or((None, guess), |(told, stamp)| (Some(told), stamp));
        let opened = contents.volume.opened_ms.get_or_insert(object.modified.0);
        *opened = (*opened).min(object.modified.0);
        let piece = whole.piece;
        contents.stripes.push(stripe.header.stripe_offset);
        contents.records.push(Record { bucket, key, object, piece, told, stamp, place, standing, columns });
    }
}

fn take_blob(
    contents: &mut Contents,
    open: &mut HashMap<BlobId, Segment>,
    view: &VolumeView,
    stripe: &Stripe,
    blocks: &[(u8, VerifiedBlock)],
) {
    let mut records = blocks.iter().filter_map(|(_, block)| match &block.records {
        Records::Blob(records) => Some(records),
        Records::Packed(_) | Records::Parity => None,
    });
    let Some(first) = records.next() else { return };
    let rest: u64 = records.map(|records| u64::from(records.length_bytes)).sum();
    let k = view.codec.profile().data_columns();
    let segment = Segment {
        volume: view.id,
        offset: stripe.header.stripe_offset,
        start: first.blob_offset,
        length_bytes: u64::from(first.length_bytes).saturating_add(rest),
        data_columns: k,
    };
    // Readers derive each stripe's place from its length: one that is laid out otherwise cannot be read by them.
    if BlobStripe::new(segment.offset, 0, segment.length_bytes, k).span_bytes() != stripe.span_bytes() {
        contents.volume.unreadable_records += 1;
        return;
    }
    if !open.get_mut(&first.blob).is_some_and(|last| last.extend(&segment)) {
        let last = open.insert(first.blob, segment);
        contents.segments.extend(last.map(|last| (first.blob, last)));
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
