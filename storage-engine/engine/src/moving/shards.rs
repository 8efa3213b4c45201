//! Backups of the metadata in the store itself, spread over the drives of all its nodes with the store's own erasure code.
//!
//! They lie beside the volumes, in a folder of each drive, and not in a bucket: S3 clients cannot see or touch
//! them, and reading one needs no metadata, which is what is lost when one is read. Each frame is cut into k blocks, to
//! which m are added; the blocks of one column are a frame file on one drive. A block that does not match its hash
//! is an erasure. Any m drives may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use granary_cluster::access::{DriveAccess, ReplacementAccess};
use granary_drive::{BackupCheck, BackupName, DriveError, backup_files};
use granary_erasure::{Codec, Profile};
use granary_metadata::moving::{FrameEncoder, FrameFile, FrameSink, FrameSource};
use granary_types::{ClusterId, DriveId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::volume::VolumeLimit;

const FORMAT: u32 = 1;
/// In front of each block: the length of the frame it is a part of.
const HEAD_BYTES: usize = 4;
/// So much of a column is sent to its drive at a time.
const SEND_BYTES: usize = 1 << 20;
/// Damaged shards that are remembered; beyond, the remembering begins anew.
const DAMAGED_MAX: usize = 1_000;

/// What a shard is of; its first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: u32,
    cluster: ClusterId,
    id: [u8; 16],
    created_ms: i64,
    data: u8,
    parity: u8,
    column: u8,
}

fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// Why a backup cannot be begun.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// A drive does not take its column.
    Refused(DriveId, DriveError),
    /// Something else.
    Failed(io::Error),
}

impl From<io::Error> for NotBegun {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A backup that is written to drives.
pub(super) struct ShardSink {
    codec: Codec,
    columns: Vec<Column>,
    /// What is kept of the drives follows from it.
    limit: VolumeLimit,
    /// Frames come on threads that may block; the drives are asked on those that may not.
    runtime: Handle,
}

struct Column {
    drive: Arc<dyn DriveAccess>,
    shard: Arc<dyn ReplacementAccess>,
    encoder: FrameEncoder,
    /// What was encoded and not sent.
    bytes: Vec<u8>,
    sent_bytes: u64,
}

impl ShardSink {
    /// Begins a backup, one column on each of these drives.
    pub(super) async fn create(
        drives: &[Arc<dyn DriveAccess>],
        profile: Profile,
        limit: VolumeLimit,
        cluster: ClusterId,
        created_ms: i64,
    ) -> Result<Self, NotBegun> {
        if drives.len() != profile.columns() {
            return Err(invalid("a backup has as many drives as columns").into());
        }
        let id = ClusterId::random()?;
        let (data, parity) = (profile.data_columns(), profile.parity_columns());
        let mut columns = Vec::with_capacity(drives.len());
        for (column, drive) in (0_u8..).zip(drives) {
            let name = BackupName { created_ms, id, profile: (data, parity), column };
            let begun = drive.create_backup_shard(name).await;
            let shard = begun.map_err(|error| NotBegun::Refused(drive.id(), error))?;
            let mut bytes = Vec::new();
            let mut encoder = FrameEncoder::begin(&mut bytes);
            let header =
                Header { format: FORMAT, cluster, id: *id.as_bytes(), created_ms, data, parity, column };
            encoder.append(&postcard::to_stdvec(&header).map_err(invalid)?, &mut bytes)?;
            columns.push(Column { drive: Arc::clone(drive), shard, encoder, bytes, sent_bytes: 0 });
        }
        Ok(Self { codec: Codec::new(profile).map_err(invalid)?, columns, limit, runtime: Handle::current() })
    }

    /// Sends to all drives at once what was encoded. Blocks.
    fn send(&mut self) -> io::Result<()> {
        let limit = self.limit;
        let is_full = |drive: &Arc<dyn DriveAccess>| {
            let (free_bytes, total_bytes) = drive.space_bytes();
            limit.room_bytes(free_bytes, total_bytes) == 0
        };
        // What is left there is for the metadata itself.
        if let Some(full) = self.columns.iter().find(|column| is_full(&column.drive)) {
            let place = full.drive.place();
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{place} has no room for a backup"),
            ));
        }
        let mut writes = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let bytes = Bytes::from(std::mem::take(&mut column.bytes));
            let (shard, offset) = (Arc::clone(&column.shard), column.sent_bytes);
            column.sent_bytes = offset.saturating_add(u64::try_from(bytes.len()).map_err(invalid)?);
            writes.push(async move { shard.write(offset, bytes).await });
        }
        self.runtime.block_on(try_join_all(writes)).map(drop).map_err(io::Error::other)
    }
}

impl FrameSink for ShardSink {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        let profile = self.codec.profile();
        let block_bytes = frame.len().div_ceil(profile.data()).max(1);
        let mut padded = frame.to_vec();
        padded.resize(block_bytes.saturating_mul(profile.data()), 0);
        let data: Vec<(usize, &[u8])> = padded.chunks_exact(block_bytes).enumerate().collect();
        let mut parity = vec![vec![0_u8; block_bytes]; profile.parity()];
        let mut into: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        self.codec.encode(&data, &mut into).map_err(invalid)?;
        let head = u32::try_from(frame.len()).map_err(invalid)?.to_le_bytes();
        let blocks = data.iter().map(|(_, block)| *block).chain(parity.iter().map(Vec::as_slice));
        for (column, block) in self.columns.iter_mut().zip(blocks) {
            column.encoder.append(&[&head, block].concat(), &mut column.bytes)?;
        }
        if self.columns.iter().any(|column| column.bytes.len() >= SEND_BYTES) {
            self.send()?;
        }
        Ok(())
    }

    /// A crash between two columns leaves a backup with too few, which is not listed, or with enough.
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        for column in &mut self.columns {
            column.encoder.finish(&mut column.bytes)?;
        }
        self.send()?;
        let installs = self.columns.iter().map(|column| column.shard.install());
        self.runtime.block_on(try_join_all(installs)).map(drop).map_err(io::Error::other)
    }
}

/// A backup that was found on drives.
pub(crate) struct ShardSource {
    pub(crate) cluster: ClusterId,
    pub(crate) id: [u8; 16],
    codec: Codec,
    columns: Vec<(usize, FrameFile)>,
    frames: usize,
}

impl FrameSource for ShardSource {
    fn count(&self) -> usize {
        self.frames
    }

    fn frame(&self, number: usize) -> io::Result<Vec<u8>> {
        let at = number.saturating_add(1);
        let k = self.codec.profile().data();
        let mut found: Vec<(usize, Vec<u8>)> = Vec::with_capacity(k);
        for (column, file) in &self.columns {
            if found.len() == k {
                break;
            }
            match file.frame(at) {
                Ok(block) if block.len() > HEAD_BYTES => found.push((*column, block)),
                Ok(_) => {}
                Err(error) => tracing::warn!(column, frame = number, %error, "a block of a backup is lost"),
            }
        }
        self.join(&found)
    }
}

impl ShardSource {
    /// Makes the frame of k of its blocks.
    fn join(&self, found: &[(usize, Vec<u8>)]) -> io::Result<Vec<u8>> {
        let k = self.codec.profile().data();
        let Some((_, first)) = found.first().filter(|_| found.len() == k) else {
            return Err(invalid("too many shards of the backup are lost"));
        };
        let (head, body) = first.split_at(HEAD_BYTES);
        let mut word = [0_u8; HEAD_BYTES];
        word.copy_from_slice(head);
        let length = usize::try_from(u32::from_le_bytes(word)).map_err(invalid)?;
        let blocks: Vec<(usize, &[u8])> = found
            .iter()
            .map(|(column, block)| (*column, block.get(HEAD_BYTES..).unwrap_or_default()))
            .collect();
        let wanted: Vec<usize> = (0..k).collect();
        let mut out = vec![0_u8; body.len().saturating_mul(k)];
        let mut into: Vec<&mut [u8]> = out.chunks_exact_mut(body.len()).collect();
        self.codec.reconstruct(&blocks, &wanted, &mut into).map_err(invalid)?;
        out.truncate(length);
        Ok(out)
    }
}

fn open_shard(path: &Path) -> io::Result<(Header, FrameFile)> {
    let file = FrameFile::open(path)?;
    let header: Header = postcard::from_bytes(&file.frame(0)?).map_err(invalid)?;
    if header.format != FORMAT {
        return Err(invalid("its format is not known"));
    }
    Ok((header, file))
}

/// Whether the file of a shard can be counted on, by its name: it is that shard of that store, and has its beginning, its index
/// and its column of the manifest, which is written last. With as many such shards as the code needs, a backup can be
/// opened. What is between is not read: a block that is damaged there is made of others when it is needed.
#[derive(Debug, Default)]
pub(crate) struct ShardCheck {
    /// The files of damaged shards that people were told of. Each lies there until its backup is old, and is found by every
    /// survey of every node.
    told: Mutex<BTreeSet<PathBuf>>,
}

impl BackupCheck for ShardCheck {
    fn check(&self, path: &Path, cluster: ClusterId, name: &BackupName) -> io::Result<()> {
        let checked = check_ends(path, cluster, name);
        match checked.as_ref() {
            Ok(()) => self.forget(path),
            // Others may remove it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.forget(path),
            Err(error) if self.is_news(path) => {
                tracing::warn!(path = %path.display(), %error, "a shard of a backup counts for nothing");
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "a shard of a backup still counts for nothing");
            }
        }
        checked
    }
}

impl ShardCheck {
    /// Whether nobody was told of this one yet; now somebody is.
    fn is_news(&self, path: &Path) -> bool {
        let mut told = self.told.lock();
        if told.contains(path) {
            return false;
        }
        if told.len() >= DAMAGED_MAX {
            told.clear();
        }
        told.insert(path.to_owned())
    }

    /// It is whole or gone: when it is damaged again that is news.
    fn forget(&self, path: &Path) {
        self.told.lock().remove(path);
    }
}

fn check_ends(path: &Path, cluster: ClusterId, name: &BackupName) -> io::Result<()> {
    let (header, file) = open_shard(path)?;
    let BackupName { created_ms, id, profile: (data, parity), column } = *name;
    let named = Header { format: FORMAT, cluster, id: *id.as_bytes(), created_ms, data, parity, column };
    if header != named {
        return Err(invalid("it is another than its name says, or of another store"));
    }
    let manifest_at = file.count().checked_sub(1).filter(|last| *last > 0);
    let manifest = file.frame(manifest_at.ok_or_else(|| invalid("it has nothing but a header"))?)?;
    if manifest.len() <= HEAD_BYTES {
        return Err(invalid("its block of the manifest is empty"));
    }
    Ok(())
}

/// A backup's header and its columns that were found.
type Found = (Header, Vec<(usize, FrameFile)>);

/// All that is found in these drives' directories, by when it was begun.
fn collect(directories: &[PathBuf]) -> BTreeMap<(i64, [u8; 16]), Found> {
    let mut found: BTreeMap<(i64, [u8; 16]), Found> = BTreeMap::new();
    for path in directories.iter().flat_map(|directory| backup_files(directory)) {
        match open_shard(&path) {
            Ok((header, file)) => {
                let key = (header.created_ms, header.id);
                let column = usize::from(header.column);
                found.entry(key).or_insert_with(|| (header, Vec::new())).1.push((column, file));
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "a shard of a backup is not usable"),
        }
    }
    for (_, columns) in found.values_mut() {
        columns.sort_by_key(|(column, _)| *column);
        columns.dedup_by_key(|(column, _)| *column);
    }
    found
}

/// The backups that can be read from these drives' directories, the newest first.
pub(crate) fn find(directories: &[PathBuf]) -> Vec<ShardSource> {
    let found = collect(directories).into_values().rev();
    found.filter_map(|(header, columns)| source(&header, columns)).collect()
}

/// Of the newest backup in these drives' directories, if too much of it is missing: how many shards are there, and how
/// many it takes.
pub(super) fn newest_short(directories: &[PathBuf]) -> Option<(usize, usize)> {
    let (header, columns) = collect(directories).into_values().next_back()?;
    let (found, needed) = (columns.len(), usize::from(header.data));
    (found < needed).then_some((found, needed))
}

fn source(header: &Header, columns: Vec<(usize, FrameFile)>) -> Option<ShardSource> {
    let profile = Profile::new(header.data, header.parity).ok()?;
    let frames = columns.iter().map(|(_, file)| file.count()).max()?.checked_sub(1)?;
    if columns.len() < profile.data() {
        return None;
    }
    let (cluster, id) = (header.cluster, header.id);
    Some(ShardSource { cluster, id, codec: Codec::new(profile).ok()?, columns, frames })
}

#[cfg(test)]
#[path = "shards_tests.rs"]
pub(super) mod tests;
