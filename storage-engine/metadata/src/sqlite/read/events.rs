//! What buckets hold, and the queue of events.

use granary_types::BucketId;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::{BucketUsage, EventPlace, QueuedEvent};
use crate::sqlite::codec::{blob, event_place, read_event};
use crate::sqlite::failure::Failure;

pub(in crate::sqlite) fn bucket_usage(
    connection: &Connection,
    bucket: BucketId,
) -> Result<BucketUsage, Failure> {
    let found = connection
        .prepare_cached("SELECT bytes, objects FROM bucket_usage WHERE bucket_id = ?1")?
        .query_row([bucket.as_bytes()], |row| Ok(BucketUsage::of_sums(row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Decodes a row selected as `target, bucket_id, at_ms, id, row_hash, record`.
pub(in crate::sqlite) fn event(row: &Row<'_>) -> Result<QueuedEvent, Failure> {
    let place = event_place(blob(row, 0)?, blob(row, 1)?, row.get(2)?, blob(row, 3)?)?;
    read_event(place, blob(row, 4)?, blob(row, 5)?)
}

pub(in crate::sqlite) fn events(
    connection: &Connection,
    after: Option<&EventPlace>,
    limit: u32,
) -> Result<Vec<QueuedEvent>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT target, bucket_id, at_ms, id, row_hash, record FROM events \
         WHERE (target, bucket_id, at_ms, id) > (?1, ?2, ?3, ?4) \
         ORDER BY target, bucket_id, at_ms, id LIMIT ?5",
    )?;
    let start = (Vec::new(), Vec::new(), i64::MIN, Vec::new());
    let (target, bucket, at, id) = after.map_or(start, |place| {
        (
            place.target.as_bytes().to_vec(),
            place.bucket.as_bytes().to_vec(),
            place.at.0,
            place.id.as_bytes().to_vec(),
        )
    });
    let mut rows = statement.query((target, bucket, at, id, limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(event(row)?);
    }
    Ok(found)
}

pub(in crate::sqlite) fn count_events(
    connection: &Connection,
    target: &str,
    limit: u32,
) -> Result<u32, Failure> {
    let count = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM events WHERE target = ?1 LIMIT ?2)")?
        .query_row((target.as_bytes(), limit), |row| row.get(0))?;
    Ok(count)
}
