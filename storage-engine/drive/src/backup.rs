//! Shards of metadata backups: files in a folder beside the volumes, told apart by their names, as nothing else is left
//! when they are looked for. What is in them is the business of whoever makes backups, and says how they are checked.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use granary_types::ClusterId;
use serde::{Deserialize, Serialize};

use crate::drive::{Drive, VOLUMES, sync_directory};
use crate::error::DriveError;

/// The folder on each drive.
pub const BACKUPS_FOLDER: &str = "backups";
const PREFIX: &str = "metadata-";
const SUFFIX: &str = ".shard";
/// The end of the name of a shard that is being written.
const UNFINISHED: &str = ".shard.new";
const FLUSH_EVERY_BYTES: usize = 8 << 20;

/// Which shard of which backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BackupName {
    /// When the backup was begun, in milliseconds since 1970.
    pub created_ms: i64,
    /// The backup.
    pub id: ClusterId,
    /// Its data and parity columns.
    pub profile: (u8, u8),
    /// The column.
    pub column: u8,
}

impl BackupName {
    fn file(&self) -> String {
        let (data, parity) = self.profile;
        format!("{PREFIX}{:020}-{}-{data}+{parity}-{}{SUFFIX}", self.created_ms, self.id, self.column)
    }

    fn parse(file: &str) -> Option<Self> {
        let mut parts = file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-');
        let (created, id, code, column) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (data, parity) = code.split_once('+')?;
        parts.next().is_none().then_some(())?;
        let profile = (data.parse().ok()?, parity.parse().ok()?);
        let (created_ms, id, column) = (created.parse().ok()?, id.parse().ok()?, column.parse().ok()?);
        Some(Self { created_ms, id, profile, column })
    }
}

/// When the backup was begun that a file belongs to, also of one that an earlier version wrote.
fn created_ms(file: &str) -> Option<i64> {
    file.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

/// Looks into the files of shards.
pub trait BackupCheck: std::fmt::Debug + Send + Sync {
    /// Whether a file is whole, and the shard of that store that its name says. Blocks.
    ///
    /// # Errors
    /// Why it counts for nothing.
    fn check(&self, path: &Path, cluster: ClusterId, name: &BackupName) -> std::io::Result<()>;
}

/// The whole shards of backups in a drive's directory, whether it is in use or not. Blocks.
#[must_use]
pub fn backup_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory.join(BACKUPS_FOLDER)) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_shard = |path: &PathBuf| name_of(path).is_some_and(|name| name.ends_with(SUFFIX));
    paths.filter(is_shard).collect()
}

/// The name of a file that belongs to backups.
fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str().filter(|name| name.starts_with(PREFIX))
}

impl Drive {
    /// Begins a shard of a backup. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn create_backup_shard(&self, name: &BackupName) -> Result<BackupShard, DriveError> {
        let volumes = self.directory().join(VOLUMES);
        if !volumes.is_dir() {
            // An unmounted drive must not swallow data on its mount point.
            return Err(DriveError::io("creating beside", &volumes, std::io::ErrorKind::NotFound));
        }
        let folder = self.directory().join(BACKUPS_FOLDER);
        match fs::create_dir(&folder) {
            Ok(()) => sync_directory(self.directory())?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DriveError::io("creating", &folder, error)),
        }
        let path = folder.join(name.file());
        let temporary = folder.join(format!("{}.new", name.file()));
        let file = File::options().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| DriveError::io("creating", &temporary, error))?;
        Ok(BackupShard { file, unflushed_bytes: AtomicUsize::new(0), temporary, path })
    }

    /// Has the files of shards looked into before they are listed. Said once; the first stays.
    pub fn check_backups_with(&self, check: Arc<dyn BackupCheck>) {
        let _first_stays = self.backup_check.set(check);
    }

    /// The whole shards of backups here, but for those of versions that named them otherwise. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError> {
        let files = self.backup_folder()?;
        let named = files.iter().filter_map(|path| Some((path, BackupName::parse(name_of(path)?)?)));
        Ok(named.filter(|(path, name)| self.is_whole(path, name)).map(|(_, name)| name).collect())
    }

    fn is_whole(&self, path: &Path, name: &BackupName) -> bool {
        self.backup_check.get().is_none_or(|it| it.check(path, self.cluster(), name).is_ok())
    }

    /// Removes the shards of backups that were begun before, and what was begun and not finished: nobody may be writing
    /// one. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn remove_backup_shards(&self, before_ms: i64) -> Result<(), DriveError> {
        for path in self.backup_folder()? {
            let Some(name) = name_of(&path) else { continue };
            let is_old = created_ms(name).is_some_and(|created| created < before_ms);
            if name.ends_with(UNFINISHED) || (name.ends_with(SUFFIX) && is_old) {
                fs::remove_file(&path).map_err(|error| DriveError::io("removing", &path, error))?;
            }
        }
        Ok(())
    }

    fn backup_folder(&self) -> Result<Vec<PathBuf>, DriveError> {
        let folder = self.directory().join(BACKUPS_FOLDER);
        match fs::read_dir(&folder) {
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(DriveError::io("listing", &folder, error)),
        }
    }
}

/// A shard of a backup that is being written. Dropped before it is installed, it goes away.
#[derive(Debug)]
pub struct BackupShard {
    file: File,
    unflushed_bytes: AtomicUsize,
    temporary: PathBuf,
    path: PathBuf,
}

impl Drop for BackupShard {
    fn drop(&mut self) {
        // After it was installed the temporary name is gone; what stays is removed before the next backup.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl BackupShard {
    /// Writes `bytes` at `offset`, and now and then flushes: who writes from another node gives up what makes no progress for
    /// seconds, and a slow drive must not have all of it to flush in the end. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DriveError> {
        let failed = |what, error| DriveError::io(what, &self.temporary, error);
        self.file.write_all_at(bytes, offset).map_err(|error| failed("writing", error))?;
        let unflushed_bytes = self.unflushed_bytes.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        if unflushed_bytes >= FLUSH_EVERY_BYTES {
            self.unflushed_bytes.store(0, Ordering::Relaxed);
            self.file.sync_data().map_err(|error| failed("flushing", error))?;
        }
        Ok(())
    }

    /// Flushes it and gives it its name, by which it is found. Blocks.
    ///
    /// # Errors
    /// When the drive fails.
    pub fn install(&self) -> Result<(), DriveError> {
        self.file.sync_all().map_err(|error| DriveError::io("flushing", &self.temporary, error))?;
        fs::rename(&self.temporary, &self.path)
            .map_err(|error| DriveError::io("installing", &self.path, error))?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))
    }
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
