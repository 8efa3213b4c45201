//! Has the database gone back in time?
//!
//! An operator may restore an old database, or the newest copies may be on drives that are away. Such a database knows
//! lower committed ends than were acknowledged, and what lies above them looks like uncommitted tails. So every drive
//! remembers the committed ends of the newest volumes, written by the background loop when they change. If at start
//! any drive remembers more than the database knows, the database has regressed: nothing is freed, cut or moved in
//! this life, and operators are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use granary_drive::Drive;
use granary_metadata::{MetadataStore, VolumeRow, VolumeState};
use granary_types::{UnixMillis, VolumeId, crash_point};
use serde::{Deserialize, Serialize};

use super::pages::Page;
use crate::drives::DriveSet;
use crate::engine::Inner;
use crate::error::{EngineError, Result};

const FILE: &str = "committed-ends.json";
const FILE_NEW: &str = ".committed-ends.json.new";
/// Older volumes were sealed long ago; a database that regressed further back has lost the newer ones altogether, and
/// files of volumes it does not know are only moved aside.
const VOLUMES_MAX: usize = 2000;
const FILE_LENGTH_BYTES_MAX: u64 = 1 << 20;

/// Committed ends by volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ends {
    ends: BTreeMap<String, u64>,
}

impl Ends {
    fn take_higher(&mut self, others: &Self) {
        for (volume, end) in &others.ends {
            let known = self.ends.entry(volume.clone()).or_default();
            *known = (*known).max(*end);
        }
    }
}

/// What the file holds. A flipped bit must not pass for a higher end: the database would count as regressed for ever.
#[derive(Serialize, Deserialize)]
struct SealedEnds {
    #[serde(flatten)]
    ends: Ends,
    /// Missing in files of earlier builds.
    #[serde(default)]
    hash: Option<String>,
}

impl SealedEnds {
    fn of(ends: &Ends) -> Self {
        Self { ends: ends.clone(), hash: Some(hash_of(ends)) }
    }

    fn open(self) -> Option<Ends> {
        self.hash.is_none_or(|hash| hash == hash_of(&self.ends)).then_some(self.ends)
    }
}

fn hash_of(ends: &Ends) -> String {
    let mut hasher = blake3::Hasher::new();
    for (volume, end) in &ends.ends {
        hasher.update(volume.as_bytes()).update(&end.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// What was last written, and the newest volumes that are known.
#[derive(Default)]
pub(crate) struct Remembered {
    last: Option<Ends>,
    known: BTreeMap<VolumeId, Known>,
    /// What the drives remembered at start; kept with what is learned until all volumes were met once.
    before: Before,
}

#[derive(Default)]
enum Before {
    #[default]
    Unread,
    Kept(Ends),
    Met,
}

struct Known {
    opened: UnixMillis,
    end: u64,
    /// Whether it was met since the turn over all volumes began.
    is_seen: bool,
}

/// A volume of which the database knows less than it did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WentBack {
    volume: VolumeId,
    known: u64,
    is: u64,
}

impl Remembered {
    /// Learns the ends of a page of volumes and of those this process writes, and writes the newest that are known to
    /// every drive, if they have changed.
    pub(crate) async fn remember(&mut self, inner: &Inner, page: &Page) -> Result<()> {
        if matches!(self.before, Before::Unread) {
            self.before = Before::Kept(read_all(&inner.drives).await?);
        }
        let mut went_back = self.learn_page(page);
        for id in inner.pool.open_volumes().await {
            let on_page = page.rows.binary_search_by_key(&id, |row| row.volume.id).is_ok();
            if !on_page && let Some(row) = inner.store.volume(id).await? {
                went_back = went_back.or(self.learn(&row));
            }
        }
        // After a fail-over it is known what was lost, and the ends are raised again.
        let went_back = went_back.filter(|_| !inner.fail_over.is_unsettled());
        if let Some(WentBack { volume, known, is }) = went_back {
            tracing::error!(
                %volume, known, is,
                "the database went back in time while it was used: nothing will be freed until it is repaired"
            );
            inner.note_regressed();
        }
        self.write(&inner.drives).await
    }

    /// The first volume of the page that went back in time, if one did.
    fn learn_page(&mut self, page: &Page) -> Option<WentBack> {
        if page.is_first {
            self.known.values_mut().for_each(|known| known.is_seen = false);
        }
        let went_back = page.rows.iter().fold(None, |found, row| {
            let learned = self.learn(row);
            found.or(learned)
        });
        if page.is_last {
            self.known.retain(|_, known| known.is_seen);
            self.before = Before::Met;
        }
        if self.known.len() > 2 * VOLUMES_MAX {
            let newest: BTreeSet<VolumeId> = self.newest().map(|(id, _)| id).collect();
            self.known.retain(|id, _| newest.contains(id));
        }
        went_back
    }

    fn learn(&mut self, row: &VolumeRow) -> Option<WentBack> {
        let (volume, is) = (row.volume.id, row.committed_end);
        if row.state == VolumeState::Freed {
            self.known.remove(&volume);
            return None;
        }
        // Ends only advance. A database that knows less has gone back in time, which the next start must find out too.
        let known = self.known.get(&volume).map_or(0, |known| known.end);
        let end = known.max(is);
        if end > 0 {
            self.known.insert(volume, Known { opened: row.volume.opened, end, is_seen: true });
        }
        (known > is).then_some(WentBack { volume, known, is })
    }

    fn newest(&self) -> impl Iterator<Item = (VolumeId, u64)> + use<> {
        let mut all: Vec<_> = self.known.iter().map(|(id, known)| (known.opened, *id, known.end)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().take(VOLUMES_MAX).map(|(_, id, end)| (id, end))
    }

    /// What every drive is to remember.
    fn ends(&self) -> Ends {
        let mut ends = Ends { ends: self.newest().map(|(id, end)| (id.to_string(), end)).collect() };
        if let Before::Kept(before) = &self.before {
            ends.take_higher(before);
        }
        ends
    }

    async fn write(&mut self, drives: &DriveSet) -> Result<()> {
        let ends = self.ends();
        if self.last.as_ref() == Some(&ends) {
            return Ok(());
        }
        let (all, writing) = (drives.usable_local(), ends.clone());
        // One drive that fails does not keep the others from remembering.
        let write = move || {
            let written =
                all.iter().map(|drive| write_ends(drive.directory(), &drive.meta_directory(), &writing));
            written.fold(Ok(()), Result::and)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written
            .map_err(|_| EngineError::Internal("remembering the committed ends panicked"))?
            .map_err(|source| EngineError::Io { context: "remembering the committed ends", source })?;
        self.last = Some(ends);
        Ok(())
    }
}

/// What the drives here remember together.
async fn read_all(drives: &DriveSet) -> Result<Ends> {
    let all = drives.usable_local();
    let read = move || {
        let mut union = Ends::default();
        all.iter().filter_map(|drive| read_ends(drive.directory())).for_each(|ends| union.take_higher(&ends));
        union
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|_| EngineError::Internal("reading the committed ends panicked"))
}

/// Whether any drive remembers more than the database knows.
pub(crate) async fn has_regressed(store: &dyn MetadataStore, drives: &[Arc<Drive>]) -> Result<bool> {
    let mut regressed = false;
    for drive in drives {
        let directory = drive.directory().to_owned();
        let read = tokio::task::spawn_blocking(move || read_ends(&directory)).await;
        let Ok(Some(remembered)) = read else { continue };
        for (volume, end) in remembered.ends {
            let Ok(id) = volume.parse::<VolumeId>() else { continue };
            let row = store.volume(id).await?;
            if let Some(row) = row.filter(|row| row.committed_end < end) {
                regressed = true;
                tracing::error!(
                    %volume, known = row.committed_end, remembered = end, drive = %drive.directory().display(),
                    "the metadata is older than the data: nothing will be freed until it is repaired"
                );
            }
        }
    }
    Ok(regressed)
}

/// The committed ends that drives with these directories remember. Blocks.
pub(crate) fn remembered_ends(directories: &[PathBuf]) -> BTreeMap<VolumeId, u64> {
    let mut union = Ends::default();
    directories.iter().filter_map(|directory| read_ends(directory)).for_each(|ends| union.take_higher(&ends));
    union.ends.into_iter().filter_map(|(volume, end)| Some((volume.parse().ok()?, end))).collect()
}

/// The file is made in a folder that only a drive in use has and then moved to its place: a directory that was emptied, or
/// on which nothing is mounted any more, stays empty.
fn write_ends(directory: &Path, folder: &Path, ends: &Ends) -> io::Result<()> {
    let temporary = folder.join(FILE_NEW);
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(&SealedEnds::of(ends))?)?;
    file.sync_all()?;
    crash_point("ends.before_rename");
    fs::rename(&temporary, directory.join(FILE))?;
    crash_point("ends.after_rename");
    File::open(directory)?.sync_all()
}

/// What a drive remembers; nothing if it cannot be read: another drive remembers the same.
fn read_ends(directory: &Path) -> Option<Ends> {
    let path = directory.join(FILE);
    if fs::metadata(&path).ok()?.len() > FILE_LENGTH_BYTES_MAX {
        return None;
    }
    serde_json::from_slice::<SealedEnds>(&fs::read(path).ok()?).ok()?.open()
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
