//! Choosing the newest complete state and making a database of it.

use std::fs::File;
use std::path::{Path, PathBuf};

use granary_types::crash_point;
use rusqlite::Connection;

use super::files::{self, DATABASE, DATABASE_NEW, Stamp};
use super::frame;
use super::scan::{Base, Databases, Found, FramePlace, reach, scan};
use super::watch::Pulse;
use crate::error::{MetadataError, Result};
use crate::sqlite::apply::Batch;
use crate::sqlite::failure::{Failure, unavailable};
use crate::sqlite::options::{Existing, Home};
use crate::sqlite::schema::{self, Position, Purpose};

/// A database that is ready to serve.
pub(in crate::sqlite) struct Recovered {
    pub(in crate::sqlite) connection: Connection,
    pub(in crate::sqlite) position: Position,
    /// The home it is in.
    pub(in crate::sqlite) home: usize,
}

/// At start: the newest complete state of all homes, or a new store.
pub(in crate::sqlite) fn at_start(homes: &[Home], existing: Existing) -> Result<Recovered> {
    let mut found = scan(homes, Databases::Checked, &Pulse::default())?;
    if !found.traces {
        if existing == Existing::Expected {
            return Err(unavailable("opening", "no home has any metadata, but the drives hold data"));
        }
        return create(homes);
    }
    restore(homes, &mut found, None)
}

/// While running: the database in `damaged` is no longer trusted. The new one goes to another home if one can take
/// it. A state older than `acknowledged` is refused.
pub(in crate::sqlite) fn while_running(
    homes: &[Home],
    damaged: Option<usize>,
    acknowledged: &Position,
) -> Result<Recovered> {
    let databases = damaged.map_or(Databases::Checked, Databases::AllBut);
    let restored = || {
        let mut found = scan(homes, databases, &Pulse::default())?;
        found.at_least = acknowledged.seq;
        restore(homes, &mut found, damaged)
    };
    // What damages one home may be at work on the next: a copy that was sound when it was found may not be when it is used.
    restored().or_else(|_| restored())
}

fn restore(homes: &[Home], found: &mut Found, damaged: Option<usize>) -> Result<Recovered> {
    loop {
        let (position, base, frames) = choose(found)?;
        match base {
            Base::Database { home } => match in_place(homes, home, &frames) {
                Ok(recovered) => return Ok(recovered),
                Err(failure) => discard(found, &position, &format!("{failure:?}")),
            },
            Base::Snapshot { home, seal } => {
                let source = homes.get(home).ok_or_else(|| unavailable("opening", "a home is gone"))?;
                if seal.holds(&source.dir, &Pulse::default()) {
                    let snapshot = source.dir.join(files::snapshot_name(stamp(&position)));
                    return rebuild(homes, damaged, home, &snapshot, &frames);
                }
                discard(found, &position, "its snapshot does not match its seal");
            }
        }
    }
}

fn stamp(position: &Position) -> Stamp {
    Stamp { generation: position.generation, seq: position.seq }
}

/// A base that failed when it was used; the choice is made again without it.
fn discard(found: &mut Found, position: &Position, why: &str) {
    tracing::warn!(seq = position.seq, why, "a copy of the metadata is not usable");
    found.damage.push(format!("the copy at batch {}: {why}", position.seq));
    let mut first = true;
    found.bases.retain(|(candidate, _)| candidate != position || !std::mem::take(&mut first));
}

/// The base that reaches furthest, with the frames that lead on from it. Refuses if anything sound tells of a newer
/// state than can be reached: that would lose what was acknowledged.
fn choose(found: &Found) -> Result<(Position, Base, Vec<FramePlace>)> {
    let best = found
        .bases
        .iter()
        .map(|(position, base)| (reach(found, position), position, base))
        // Of equals, the one that needs the fewest frames; a database before a snapshot.
        .max_by_key(|((reached, frames), _, base)| {
            (stamp(reached), std::cmp::Reverse(frames.len()), matches!(base, Base::Database { .. }))
        });
    let Some(((reached, frames), position, base)) = best else {
        let context = format!("no complete copy was found: {}", found.damage.join("; "));
        return Err(MetadataError::Corrupt { context });
    };
    if reached.seq < found.at_least || found.newest.is_some_and(|newest| newest > stamp(&reached)) {
        let context = format!(
            "the newest complete copy ends at batch {} (generation {}), but {:?} is known of: {}",
            reached.seq,
            reached.generation,
            found.newest,
            found.damage.join("; ")
        );
        return Err(MetadataError::Corrupt { context });
    }
    Ok((*position, base.clone(), frames.into_iter().cloned().collect()))
}

fn in_place(homes: &[Home], home: usize, frames: &[FramePlace]) -> Result<Recovered, Failure> {
    let dir = &homes.get(home).ok_or_else(|| Failure::Corrupt("a home is gone".to_owned()))?.dir;
    let mut connection = schema::open(&dir.join(DATABASE), Purpose::Write)?;
    schema::migrate(&mut connection)?;
    let position = replay(&connection, frames)?;
    Ok(Recovered { connection, position, home })
}

/// Applies the frames in order, each in a transaction of its own, and returns where that led.
fn replay(connection: &Connection, frames: &[FramePlace]) -> Result<Position, Failure> {
    let mut position = schema::position(connection)?
        .ok_or_else(|| Failure::Corrupt("the copy has no position".to_owned()))?;
    if !frames.is_empty() {
        tracing::info!(from = position.seq, frames = frames.len(), "replaying the metadata log");
    }
    let mut segment: (PathBuf, Vec<u8>) = Default::default();
    for place in frames {
        if segment.0 != place.segment {
            segment = (place.segment.clone(), std::fs::read(&place.segment).map_err(Failure::Io)?);
        }
        let payload = segment
            .1
            .get(place.offset..place.offset.saturating_add(place.length))
            .ok_or_else(|| Failure::Corrupt("a log segment became shorter".to_owned()))?;
        let ops = frame::decode_ops(payload)
            .map_err(|error| Failure::Corrupt(format!("a log frame cannot be decoded: {error}")))?;
        position = Position {
            seq: place.seq,
            chain: place.chain,
            generation: position.generation.max(place.generation),
            ..position
        };
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut batch = Batch::new(connection);
        for op in &ops {
            match batch.apply(op) {
                Ok(_) | Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        batch.finish()?;
        schema::set_position(connection, &position)?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(position)
}

/// Makes a database of a snapshot and frames in the best home that can take one.
fn rebuild(
    homes: &[Home],
    damaged: Option<usize>,
    source: usize,
    snapshot: &Path,
    frames: &[FramePlace],
) -> Result<Recovered> {
    // Another home than the damaged one and than the copy's own, so that as many homes as possible hold a copy.
    let rank = |home: usize| (Some(home) == damaged, home == source, home);
    let mut order: Vec<usize> = (0..homes.len()).collect();
    order.sort_by_key(|home| rank(*home));
    let mut last = unavailable("rebuilding the metadata", "there is no home");
    for home in order {
        let Some(target) = homes.get(home) else { continue };
        match rebuild_in(&target.dir, snapshot, frames) {
            Ok((connection, position)) => {
                tracing::warn!(home = %target.dir.display(), seq = position.seq, "the metadata was rebuilt");
                return Ok(Recovered { connection, position, home });
            }
            Err(failure) => {
                tracing::error!(home = %target.dir.display(), ?failure, "the metadata could not be rebuilt here");
                let _ = files::sweep(&target.dir);
                last = failure.into_error("rebuilding the metadata");
            }
        }
    }
    Err(last)
}

fn rebuild_in(dir: &Path, snapshot: &Path, frames: &[FramePlace]) -> Result<(Connection, Position), Failure> {
    files::sweep(dir).map_err(Failure::Io)?;
    let new = dir.join(DATABASE_NEW);
    std::fs::copy(snapshot, &new).map_err(Failure::Io)?;
    crash_point("metadata.rebuild_after_copy");
    make(dir, |connection| {
        let position = replay(connection, frames)?;
        Ok(Position { generation: position.generation.saturating_add(1), ..position })
    })
}

fn create(homes: &[Home]) -> Result<Recovered> {
    let home = homes.first().ok_or_else(|| unavailable("opening", "no home was given"))?;
    let create = || -> Result<_, Failure> {
        files::sweep(&home.dir).map_err(Failure::Io)?;
        let store = *granary_types::ClusterId::random().map_err(Failure::Io)?.as_bytes();
        make(&home.dir, |_| Ok(Position { store, generation: 1, seq: 0, chain: [0; 32] }))
    };
    let (connection, position) =
        create().map_err(|failure| failure.into_error("making a new metadata store"))?;
    Ok(Recovered { connection, position, home: 0 })
}

/// Makes the database of a home under another name, and gives it its name when it is whole and flushed: a crash
/// leaves what was there before or all of the new one.
fn make(
    dir: &Path,
    fill: impl FnOnce(&Connection) -> Result<Position, Failure>,
) -> Result<(Connection, Position), Failure> {
    let new = dir.join(DATABASE_NEW);
    let mut connection = schema::open(&new, Purpose::Write)?;
    // Nothing of this file counts before it is flushed whole and has its name.
    connection.pragma_update(None, "synchronous", "OFF")?;
    schema::migrate(&mut connection)?;
    let position = fill(&connection)?;
    schema::set_position(&connection, &position)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(Failure::Io)?;
    files::set_aside(dir).map_err(Failure::Io)?;
    crash_point("metadata.rebuild_before_rename");
    let database = dir.join(DATABASE);
    std::fs::rename(&new, &database).and_then(|()| files::sync_dir(dir)).map_err(Failure::Io)?;
    Ok((schema::open(&database, Purpose::Write)?, position))
}
