//! The queue of events.

use rusqlite::Connection;

use super::Batch;
use crate::model::{EventPlace, QueuedEvent};
use crate::sqlite::codec::event_row;
use crate::sqlite::failure::Failure;

/// Queues an event.
pub(super) fn store_event(connection: &Connection, event: &QueuedEvent) -> Result<(), Failure> {
    let (hash, record) = event_row(event)?;
    let place = &event.place;
    connection
        .prepare_cached(
            "REPLACE INTO events (target, bucket_id, at_ms, id, row_hash, record) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            place.target.as_bytes(),
            place.bucket.as_bytes(),
            place.at.0,
            place.id.as_bytes(),
            hash,
            record,
        ))?;
    Ok(())
}

impl Batch<'_> {
    pub(super) fn finish_events(&self, places: &[EventPlace]) -> Result<(), Failure> {
        for place in places {
            self.connection
                .prepare_cached(
                    "DELETE FROM events WHERE target = ?1 AND bucket_id = ?2 AND at_ms = ?3 AND id = ?4",
                )?
                .execute((
                    place.target.as_bytes(),
                    place.bucket.as_bytes(),
                    place.at.0,
                    place.id.as_bytes(),
                ))?;
        }
        Ok(())
    }
}
