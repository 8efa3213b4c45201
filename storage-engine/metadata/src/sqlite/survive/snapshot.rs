//! Snapshots: the whole database in one file, with a seal that tells what it is and that it is whole.
//!
//! A snapshot and the log segments behind it are one complete copy of the metadata.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use granary_types::crash_point;
use rusqlite::backup::{Backup, StepResult};
use serde::{Deserialize, Serialize};

use super::files::{self, SEAL_NEW, SNAPSHOT_NEW, Stamp};
use super::verify::verify;
use super::watch::Pulse;
use crate::sqlite::failure::Failure;
use crate::sqlite::schema::{self, Position, Purpose};

/// Pages that are copied before they are flushed and the copy says that it gets on: 8 MiB.
const STEP_PAGES: i32 = 2048;

/// How many steps of SQLite's machine are made between two beats of a check.
const BEAT_EVERY_OPS: i32 = 10_000;

/// What a snapshot is, kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    store: [u8; 16],
    generation: u64,
    seq: u64,
    chain: [u8; 32],
    length_bytes: u64,
    hash: [u8; 32],
}

impl Seal {
    pub(super) fn position(&self) -> Position {
        Position { store: self.store, generation: self.generation, seq: self.seq, chain: self.chain }
    }

    fn stamp(&self) -> Stamp {
        Stamp { generation: self.generation, seq: self.seq }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = postcard::to_stdvec(self)?;
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        Ok(bytes)
    }

    /// Reads the seal of a snapshot; `None` if it is damaged.
    pub(super) fn read(dir: &Path, stamp: Stamp) -> Option<Self> {
        Self::decode(&std::fs::read(dir.join(files::seal_name(stamp))).ok()?)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    /// Whether the snapshot's file is whole. Reads all of it.
    pub(super) fn holds(&self, dir: &Path, pulse: &Pulse) -> bool {
        match hash_file(&dir.join(files::snapshot_name(self.stamp())), pulse) {
            Ok(found) => found == (self.length_bytes, self.hash),
            Err(_) => false,
        }
    }
}

fn hash_file(path: &Path, pulse: &Pulse) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    let mut length_bytes = 0_u64;
    loop {
        pulse.beat()?;
        let count = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        length_bytes = length_bytes.saturating_add(u64::try_from(count).unwrap_or(0));
    }
    Ok((length_bytes, *hasher.finalize().as_bytes()))
}

/// Writes a snapshot of the database into a home and returns its seal. The writer goes on meanwhile: the snapshot
/// is of the moment it began or a later one.
pub(super) fn take(database: &Path, dir: &Path, pulse: &Pulse) -> Result<Seal, Failure> {
    files::sweep(dir).map_err(Failure::Io)?;
    let temporary = dir.join(SNAPSHOT_NEW);
    let position = copy_database(database, &temporary, pulse)?;
    crash_point("metadata.snapshot_after_copy");
    #[cfg(test)]
    super::log::fault::pass_snapshot(dir);
    File::open(&temporary).and_then(|file| files::sync_all(&file)).map_err(Failure::Io)?;
    let (length_bytes, hash) = hash_file(&temporary, pulse).map_err(Failure::Io)?;
    let Position { store, generation, seq, chain } = position;
    let seal = Seal { store, generation, seq, chain, length_bytes, hash };
    let stamp = seal.stamp();
    crash_point("metadata.snapshot_before_rename");
    // The last moment: from here on a snapshot that nobody waits for any more would replace the one before it.
    pulse.beat().map_err(Failure::Io)?;
    std::fs::rename(&temporary, dir.join(files::snapshot_name(stamp))).map_err(Failure::Io)?;
    crash_point("metadata.snapshot_after_rename");
    let bytes = seal.encode().map_err(|error| Failure::Corrupt(error.to_string()))?;
    files::write_durably(dir, SEAL_NEW, &files::seal_name(stamp), &bytes).map_err(Failure::Io)?;
    crash_point("metadata.snapshot_before_log_cut");
    Ok(seal)
}

fn copy_database(database: &Path, temporary: &Path, pulse: &Pulse) -> Result<Position, Failure> {
    let source = schema::open(database, Purpose::Inspect)?;
    let mut target = schema::open(temporary, Purpose::Copy)?;
    let beating = pulse.clone();
    // SQLite asks now and then whether to go on with a statement.
    target.progress_handler(BEAT_EVERY_OPS, Some(move || beating.beat().is_err()))?;
    // One read transaction around all steps: the copy is of one moment, and writers are not waited for.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let file = File::open(temporary).map_err(Failure::Io)?;
    let copying = Backup::new(&source, &mut target)?;
    while copying.step(STEP_PAGES)? != StepResult::Done {
        // Piece by piece, so that no flush is so long that the drive seems to hang.
        files::sync_data(&file).and_then(|()| pulse.beat()).map_err(Failure::Io)?;
    }
    drop(copying);
    drop(source);
    // Without a write-ahead log of its own the snapshot is one file.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    verify(&target)?;
    let position = schema::position(&target)?;
    position.ok_or_else(|| Failure::Corrupt("the snapshot has no position".to_owned()))
}
