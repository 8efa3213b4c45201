//! How warm versions are.

use std::collections::BTreeSet;

use granary_types::{BucketId, ObjectKey, WriteId};

use super::Batch;
use super::side::Places;
use crate::model::{Outcome, WarmChange, WarmRow, Warmed, warmed};
use crate::postgres::connect::{Session, Statement};
use crate::postgres::failure::Failure;
use crate::postgres::{read, sql};
use crate::sqlite::codec::{RowHash, side_row};

/// What a batch knows of how warm a version is.
#[derive(Default)]
pub(super) struct WarmState {
    found: bool,
    changed: bool,
    row: Option<WarmRow>,
}

impl Batch {
    /// Locks and loads the rows that are there. Where there is none, the lock of the version's key is what counts.
    pub(super) async fn load_warmth(
        &mut self,
        session: &mut Session,
        wanted: &BTreeSet<(BucketId, &ObjectKey, WriteId)>,
    ) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut places = Places::default();
        wanted.iter().for_each(|place| places.push(*place));
        let query = sqlx::query(sql::warm::LOCK).bind(places.buckets).bind(places.keys).bind(places.writes);
        for row in session.fetch(query).await? {
            let found = read::warm::version(&row, 0)?;
            let state = WarmState { found: true, changed: false, row: Some(found.row) };
            self.warmth.insert((found.bucket, found.key, found.write), state);
        }
        Ok(())
    }

    pub(super) fn warm_object(&mut self, change: &WarmChange) -> Outcome {
        if change.step.needs_version() {
            if !self.buckets.contains_key(&change.bucket) {
                return Outcome::NoSuchBucket;
            }
            if !self.is_made_by((change.bucket, &change.key), (change.version, change.write)) {
                return Outcome::NoSuchKey;
            }
        }
        let state = self.warmth.entry((change.bucket, change.key.clone(), change.write)).or_default();
        let Warmed { row, added, dropped } = match warmed(state.row.clone(), change) {
            Ok(warmed) => warmed,
            Err(outcome) => return outcome,
        };
        state.row = row;
        state.changed = true;
        for (volume, length_bytes) in added {
            self.add_live(volume, length_bytes);
        }
        for (volume, length_bytes) in dropped {
            self.drop_live(volume, length_bytes);
        }
        Outcome::Done { replaced: None, order: 0 }
    }

    /// Lets a restored copy expire whose restore has ended.
    pub(super) fn end_restored(&mut self, bucket: BucketId, key: &ObjectKey, write: WriteId) {
        let Some(state) = self.warmth.get_mut(&(bucket, key.clone(), write)) else { return };
        if let Some(row) = state.row.clone().and_then(WarmRow::ended) {
            state.row = Some(row);
            state.changed = true;
        }
    }

    pub(super) async fn store_warmth(&self, session: &mut Session) -> Result<(), Failure> {
        let mut kept = WarmRows::default();
        let mut gone = Places::default();
        for ((bucket, key, write), state) in self.warmth.iter().filter(|(_, state)| state.changed) {
            match &state.row {
                Some(row) => kept.push((*bucket, key, *write), row)?,
                None if state.found => gone.push((*bucket, key, *write)),
                None => {}
            }
        }
        gone.delete(session, sql::warm::DELETE).await?;
        if kept.len() > 0 {
            session.execute(kept.bind()).await?;
        }
        Ok(())
    }
}

/// The columns of rows, each a list of the same length.
#[derive(Default)]
pub(in crate::postgres) struct WarmRows<'t> {
    places: Places<'t>,
    kinds: Vec<i16>,
    times: Vec<i64>,
    lengths: Vec<i64>,
    hashes: Vec<RowHash>,
    records: Vec<Vec<u8>>,
}

impl<'t> WarmRows<'t> {
    pub(in crate::postgres) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::postgres) fn push(
        &mut self,
        place: (BucketId, &'t ObjectKey, WriteId),
        row: &WarmRow,
    ) -> Result<(), Failure> {
        let (hash, record) = side_row("object_warmth", place, row)?;
        self.places.push(place);
        self.kinds.push(row.kind.code());
        self.times.push(row.at.0);
        self.lengths.push(row.length_bytes().cast_signed());
        self.hashes.push(hash);
        self.records.push(record);
        Ok(())
    }

    /// The statement that stores them.
    pub(in crate::postgres) fn bind(self) -> Statement<'static> {
        sqlx::query(sql::warm::UPSERT)
            .bind(self.places.buckets)
            .bind(self.places.keys.into_iter().map(<[u8]>::to_vec).collect::<Vec<Vec<u8>>>())
            .bind(self.places.writes)
            .bind(self.kinds)
            .bind(self.times)
            .bind(self.lengths)
            .bind(self.hashes)
            .bind(self.records)
    }
}
