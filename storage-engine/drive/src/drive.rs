//! A drive in use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use granary_types::{ClusterId, DriveId, VolumeId};

use crate::block::FileHeader;
use crate::error::DriveError;
use crate::identity::{self, Found, Identity};
use crate::lane::Lane;
use crate::shard::ShardFile;

const VOLUMES: &str = "volumes";
const QUARANTINE: &str = "quarantine";
const META: &str = "meta";
const SUFFIX: &str = "shard";
const SUFFIX_NEW: &str = "healing";

/// Which shard file: a volume and a column of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardName {
    /// The volume.
    pub volume: VolumeId,
    /// The column.
    pub column: u8,
}

/// A drive in use: its directory, its lock and its appending threads.
#[derive(Debug)]
pub struct Drive {
    identity: Identity,
    directory: PathBuf,
    packed: Lane,
    bulk: Lane,
    failed: AtomicBool,
    lock: Mutex<Option<File>>,
}

impl Drive {
    /// Takes a drive into use: locks it, makes its folders, starts its threads. The identity was inspected before.
    ///
    /// # Errors
    /// When another process uses it or the file system refuses.
    pub fn open(
        directory: &Path,
        identity: Identity,
        stall_deadline: Duration,
    ) -> Result<Arc<Self>, DriveError> {
        let lock = identity::lock(directory)?;
        for folder in [VOLUMES, QUARANTINE, META] {
            let path = directory.join(folder);
            fs::create_dir_all(&path).map_err(|e| DriveError::io("creating", &path, e))?;
        }
        sync_directory(directory)?;
        let lane = |kind| Lane::start(format!("{kind}-{}", identity.slot), directory, stall_deadline);
        Ok(Arc::new(Self {
            packed: lane("pack")?,
            bulk: lane("bulk")?,
            directory: directory.to_owned(),
            failed: AtomicBool::new(false),
            identity,
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DriveId {
        self.identity.drive
    }

    /// Lets other processes use the drive. The caller has ended all writing.
    pub fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The identity it was opened with.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its place in the list of data directories.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.identity.slot
    }

    /// The store it belongs to.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.identity.cluster
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The folder where the metadata may keep its files.
    #[must_use]
    pub fn meta_directory(&self) -> PathBuf {
        self.directory.join(META)
    }

    /// The lane for packed stripes.
    #[must_use]
    pub fn packed(&self) -> &Lane {
        &self.packed
    }

    /// The lane for runs of large objects.
    #[must_use]
    pub fn bulk(&self) -> &Lane {
        &self.bulk
    }

    /// Marks the drive as failed: it gets no new volumes until [`Drive::probe`] finds it well.
    pub fn mark_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether new volumes may be placed here.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// Looks whether the directory is still this drive and can be written; a drive that failed and is well
    /// again is used again. Blocks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn probe(&self) -> Result<(), DriveError> {
        let result = self.probe_directory();
        self.failed.store(result.is_err(), Ordering::Release);
        result
    }

    fn probe_directory(&self) -> Result<(), DriveError> {
        match identity::inspect(&self.directory) {
            Found::Drive(found) if found.drive == self.identity.drive => {}
            Found::Unreadable(error) => return Err(error),
            other => {
                let reason = match other {
                    Found::Missing => "the directory is gone",
                    Found::Empty => "the directory is empty",
                    _ => "another drive is in its place",
                };
                return Err(DriveError::Identity { path: self.directory.clone(), reason: reason.to_owned() });
            }
        }
        let path = self.directory.join(VOLUMES);
        fs::create_dir_all(&path).map_err(|e| DriveError::io("creating", &path, e))?;
        Ok(())
    }

    /// Bytes free for new data, and the size of the file system.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn space_bytes(&self) -> Result<(u64, u64), DriveError> {
        let stat = rustix::fs::statvfs(&self.directory)
            .map_err(|e| DriveError::io("inspecting", &self.directory, e))?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }

    /// Creates a shard file, durable with its directory entry.
    ///
    /// # Errors
    /// When it exists or the drive fails.
    pub fn create_shard(
        &self,
        column: u8,
        volume: VolumeId,
        profile: (u8, u8),
    ) -> Result<Arc<ShardFile>, DriveError> {
        let path = self.shard_path(ShardName { volume, column });
        let shard = self.create_at(&path, column, volume, profile)?;
        Ok(Arc::new(shard))
    }

    fn create_at(
        &self,
        path: &Path,
        column: u8,
        volume: VolumeId,
        profile: (u8, u8),
    ) -> Result<ShardFile, DriveError> {
        let folder = path.parent().unwrap_or(&self.directory);
        if !folder.is_dir() {
            let parent = self.directory.join(VOLUMES);
            if !parent.is_dir() {
                // Never make the top folders anew: an unmounted drive must not swallow data on its mount point.
                return Err(DriveError::io(
                    "creating in",
                    &parent,
                    std::io::Error::from(std::io::ErrorKind::NotFound),
                ));
            }
            match fs::create_dir(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(DriveError::io("creating", folder, error));
                }
                _ => sync_directory(&parent)?,
            }
        }
        let header = FileHeader { cluster: self.identity.cluster, volume, column, profile };
        let shard = ShardFile::create(path, header)?;
        sync_directory(folder)?;
        Ok(shard)
    }

    /// Opens a shard file.
    ///
    /// # Errors
    /// When it is missing, is another file than its name says, or the drive fails.
    pub fn open_shard(
        &self,
        column: u8,
        volume: VolumeId,
        profile: (u8, u8),
    ) -> Result<Arc<ShardFile>, DriveError> {
        let header = FileHeader { cluster: self.identity.cluster, volume, column, profile };
        ShardFile::open(&self.shard_path(ShardName { volume, column }), header).map(Arc::new)
    }

    /// Starts a replacement of a shard file under a temporary name; see [`Drive::install_replacement`].
    ///
    /// # Errors
    /// When the drive fails.
    pub fn create_replacement(&self, name: ShardName, profile: (u8, u8)) -> Result<Replacement, DriveError> {
        let path = self.shard_path(name).with_extension(SUFFIX_NEW);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DriveError::io("removing", &path, error));
            }
            _ => {}
        }
        Ok(Replacement { shard: self.create_at(&path, name.column, name.volume, profile)?, name })
    }

    /// Flushes a replacement and puts it in the place of the shard file, if there is one.
    ///
    /// # Errors
    /// When the drive fails; the old file is then still in place.
    pub fn install_replacement(&self, replacement: &Replacement) -> Result<(), DriveError> {
        replacement.shard.flush()?;
        granary_types::crash_point("heal.before_install");
        let path = self.shard_path(replacement.name);
        fs::rename(replacement.shard.path(), &path).map_err(|e| DriveError::io("installing", &path, e))?;
        sync_directory(path.parent().unwrap_or(&self.directory))
    }

    /// Removes a shard file; one that is gone already is as good. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn remove_shard(&self, name: ShardName) -> Result<(), DriveError> {
        let path = self.shard_path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(DriveError::io("removing", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Moves a file that no metadata knows out of the way, never deletes it. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn quarantine_shard(&self, name: ShardName) -> Result<(), DriveError> {
        let from = self.shard_path(name);
        let to = self.directory.join(QUARANTINE).join(file_name(name));
        fs::rename(&from, &to).map_err(|e| DriveError::io("quarantining", &from, e))?;
        sync_directory(&self.directory.join(QUARANTINE))
    }

    /// Every shard file there is, with its length. Names that are not shard files' are passed over. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn census(&self) -> Result<Vec<(ShardName, u64)>, DriveError> {
        let root = self.directory.join(VOLUMES);
        let mut found = Vec::new();
        let list = |path: &Path| fs::read_dir(path).map_err(|e| DriveError::io("listing", path, e));
        for folder in list(&root)? {
            let folder = folder.map_err(|e| DriveError::io("listing", &root, e))?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in list(&folder)? {
                let entry = entry.map_err(|e| DriveError::io("listing", &folder, e))?;
                let Some(name) = entry.file_name().to_str().and_then(parse_name) else { continue };
                let length = entry.metadata().map_err(|e| DriveError::io("inspecting", &folder, e))?.len();
                found.push((name, length));
            }
        }
        Ok(found)
    }

    fn shard_path(&self, name: ShardName) -> PathBuf {
        let file = file_name(name);
        self.directory.join(VOLUMES).join(file.get(..2).unwrap_or("00")).join(&file)
    }
}

/// A shard file being rebuilt.
#[derive(Debug)]
pub struct Replacement {
    shard: ShardFile,
    name: ShardName,
}

impl Replacement {
    /// Writes `bytes` at `offset`. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DriveError> {
        self.shard.write(offset, bytes)
    }

    /// Sets the length, leaving a hole behind the last written byte. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn set_length_bytes(&self, length_bytes: u64) -> Result<(), DriveError> {
        self.shard.truncate(length_bytes)
    }
}

fn file_name(name: ShardName) -> String {
    format!("{}-{:02}.{SUFFIX}", name.volume, name.column)
}

fn parse_name(file: &str) -> Option<ShardName> {
    let (stem, suffix) = file.split_once('.')?;
    let (volume, column) = stem.split_once('-')?;
    (suffix == SUFFIX).then_some(())?;
    Some(ShardName { volume: volume.parse().ok()?, column: column.parse().ok()? })
}

fn sync_directory(path: &Path) -> Result<(), DriveError> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| DriveError::io("flushing", path, e))
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
