//! Counting anew what lives in each volume, and what buckets hold.
//!
//! Everything is read from one state of the database, so what is counted and what was accounted belong together however
//! many batches are committed meanwhile. What they differ by is inserted as one more delta, which is right after those
//! batches too.

use std::collections::BTreeMap;

use granary_types::{BucketId, VolumeId, WriteId};
use sqlx::Row;

use super::batch::BatchName;
use super::connect::{Locator, Session};
use super::failure::Failure;
use super::moving::page;
use super::{rows, sql, usage};
use crate::model::{UsageDelta, UsageDeltas, VolumeRow, WarmPlace};
use crate::moving::{Entry, Table};

/// Rows of one query.
const PAGE: u32 = 2_000;

/// What was counted.
#[derive(Default)]
struct Counted {
    /// Bytes and items that live in each volume.
    volumes: BTreeMap<VolumeId, (u64, u64)>,
    /// What buckets hold.
    used: UsageDeltas,
}

/// Volumes with what was accounted and what was counted.
type Drifted = Vec<(VolumeId, u64, u64)>;

fn count(counted: &mut Counted, volume: VolumeId, length_bytes: u64) {
    let (bytes, items) = counted.volumes.entry(volume).or_default();
    *bytes = bytes.saturating_add(length_bytes);
    *items = items.saturating_add(1);
}

/// How often a count that was disturbed is begun anew.
const TRIES: u32 = 3;

/// Counts, and repairs what drifted.
pub(super) async fn run(locator: &Locator) -> Result<Drifted, Failure> {
    let mut tries = 1;
    loop {
        match attempt(locator).await {
            Err(failure) if failure.is_passing() && tries < TRIES => {
                tracing::warn!(?failure, "a recount was disturbed and is begun anew");
                tries = tries.saturating_add(1);
            }
            result => return result,
        }
    }
}

async fn attempt(locator: &Locator) -> Result<Drifted, Failure> {
    let mut session = locator.connect().await?;
    session.run(sql::BEGIN_SNAPSHOT).await?;
    let drifted = recount(&mut session).await?;
    match session.run(sql::COMMIT).await {
        // Nothing was repaired, so it does not matter what became of the transaction.
        Err(_) if drifted.is_empty() => Ok(drifted),
        Err(_) => Err(Failure::Unknown),
        Ok(()) => Ok(drifted),
    }
}

async fn recount(session: &mut Session) -> Result<Drifted, Failure> {
    let mut counted = Counted::default();
    for table in [Table::Objects, Table::Versions, Table::Parts, Table::Warmth] {
        count_table(session, table, &mut counted).await?;
    }
    count_blobs(session, &mut counted).await?;
    let name = WriteId::random()
        .map_err(|error| Failure::Refused(format!("no id for the repair could be drawn: {error}")))?;
    let mut drifted = Drifted::new();
    for (row, items) in all_volumes(session).await? {
        let id = row.volume.id;
        let (counted_bytes, counted_items) = counted.volumes.get(&id).copied().unwrap_or_default();
        if (row.live_bytes, items) == (counted_bytes, counted_items) {
            continue;
        }
        tracing::warn!(volume = %id, was = row.live_bytes, is = counted_bytes, "live bytes had drifted");
        drifted.push((id, row.live_bytes, counted_bytes));
        let (bytes, items) = (counted_bytes.wrapping_sub(row.live_bytes), counted_items.wrapping_sub(items));
        let query = sqlx::query(sql::volumes::INSERT_DELTAS)
            .bind(*name.as_bytes())
            .bind(0_i64)
            .bind(vec![*id.as_bytes()])
            .bind(vec![bytes.cast_signed()])
            .bind(vec![items.cast_signed()]);
        session.execute(query).await?;
    }
    for row in session.fetch(sqlx::query(sql::usage::READ_ALL)).await? {
        let stored = UsageDelta { bytes: row.try_get(1)?, objects: row.try_get(2)? };
        counted.used.differ(BucketId::from_bytes(rows::id(&row, 0)?), stored);
    }
    usage::insert_deltas(session, BatchName { writer: name, number: 0 }, &counted.used).await?;
    Ok(drifted)
}

async fn all_volumes(session: &mut Session) -> Result<Vec<(VolumeRow, u64)>, Failure> {
    let mut all: Vec<(VolumeRow, u64)> = Vec::new();
    loop {
        let after = all.last().map(|(row, _)| row.volume.id.as_bytes().to_vec()).unwrap_or_default();
        let found = session.fetch(sqlx::query(sql::volumes::LIST).bind(after).bind(i64::from(PAGE))).await?;
        for row in &found {
            all.push(rows::volume(row)?);
        }
        if found.is_empty() {
            return Ok(all);
        }
    }
}

/// Counts the rows of a table of versions, of parts, or of warm copies.
async fn count_table(session: &mut Session, table: Table, counted: &mut Counted) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = page(session, table, after.as_ref(), PAGE).await?;
        for entry in &page.entries {
            count_entry(entry, counted);
        }
        let Some(next) = page.next else { return Ok(()) };
        after = Some(next);
    }
}

fn count_entry(entry: &Entry, counted: &mut Counted) {
    counted.used.put_entry(entry);
    if let Entry::Warm(.., warm) = entry {
        for (volume, length_bytes) in warm.place.iter().flat_map(WarmPlace::live) {
            count(counted, volume, length_bytes);
        }
    }
    if let Entry::Object(version) | Entry::Version(version) = entry
        && let Some(location) = version.row.object.content.packed()
    {
        count(counted, location.volume, u64::from(location.length_bytes));
    }
}

/// Counts the blobs that something refers to.
async fn count_blobs(session: &mut Session, counted: &mut Counted) -> Result<(), Failure> {
    let mut after = Vec::new();
    loop {
        let found =
            session.fetch(sqlx::query(sql::blobs::WALK).bind(after.clone()).bind(i64::from(PAGE))).await?;
        if found.is_empty() {
            return Ok(());
        }
        for row in &found {
            let (id, extents) = rows::blob(row)?;
            after = id.as_bytes().to_vec();
            for extent in extents {
                count(counted, extent.volume, extent.length_bytes);
            }
        }
    }
}
