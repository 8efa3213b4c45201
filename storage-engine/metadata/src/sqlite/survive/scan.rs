//! Looking at every home: which databases, snapshots and log frames are there and sound.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::files::{self, DATABASE, Listing, Stamp};
use super::frame::{self, Chain};
use super::snapshot::Seal;
use super::watch::Pulse;
use crate::error::{MetadataError, Result};
use crate::sqlite::failure::{Failure, unavailable};
use crate::sqlite::options::Home;
use crate::sqlite::schema::{self, Position, Purpose};

/// A complete state to begin from.
#[derive(Debug, Clone)]
pub(super) enum Base {
    /// The database in a home.
    Database { home: usize },
    /// A snapshot in a home, not yet read.
    Snapshot { home: usize, seal: Seal },
}

/// Where the changes of a frame lie.
#[derive(Debug, Clone)]
pub(super) struct FramePlace {
    pub(super) seq: u64,
    pub(super) generation: u64,
    pub(super) chain: Chain,
    pub(super) segment: PathBuf,
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) bases: Vec<(Position, Base)>,
    /// Sound frames by the hash of the chain they continue.
    pub(super) frames: HashMap<Chain, Vec<FramePlace>>,
    /// The states that segments continue, by their hash: a segment without frames tells of a state too.
    continued: HashMap<Chain, Stamp>,
    /// The newest state that anything sound tells of.
    pub(super) newest: Option<Stamp>,
    /// The batch that was acknowledged last, if the scanner knows.
    pub(super) at_least: u64,
    /// Whether there is any trace of metadata, sound or not.
    pub(super) traces: bool,
    /// What was found damaged, for the operator.
    pub(super) damage: Vec<String>,
    stores: Vec<[u8; 16]>,
}

impl Found {
    fn note(&mut self, store: [u8; 16], generation: u64, seq: u64) {
        self.newest = self.newest.max(Some(Stamp { generation, seq }));
        if !self.stores.contains(&store) {
            self.stores.push(store);
        }
    }

    fn damaged(&mut self, what: String) {
        tracing::warn!(what, "metadata found damaged");
        self.damage.push(what);
    }
}

/// Which databases may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Databases {
    /// All that pass their check.
    Checked,
    /// Not the one in this home: it was found damaged while it ran.
    AllBut(usize),
}

/// Looks at all homes. Stops early if nobody waits for it any more.
pub(super) fn scan(homes: &[Home], databases: Databases, pulse: &Pulse) -> Result<Found> {
    let mut found = Found::default();
    for (index, home) in homes.iter().enumerate() {
        let listing = match Listing::read(&home.dir) {
            Ok(listing) => listing,
            Err(error) => {
                found.damaged(format!("{}: {error}", home.dir.display()));
                continue;
            }
        };
        found.traces |= listing.database || !listing.seals.is_empty() || !listing.segments.is_empty();
        if listing.database && databases != Databases::AllBut(index) {
            scan_database(&mut found, index, &home.dir)?;
        }
        for stamp in &listing.seals {
            match Seal::read(&home.dir, *stamp) {
                Some(seal) => {
                    let position = seal.position();
                    found.note(position.store, position.generation, position.seq);
                    found.bases.push((position, Base::Snapshot { home: index, seal }));
                }
                None => found.damaged(format!("a snapshot's seal in {}", home.dir.display())),
            }
        }
        for stamp in &listing.segments {
            pulse.beat().map_err(|error| unavailable("looking for metadata", error.to_string()))?;
            scan_segment(&mut found, &home.dir.join(files::segment_name(*stamp)));
        }
    }
    if found.stores.len() > 1 {
        return Err(unavailable("opening", "the homes hold the metadata of different stores"));
    }
    Ok(found)
}

fn scan_database(found: &mut Found, home: usize, dir: &Path) -> Result<()> {
    match check_database(&dir.join(DATABASE)) {
        Ok(position) => {
            found.note(position.store, position.generation, position.seq);
            found.bases.push((position, Base::Database { home }));
            Ok(())
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(failure) if is_busy(&failure) => {
            Err(failure.into_error("checking a database another process uses"))
        }
        Err(failure) => {
            found.damaged(format!("the database in {}: {failure:?}", dir.display()));
            Ok(())
        }
    }
}

fn is_busy(failure: &Failure) -> bool {
    matches!(failure, Failure::Sqlite(error) if matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    ))
}

/// Checks the structure of a database and tells how far it has come.
fn check_database(path: &Path) -> Result<Position, Failure> {
    let connection = schema::open(path, Purpose::Inspect)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Failure::Corrupt(verdict));
    }
    let found: u32 =
        connection
            .query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))?;
    let supported = schema::supported_schema();
    if found > supported {
        return Err(Failure::Refused(MetadataError::SchemaTooNew { found, supported }));
    }
    schema::position(&connection)?.ok_or_else(|| Failure::Corrupt("the database has no position".to_owned()))
}

fn scan_segment(found: &mut Found, path: &Path) {
    let segment = match std::fs::read(path) {
        Ok(bytes) => frame::read_segment(&bytes),
        Err(error) => return found.damaged(format!("{}: {error}", path.display())),
    };
    let Some(segment) = segment else {
        return found.damaged(format!("the header of {}", path.display()));
    };
    let before = Stamp { generation: segment.generation, seq: segment.first.saturating_sub(1) };
    found.note(segment.store, before.generation, before.seq);
    let continued = found.continued.entry(segment.before).or_insert(before);
    *continued = before.max(*continued);
    for frame in segment.frames {
        found.note(segment.store, segment.generation, frame.seq);
        found.frames.entry(frame.previous).or_default().push(FramePlace {
            seq: frame.seq,
            generation: segment.generation,
            chain: frame.chain,
            segment: path.to_owned(),
            offset: frame.offset,
            length: frame.length,
        });
    }
}

/// How far the sound frames lead on from `position`, and those frames.
pub(super) fn reach<'f>(found: &'f Found, position: &Position) -> (Position, Vec<&'f FramePlace>) {
    let mut frames = Vec::new();
    let mut at = *position;
    loop {
        if let Some(continued) = found.continued.get(&at.chain).filter(|stamp| stamp.seq == at.seq) {
            at.generation = at.generation.max(continued.generation);
        }
        let places = found.frames.get(&at.chain).map(Vec::as_slice).unwrap_or_default();
        let following = places.iter().filter(|place| place.seq == at.seq.saturating_add(1));
        let Some(next) = following.max_by_key(|place| place.generation) else { break };
        frames.push(next);
        let generation = at.generation.max(next.generation);
        at = Position { seq: next.seq, chain: next.chain, generation, ..at };
    }
    (at, frames)
}
