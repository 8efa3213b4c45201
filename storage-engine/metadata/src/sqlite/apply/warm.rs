//! How warm versions are.

use granary_types::{BucketId, ObjectKey, WriteId};
use rusqlite::{Connection, OptionalExtension};

use super::Batch;
use crate::model::{Outcome, WarmChange, WarmRow, Warmed, warmed};
use crate::sqlite::codec::{blob, decode_checked, side_row};
use crate::sqlite::failure::Failure;

type Place<'k> = (BucketId, &'k ObjectKey, WriteId);

/// How warm a version is, if anything is known of that.
pub(in crate::sqlite) fn load_warmth(
    connection: &Connection,
    (bucket, key, write): Place<'_>,
) -> Result<Option<WarmRow>, Failure> {
    let place: [&[u8]; 3] = [bucket.as_bytes(), key.as_bytes(), write.as_bytes()];
    connection
        .prepare_cached(
            "SELECT row_hash, record FROM object_warmth WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3",
        )?
        .query_row((bucket.as_bytes(), key.as_bytes(), write.as_bytes()), |row| {
            Ok(blob(row, 0).and_then(|hash| decode_checked("object_warmth", &place, hash, blob(row, 1)?)))
        })
        .optional()?
        .transpose()
}

impl Batch<'_> {
    pub(super) fn warm_object(&mut self, change: &WarmChange) -> Result<Outcome, Failure> {
        let place = (change.bucket, &change.key, change.write);
        if change.step.needs_version()
            && let Some(refused) =
                self.refuse_side(change.bucket, &change.key, (change.version, change.write))?
        {
            return Ok(refused);
        }
        let before = load_warmth(self.connection, place)?;
        let Warmed { row, added, dropped } = match warmed(before, change) {
            Ok(warmed) => warmed,
            Err(outcome) => return Ok(outcome),
        };
        match &row {
            Some(row) => self.store_warmth(place, row)?,
            None => self.drop_warmth(place)?,
        }
        added.into_iter().try_for_each(|(volume, bytes)| self.add_live(volume, bytes))?;
        dropped.into_iter().try_for_each(|(volume, bytes)| self.drop_live(volume, bytes))?;
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    /// Lets a restored copy expire whose restore has ended.
    pub(super) fn end_restored(&self, place: Place<'_>) -> Result<(), Failure> {
        let ended = load_warmth(self.connection, place)?.and_then(WarmRow::ended);
        ended.map_or(Ok(()), |row| self.store_warmth(place, &row))
    }

    pub(super) fn store_warmth(&self, (bucket, key, write): Place<'_>, row: &WarmRow) -> Result<(), Failure> {
        let (hash, record) = side_row("object_warmth", (bucket, key, write), row)?;
        self.connection
            .prepare_cached(
                "REPLACE INTO object_warmth (bucket_id, key, write_id, kind, at_ms, length_bytes, row_hash, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                bucket.as_bytes(),
                key.as_bytes(),
                write.as_bytes(),
                row.kind.code(),
                row.at.0,
                row.length_bytes().cast_signed(),
                hash,
                record,
            ))?;
        Ok(())
    }

    fn drop_warmth(&self, (bucket, key, write): Place<'_>) -> Result<(), Failure> {
        self.connection
            .prepare_cached("DELETE FROM object_warmth WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3")?
            .execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes()))?;
        Ok(())
    }
}
