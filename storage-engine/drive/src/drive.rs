//! A drive in use.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use granary_types::{ClusterId, DriveClass, DriveId, VolumeId};

use crate::backup::BackupCheck;
use crate::block::{FileHeader, PAGE_LENGTH_BYTES};
use crate::error::DriveError;
use crate::health::Health;
use crate::identity::{self, Found, Identity};
use crate::lane::{Cache, Lane, measure_space};
use crate::shard::ShardFile;

pub(crate) const VOLUMES: &str = "volumes";
const QUARANTINE: &str = "quarantine";
const META: &str = "meta";
const PROBE: &str = ".granary-probe";
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
    health: Arc<Health>,
    lock: Mutex<Option<File>>,
    replacements: AtomicU64,
    pub(crate) backup_check: OnceLock<Arc<dyn BackupCheck>>,
}

/// What a probe does with a drive that failed, while that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resting {
    /// Nothing.
    Skip,
    /// It looks whether the directory is still this drive's, and does not use the drive again: somebody says that one was replaced.
    Look,
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
        make_folders(directory, &identity)?;
        remove_unfinished(&directory.join(VOLUMES))?;
        let health = Arc::new(Health::default());
        measure_space(directory, &health);
        let lane = |kind| {
            Lane::start(format!("{kind}-{}", identity.slot), directory, stall_deadline, Arc::clone(&health))
        };
        Ok(Arc::new(Self {
            packed: lane("pack")?,
            bulk: lane("bulk")?,
            directory: directory.to_owned(),
            health,
            identity,
            lock: Mutex::new(Some(lock)),
            replacements: AtomicU64::new(0),
            backup_check: OnceLock::new(),
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

    /// Tells what it is made of, as far as that is known here: what is written is counted by it.
    pub fn set_class(&self, class: DriveClass) {
        self.health.set_class(class);
    }

    /// Marks the drive as failed: it gets no new volumes until [`Drive::probe`] finds it well.
    pub fn mark_failed(&self) {
        self.health.mark_failed();
    }

    /// Whether new volumes may be placed here.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.health.is_failed()
    }

    /// Looks whether the directory is still this drive and can be written; a drive that failed and is well
    /// again is used again. Blocks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn probe(&self, resting: Resting) -> Result<(), DriveError> {
        if !self.is_usable() && !self.health.may_retry() {
            return if resting == Resting::Look { self.probe_directory() } else { Ok(()) };
        }
        let result =
            self.probe_directory().and_then(|()| if self.is_usable() { Ok(()) } else { self.probe_write() });
        measure_space(&self.directory, &self.health);
        match &result {
            Ok(()) => self.health.mark_well(),
            Err(_) => self.health.mark_failed(),
        }
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
        Ok(())
    }

    /// A drive that failed must show that it takes a write and flushes it, and that no thread hangs on it.
    fn probe_write(&self) -> Result<(), DriveError> {
        if self.health.stuck_lanes.load(std::sync::atomic::Ordering::Acquire) > 0 {
            return Err(DriveError::Stalled { path: self.directory.clone() });
        }
        let path = self.directory.join(PROBE);
        let write = || -> std::io::Result<()> {
            fs::write(&path, b"probe")?;
            File::open(&path)?.sync_all()?;
            fs::remove_file(&path)
        };
        write().map_err(|e| DriveError::io("probing", &path, e))
    }

    /// Takes the drive out of use for good: its directory is gone or something else is in its place. Appends that
    /// still go to its open files count as failed.
    pub fn retire(&self) {
        self.health.retire();
        self.release();
    }

    /// Whether the drive was taken out of use.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.health.is_retired()
    }

    /// Bytes free for new data and the size of the file system, as of the last append or probe.
    #[must_use]
    pub fn space_bytes(&self) -> (u64, u64) {
        self.health.space()
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
        shard.share_unread();
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
                _ => {}
            }
        }
        // Another thread or a former life may have made the folder and not lived to flush it.
        sync_directory(&self.directory.join(VOLUMES))?;
        let header = FileHeader { cluster: self.identity.cluster, volume, column, profile };
        self.health.bad_pages.forget_file(path);
        let shard = ShardFile::create(path, header, Arc::clone(&self.health))?;
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
        ShardFile::open(&self.shard_path(ShardName { volume, column }), header, Arc::clone(&self.health))
            .map(Arc::new)
    }

    /// Starts a replacement of a shard file under a temporary name; see [`Drive::install_replacement`]. Two of one shard,
    /// begun by two nodes, are files of their own.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn create_replacement(&self, name: ShardName, profile: (u8, u8)) -> Result<Replacement, DriveError> {
        let number = self.replacements.fetch_add(1, Ordering::Relaxed);
        let path = self.shard_path(name).with_extension(format!("{number}.{SUFFIX_NEW}"));
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
        self.health.bad_pages.forget_file(&path);
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
            _ => {
                self.health.bad_pages.forget_file(&path);
                sync_directory(path.parent().unwrap_or(&self.directory))
            }
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
        self.health.bad_pages.forget_file(&from);
        granary_types::crash_point("quarantine.after_rename");
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

    /// What the first page of a shard file says; `None` if it is damaged. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn shard_header(&self, name: ShardName) -> Result<Option<FileHeader>, DriveError> {
        let path = self.shard_path(name);
        let mut page = Vec::with_capacity(PAGE_LENGTH_BYTES);
        let read =
            File::open(&path).and_then(|file| file.take(FileHeader::LENGTH_BYTES).read_to_end(&mut page));
        read.map_err(|e| DriveError::io("reading", &path, e))?;
        let fits = |header: &FileHeader| {
            header.volume == name.volume
                && header.column == name.column
                && header.cluster == self.identity.cluster
        };
        Ok(FileHeader::read(&page).filter(fits))
    }

    /// How many files are in quarantine. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn quarantined(&self) -> Result<u64, DriveError> {
        let path = self.directory.join(QUARANTINE);
        let count = fs::read_dir(&path).map(|entries| entries.flatten().count());
        let count = count.map_err(|e| DriveError::io("listing", &path, e))?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn shard_path(&self, name: ShardName) -> PathBuf {
        let file = file_name(name);
        self.directory.join(VOLUMES).join(file.get(..2).unwrap_or("00")).join(&file)
    }
}

/// A shard file being rebuilt. Dropped before it is installed, it goes away.
#[derive(Debug)]
pub struct Replacement {
    shard: ShardFile,
    name: ShardName,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After it was installed the temporary name is gone; an error is made good by the next start.
        let _ = fs::remove_file(self.shard.path());
    }
}

impl Replacement {
    /// Writes `bytes` at `offset`. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DriveError> {
        self.shard.write(offset, bytes, Cache::Bypass)
    }
}

/// Makes the folders that are missing. A directory that is being emptied at this moment, or another file system that was
/// mounted on it, is left as it is: with folders and no identity it would be nobody's, and never offered for healing.
fn make_folders(directory: &Path, identity: &Identity) -> Result<(), DriveError> {
    let mut made = Vec::new();
    for folder in [VOLUMES, QUARANTINE, META] {
        let path = directory.join(folder);
        match fs::create_dir(&path) {
            Ok(()) => made.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DriveError::io("creating", &path, error)),
        }
    }
    if !matches!(identity::inspect(directory), identity::Found::Drive(found) if found == *identity) {
        for path in made {
            let _ = fs::remove_dir(path);
        }
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DriveError::io("reading the identity in", directory, gone));
    }
    sync_directory(directory)
}

/// Removes replacements that a crash left half-built; they are begun again from the other columns.
fn remove_unfinished(volumes: &Path) -> Result<(), DriveError> {
    let list = |path: &Path| fs::read_dir(path).map_err(|e| DriveError::io("listing", path, e));
    for folder in list(volumes)? {
        let folder = folder.map_err(|e| DriveError::io("listing", volumes, e))?.path();
        for entry in if folder.is_dir() { Some(list(&folder)?) } else { None }.into_iter().flatten() {
            let path = entry.map_err(|e| DriveError::io("listing", &folder, e))?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX_NEW) {
                fs::remove_file(&path).map_err(|e| DriveError::io("removing", &path, e))?;
            }
        }
    }
    Ok(())
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

pub(crate) fn sync_directory(path: &Path) -> Result<(), DriveError> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| DriveError::io("flushing", path, e))
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
