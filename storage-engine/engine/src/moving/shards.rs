//! Backups of the metadata in the store itself, spread over its drives with the store's own erasure code.
//!
//! They lie beside the volumes, in the folder `backups` of each drive, and not in a bucket: S3 clients cannot see or touch
//! them, and reading one needs no metadata, which is what is lost when one is read. Each frame is cut into k blocks, to
//! which m are added; the blocks of one column are a frame file on one drive. A block that does not match its hash
//! is an erasure. Any m drives may be lost.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use granary_erasure::{Codec, Profile};
use granary_metadata::moving::{FrameFile, FrameFileSink, FrameSink, FrameSource};
use granary_types::ClusterId;
use serde::{Deserialize, Serialize};

/// The folder on each drive.
const FOLDER: &str = "backups";
const PREFIX: &str = "metadata-";
const SUFFIX: &str = ".shard";
/// The end of the name of a shard that is being written.
const UNFINISHED: &str = ".shard.new";
const FORMAT: u32 = 1;
/// In front of each block: the length of the frame it is a part of.
const HEAD_BYTES: usize = 4;

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

/// The code for so many drives: parity is kept as long as there is room for it.
pub(super) fn profile_for(wanted: Profile, drives: usize) -> io::Result<Profile> {
    let parity = wanted.parity().min(drives.saturating_sub(1));
    let data = wanted.data().min(drives.saturating_sub(parity)).max(1);
    let small = |count: usize| u8::try_from(count).map_err(invalid);
    Profile::new(small(data)?, small(parity)?).map_err(invalid)
}

/// A backup that is written to drives.
pub(super) struct ShardSink {
    codec: Codec,
    columns: Vec<FrameFileSink>,
}

impl ShardSink {
    /// Begins a backup in these drives' directories, one column on each of the first k+m.
    pub(super) fn create(
        directories: &[PathBuf],
        wanted: Profile,
        cluster: ClusterId,
        created_ms: i64,
    ) -> io::Result<Self> {
        let profile = profile_for(wanted, directories.len())?;
        let id = *ClusterId::random()?.as_bytes();
        let mut columns = Vec::with_capacity(profile.columns());
        for (column, directory) in (0_u8..).zip(directories.iter().take(profile.columns())) {
            let folder = directory.join(FOLDER);
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) => {}
                Ok(()) => File::open(directory)?.sync_all()?,
            }
            let name = format!("{PREFIX}{created_ms:020}-{}-{column}{SUFFIX}", ClusterId::from_bytes(id));
            let mut sink = FrameFileSink::create(&folder.join(name))?;
            let (data, parity) = (profile.data_columns(), profile.parity_columns());
            let header = Header { format: FORMAT, cluster, id, created_ms, data, parity, column };
            sink.append(&postcard::to_stdvec(&header).map_err(invalid)?)?;
            columns.push(sink);
        }
        Ok(Self { codec: Codec::new(profile).map_err(invalid)?, columns })
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
        for (sink, block) in self.columns.iter_mut().zip(blocks) {
            sink.append(&[&head, block].concat())?;
        }
        Ok(())
    }

    /// A crash between two columns leaves a backup with too few, which is not listed, or with enough.
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.columns.into_iter().try_for_each(|column| Box::new(column).finish())
    }
}

/// A backup that was found on drives.
pub(crate) struct ShardSource {
    pub(crate) cluster: ClusterId,
    pub(crate) id: [u8; 16],
    pub(crate) created_ms: i64,
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

/// The shards in a drive's directory.
fn shards_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory.join(FOLDER)) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.path());
    names.filter(|path| is_shard(path, SUFFIX)).collect()
}

fn is_shard(path: &Path, suffix: &str) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(suffix))
}

fn open_shard(path: &Path) -> io::Result<(Header, FrameFile)> {
    let file = FrameFile::open(path)?;
    let header: Header = postcard::from_bytes(&file.frame(0)?).map_err(invalid)?;
    if header.format != FORMAT {
        return Err(invalid("its format is not known"));
    }
    Ok((header, file))
}

/// A backup's header and its columns that were found.
type Found = (Header, Vec<(usize, FrameFile)>);

/// The backups that can be read from these drives' directories, the newest first.
pub(crate) fn find(directories: &[PathBuf]) -> Vec<ShardSource> {
    let mut found: BTreeMap<(i64, [u8; 16]), Found> = BTreeMap::new();
    for path in directories.iter().flat_map(|directory| shards_in(directory)) {
        match open_shard(&path) {
            Ok((header, file)) => {
                let key = (header.created_ms, header.id);
                let column = usize::from(header.column);
                found.entry(key).or_insert_with(|| (header, Vec::new())).1.push((column, file));
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "a shard of a backup is not usable"),
        }
    }
    found.into_values().rev().filter_map(|(header, columns)| source(&header, columns)).collect()
}

fn source(header: &Header, mut columns: Vec<(usize, FrameFile)>) -> Option<ShardSource> {
    columns.sort_by_key(|(column, _)| *column);
    columns.dedup_by_key(|(column, _)| *column);
    let profile = Profile::new(header.data, header.parity).ok()?;
    let frames = columns.iter().map(|(_, file)| file.count()).max()?.checked_sub(1)?;
    if columns.len() < profile.data() {
        return None;
    }
    let (cluster, id, created_ms) = (header.cluster, header.id, header.created_ms);
    Some(ShardSource { cluster, id, created_ms, codec: Codec::new(profile).ok()?, columns, frames })
}

/// Removes all but the newest `kept` readable backups, and what was begun and not finished. None is being written.
pub(super) fn retain(directories: &[PathBuf], kept: usize) -> io::Result<()> {
    let keep: Vec<String> = find(directories)
        .iter()
        .take(kept)
        .map(|backup| ClusterId::from_bytes(backup.id).to_string())
        .collect();
    for directory in directories {
        let Ok(entries) = std::fs::read_dir(directory.join(FOLDER)) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // With none that can be read, what is there may become readable when a drive is back.
            let is_old = !keep.is_empty() && !keep.iter().any(|id| name.contains(id.as_str()));
            if is_shard(&path, UNFINISHED) || (is_shard(&path, SUFFIX) && is_old) {
                std::fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
