//! Storing what a batch changed, one statement for each kind of change.

use granary_types::{BlobId, UploadId};

use super::store_objects::Versions;
use super::{Batch, BatchName};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::{events, sql, usage};
use crate::sqlite::codec::{encode, row_hash};

fn raced(what: &str) -> Failure {
    Failure::Conflict(format!("another writer changed {what} meanwhile"))
}

impl Batch {
    /// Stores everything and marks the batch, inside the transaction that is open on `session`.
    pub(in crate::postgres) async fn store(
        &self,
        session: &mut Session,
        name: BatchName,
    ) -> Result<(), Failure> {
        self.store_current(session).await?;
        self.store_older(session).await?;
        self.store_uploads(session).await?;
        self.store_parts(session).await?;
        self.store_tags(session).await?;
        self.store_acls(session).await?;
        self.store_restores(session).await?;
        self.store_warmth(session).await?;
        self.store_blobs(session).await?;
        self.store_references(session).await?;
        events::store(session, &self.events.iter().collect::<Vec<_>>()).await?;
        self.finish(session, name).await
    }

    async fn store_current(&self, session: &mut Session) -> Result<(), Failure> {
        let (mut new, mut new_older) = (Versions::default(), Vec::new());
        let (mut changed, mut changed_older) = (Versions::default(), Vec::new());
        let (mut gone_buckets, mut gone_keys) = (Vec::new(), Vec::new());
        for ((bucket, key), state) in self.keys.iter().filter(|(_, state)| state.changed) {
            match (&state.current, state.found) {
                (Some(current), false) => {
                    new.push(*bucket, key, current)?;
                    new_older.push(state.older_count);
                }
                (Some(current), true) => {
                    changed.push(*bucket, key, current)?;
                    changed_older.push(state.older_count);
                }
                (None, true) => {
                    gone_buckets.push(*bucket.as_bytes());
                    gone_keys.push(key.as_bytes());
                }
                (None, false) => {}
            }
        }
        for (rows, older, statement) in
            [(new, new_older, sql::objects::INSERT), (changed, changed_older, sql::objects::UPDATE)]
        {
            let count = rows.len();
            if count > 0 && session.execute(rows.bind(statement).bind(older)).await? != count {
                return Err(raced("a key"));
            }
        }
        if !gone_keys.is_empty() {
            session.execute(sqlx::query(sql::objects::DELETE).bind(gone_buckets).bind(gone_keys)).await?;
        }
        Ok(())
    }

    async fn store_older(&self, session: &mut Session) -> Result<(), Failure> {
        let mut kept = Versions::default();
        let (mut buckets, mut keys, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for ((bucket, key), state) in &self.keys {
            for (order, older) in state.older.iter().filter(|(_, older)| older.changed) {
                if let Some(stored) = &older.row {
                    kept.push(*bucket, key, stored)?;
                } else if older.found {
                    buckets.push(*bucket.as_bytes());
                    keys.push(key.as_bytes());
                    orders.push(order.cast_signed());
                }
            }
        }
        // What is gone goes first: a version that is put again keeps its id and gets another order.
        if !orders.is_empty() {
            let query = sqlx::query(sql::objects::DELETE_OLDER).bind(buckets).bind(keys).bind(orders);
            session.execute(query).await?;
        }
        if !kept.is_empty() {
            session.execute(kept.bind(sql::objects::UPSERT_OLDER)).await?;
        }
        Ok(())
    }

    async fn store_uploads(&self, session: &mut Session) -> Result<(), Failure> {
        let (mut buckets, mut keys, mut started) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ids, mut hashes, mut records) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gone_buckets, mut gone) = (Vec::new(), Vec::new());
        for ((bucket, upload), state) in &self.uploads {
            match (&state.row, state.found) {
                (Some(row), false) => {
                    let record = encode(row)?;
                    buckets.push(*bucket.as_bytes());
                    keys.push(row.key.as_bytes());
                    started.push(row.initiated.0);
                    ids.push(*upload.as_bytes());
                    hashes.push(row_hash("uploads", &[upload.as_bytes()], &record));
                    records.push(record);
                }
                (None, true) => {
                    gone_buckets.push(*bucket.as_bytes());
                    gone.push(*upload.as_bytes());
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            for statement in [sql::uploads::DELETE_PARTS, sql::uploads::DELETE] {
                let query = sqlx::query(statement).bind(gone_buckets.clone()).bind(gone.clone());
                session.execute(query).await?;
            }
        }
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        if count > 0 {
            let query = sqlx::query(sql::uploads::INSERT)
                .bind(buckets)
                .bind(keys)
                .bind(started)
                .bind(ids)
                .bind(hashes)
                .bind(records);
            // What became of its parts since the upload was not there to be locked is not known.
            if session.execute(query).await? != count {
                return Err(raced("an upload"));
            }
        }
        Ok(())
    }

    async fn store_parts(&self, session: &mut Session) -> Result<(), Failure> {
        let (mut buckets, mut uploads, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut hashes, mut records) = (Vec::new(), Vec::new());
        for ((bucket, upload, number), state) in &self.parts {
            // Parts of an upload that ended went with it.
            if !state.changed || state.row.is_none() {
                continue;
            }
            buckets.push(*bucket.as_bytes());
            uploads.push(*upload.as_bytes());
            numbers.push(i32::from(*number));
            let key: [&[u8]; 2] = [UploadId::as_bytes(upload), &number.to_be_bytes()];
            hashes.push(row_hash("parts", &key, &state.record));
            records.push(state.record.as_slice());
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(sql::uploads::UPSERT_PARTS)
            .bind(buckets)
            .bind(uploads)
            .bind(numbers)
            .bind(hashes)
            .bind(records);
        session.execute(query).await.map(drop)
    }

    async fn store_blobs(&self, session: &mut Session) -> Result<(), Failure> {
        let (mut ids, mut hashes, mut records, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, state) in self.blobs.iter().filter(|(_, state)| state.changed) {
            if let Some(extents) = &state.extents {
                let record = encode(extents)?;
                ids.push(*id.as_bytes());
                hashes.push(row_hash("blobs", &[BlobId::as_bytes(id)], &record));
                records.push(record);
            } else if state.found {
                gone.push(*id.as_bytes());
            }
        }
        if !gone.is_empty() {
            session.execute(sqlx::query(sql::blobs::DELETE).bind(gone)).await?;
        }
        if !ids.is_empty() {
            let query = sqlx::query(sql::blobs::UPSERT).bind(ids).bind(hashes).bind(records);
            session.execute(query).await?;
        }
        Ok(())
    }

    async fn store_references(&self, session: &mut Session) -> Result<(), Failure> {
        let changed = |wanted: bool| {
            let places = self
                .references
                .iter()
                .filter(move |(_, presence)| presence.wanted == wanted && presence.found != wanted);
            places.map(|((blob, referrer), _)| (*blob.as_bytes(), *referrer)).unzip::<_, _, Vec<_>, Vec<_>>()
        };
        for (statement, (blobs, referrers)) in
            [(sql::blobs::DELETE_REFERENCES, changed(false)), (sql::blobs::INSERT_REFERENCES, changed(true))]
        {
            if !blobs.is_empty() {
                session.execute(sqlx::query(statement).bind(blobs).bind(referrers)).await?;
            }
        }
        Ok(())
    }

    /// Volumes, and the bytes and items that live in them from now on.
    pub(super) fn lived(&self) -> (Vec<[u8; 16]>, Vec<i64>, Vec<i64>) {
        let (mut lived, mut bytes, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for (id, delta) in self.deltas.iter().filter(|(_, delta)| **delta != (0, 0)) {
            lived.push(*id.as_bytes());
            bytes.push(delta.0);
            items.push(delta.1);
        }
        (lived, bytes, items)
    }

    /// How far volumes have come, what was added to them and to buckets, and the mark of the batch, in one statement.
    async fn finish(&self, session: &mut Session, name: BatchName) -> Result<(), Failure> {
        let (mut advanced, mut ends, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for (id, volume) in self.volumes.iter().filter(|(_, volume)| volume.changed) {
            advanced.push(*id.as_bytes());
            ends.push(volume.committed_end.cast_signed());
            stored.push(volume.stored_bytes.cast_signed());
        }
        let (lived, bytes, items) = self.lived();
        let (used, used_bytes, used_objects) = usage::columns(&self.used);
        let query = sqlx::query(sql::FINISH_BATCH)
            .bind(*name.writer.as_bytes())
            .bind(name.number.cast_signed())
            .bind(advanced)
            .bind(ends)
            .bind(stored)
            .bind(lived)
            .bind(bytes)
            .bind(items)
            .bind(used)
            .bind(used_bytes)
            .bind(used_objects);
        session.execute(query).await.map(drop)
    }
}
