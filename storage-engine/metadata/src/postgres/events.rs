//! The queue of events in Postgres.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::connect::Session;
use super::failure::Failure;
use super::{rows, sql};
use crate::model::{EventPlace, QueuedEvent};
use crate::sqlite::codec::{event_place, event_row, read_event};

/// Queues events.
pub(super) async fn store(session: &mut Session, events: &[&QueuedEvent]) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let (mut hashes, mut records) = (Vec::new(), Vec::new());
    for event in events {
        let (hash, record) = event_row(event)?;
        hashes.push(hash);
        records.push(record);
    }
    let places = Places::of(events.iter().map(|event| &event.place));
    let query = sqlx::query(sql::events::INSERT)
        .bind(places.targets)
        .bind(places.buckets)
        .bind(places.at)
        .bind(places.ids)
        .bind(hashes)
        .bind(records);
    session.execute(query).await.map(drop)
}

/// The columns of places, each a list of the same length.
#[derive(Default)]
struct Places {
    targets: Vec<Vec<u8>>,
    buckets: Vec<[u8; 16]>,
    at: Vec<i64>,
    ids: Vec<[u8; 16]>,
}

impl Places {
    fn of<'p>(places: impl Iterator<Item = &'p EventPlace>) -> Self {
        let mut columns = Self::default();
        for place in places {
            columns.targets.push(place.target.as_bytes().to_vec());
            columns.buckets.push(*place.bucket.as_bytes());
            columns.at.push(place.at.0);
            columns.ids.push(*place.id.as_bytes());
        }
        columns
    }
}

/// The event of a row selected as `target, bucket_id, at_ms, id, row_hash, record`.
pub(super) fn event(row: &PgRow) -> Result<QueuedEvent, Failure> {
    let place =
        event_place(rows::bytes(row, 0)?, rows::bytes(row, 1)?, row.try_get(2)?, rows::bytes(row, 3)?)?;
    Ok(read_event(place, rows::bytes(row, 4)?, rows::bytes(row, 5)?)?)
}

/// Events behind a place.
pub(super) async fn list(
    session: &mut Session,
    (after, limit): &(Option<EventPlace>, u32),
) -> Result<Vec<QueuedEvent>, Failure> {
    let start = (Vec::new(), Vec::new(), i64::MIN, Vec::new());
    let (target, bucket, at, id) = after.as_ref().map_or(start, |place| {
        let (bucket, id) = (place.bucket.as_bytes().to_vec(), place.id.as_bytes().to_vec());
        (place.target.as_bytes().to_vec(), bucket, place.at.0, id)
    });
    let query =
        sqlx::query(sql::events::LIST).bind(target).bind(bucket).bind(at).bind(id).bind(i64::from(*limit));
    session.fetch(query).await?.iter().map(event).collect()
}

/// How many events are queued for a target, up to a limit.
pub(super) async fn count(session: &mut Session, (target, limit): &(String, u32)) -> Result<u32, Failure> {
    let query = sqlx::query(sql::events::COUNT_FOR).bind(target.as_bytes()).bind(i64::from(*limit));
    let found = session.fetch(query).await?;
    let count = found.first().map_or(Ok(0), |row| rows::unsigned(row, 0))?;
    Ok(u32::try_from(count).unwrap_or(*limit))
}

/// Takes events out of the queue.
pub(super) async fn finish(session: &mut Session, places: &[EventPlace]) -> Result<(), Failure> {
    let places = Places::of(places.iter());
    let query = sqlx::query(sql::events::DELETE)
        .bind(places.targets)
        .bind(places.buckets)
        .bind(places.at)
        .bind(places.ids);
    session.execute(query).await.map(drop)
}
