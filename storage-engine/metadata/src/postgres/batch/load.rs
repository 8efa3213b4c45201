//! Locking and loading what the writes of a batch may touch.

use std::collections::{BTreeMap, BTreeSet};

use granary_types::{BlobId, BucketId, Epoch, ObjectKey, UploadId, VersionId, VolumeId, WriteId};
use sqlx::Row;

use super::blobs::countable;
use super::{
    Batch, BlobState, Key, KeyState, KnownBucket, OlderState, PartState, Presence, UploadState, Volume,
    touched,
};
use crate::model::{Bucket, Commit, DeleteObject, PartRow, PutObject, RemoveObject, Transition, Write};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::rows;
use crate::postgres::sql;
use crate::sqlite::apply::blobs::{Referrer, object_referrer, part_referrer};
use crate::sqlite::apply::commit::new_places;
use crate::sqlite::apply::objects::parts_of;
use crate::sqlite::apply::transition::ends_restore;

/// What the writes name.
#[derive(Default)]
pub(super) struct Wanted<'c> {
    pub(super) buckets: BTreeSet<BucketId>,
    pub(super) volumes: BTreeSet<VolumeId>,
    keys: BTreeMap<(BucketId, &'c ObjectKey), KeyWanted>,
    uploads: BTreeSet<(BucketId, UploadId)>,
    /// Uploads that may end, so that all their parts matter.
    ending: BTreeSet<(BucketId, UploadId)>,
    parts: BTreeSet<(BucketId, UploadId, u16)>,
    blobs: BTreeSet<BlobId>,
    warmth: BTreeSet<(BucketId, &'c ObjectKey, WriteId)>,
}

/// What a batch does to one key.
#[derive(Default)]
struct KeyWanted {
    versions: BTreeSet<VersionId>,
    /// Each of so many writes may use up one older version.
    changes: i64,
    deletes: bool,
}

impl<'c> Wanted<'c> {
    pub(super) fn of(commits: &[&'c Commit]) -> Self {
        let mut wanted = Self::default();
        for commit in commits {
            wanted.volumes.extend(commit.advances.iter().map(|advance| advance.volume));
            for write in &commit.writes {
                let never: Result<(), std::convert::Infallible> = new_places(write, &mut |place| {
                    wanted.volumes.insert(place.volume());
                    Ok(())
                });
                match never {
                    Ok(()) => wanted.add(write),
                }
            }
        }
        wanted
    }

    fn add(&mut self, write: &'c Write) {
        self.buckets.extend(touched(write).map(|(bucket, _)| bucket));
        match write {
            Write::Put(put) => self.add_put(put),
            Write::Rename(rename) => {
                self.add_put(&rename.put);
                self.add_remove(&rename.source.remove);
            }
            Write::Delete(delete) => self.add_delete(delete),
            Write::Erase(erase) => self.add_delete(&erase.delete),
            Write::Remove(remove) => self.add_remove(remove),
            Write::Expire(expire) => self.add_remove(&expire.remove),
            Write::CreateUpload(upload) => {
                self.uploads.insert((upload.bucket, upload.upload));
            }
            Write::PutPart(part) => {
                self.uploads.insert((part.bucket, part.upload));
                self.parts.insert((part.bucket, part.upload, part.number.get()));
                self.blobs.insert(part.blob.id);
            }
            Write::CompleteUpload(complete) => {
                self.uploads.insert((complete.bucket, complete.upload));
                self.ending.insert((complete.bucket, complete.upload));
                let key = self.key(complete.bucket, &complete.key);
                key.versions.insert(complete.object.version);
            }
            Write::AbortUpload { bucket, upload, .. } => {
                self.uploads.insert((*bucket, *upload));
                self.ending.insert((*bucket, *upload));
            }
            Write::MoveObject(moved) => {
                self.key(moved.bucket, &moved.key).versions.insert(moved.version);
            }
            Write::Tag(tagging) => {
                self.key(tagging.bucket, &tagging.key).versions.insert(tagging.version);
            }
            Write::Acl(change) => {
                self.key(change.bucket, &change.key).versions.insert(change.version);
            }
            Write::Lock(locking) => {
                self.key(locking.bucket, &locking.key).versions.insert(locking.version);
            }
            Write::MoveBlob(moved) => {
                self.blobs.insert(moved.blob);
            }
            Write::Event(_) => {}
            Write::Transition(transition) => self.add_transition(transition),
            // The blobs that are left are loaded with the version, which refers to them.
            Write::TransitionApart(apart) => {
                self.add_transition(&apart.transition);
                self.blobs.extend(apart.apart.iter().map(|apart| apart.to.id));
            }
            Write::Restore(change) => {
                self.key(change.bucket, &change.key).versions.insert(change.version);
            }
            Write::Warm(change) => {
                self.key(change.bucket, &change.key).versions.insert(change.version);
                self.warmth.insert((change.bucket, &change.key, change.write));
            }
            Write::ReferPart(refer) => {
                self.uploads.insert((refer.bucket, refer.upload));
                self.parts.insert((refer.bucket, refer.upload, refer.part.number.get()));
                self.blobs.insert(refer.part.blob);
            }
        }
    }

    fn add_put(&mut self, put: &'c PutObject) {
        let key = self.key(put.bucket, &put.key);
        key.versions.insert(put.object.version);
        self.blobs.extend(parts_of(&put.object).iter().map(|part| part.blob));
    }

    fn add_transition(&mut self, transition: &'c Transition) {
        self.key(transition.bucket, &transition.key).versions.insert(transition.version);
        self.blobs.extend(transition.moves.iter().map(|moved| moved.blob));
        if ends_restore(transition) {
            self.warmth.insert((transition.bucket, &transition.key, transition.write));
        }
    }

    fn add_delete(&mut self, delete: &'c DeleteObject) {
        let key = self.key(delete.bucket, &delete.key);
        key.versions.insert(delete.version);
        key.deletes = true;
    }

    fn add_remove(&mut self, remove: &'c RemoveObject) {
        let key = self.key(remove.bucket, &remove.key);
        key.versions.extend([remove.version, VersionId::NULL]);
        key.deletes = true;
    }

    fn key(&mut self, bucket: BucketId, key: &'c ObjectKey) -> &mut KeyWanted {
        let wanted = self.keys.entry((bucket, key)).or_default();
        wanted.changes = wanted.changes.saturating_add(1);
        wanted
    }
}

fn ids<'i>(ids: impl IntoIterator<Item = &'i [u8; 16]>) -> Vec<[u8; 16]> {
    ids.into_iter().copied().collect()
}

fn pairs(places: &BTreeSet<(BucketId, UploadId)>) -> (Vec<[u8; 16]>, Vec<[u8; 16]>) {
    places.iter().map(|(bucket, upload)| (*bucket.as_bytes(), *upload.as_bytes())).unzip()
}

impl Batch {
    /// Locks and loads, inside the transaction that is open on `session`.
    pub(in crate::postgres) async fn load(
        session: &mut Session,
        commits: &[&Commit],
    ) -> Result<Self, Failure> {
        let wanted = Wanted::of(commits);
        let mut batch = Self::default();
        batch.load_buckets(session, &wanted).await?;
        batch.load_volumes(session, &wanted).await?;
        batch.load_keys(session, &wanted).await?;
        batch.load_older(session, &wanted).await?;
        batch.load_uploads(session, &wanted).await?;
        batch.load_parts(session, &wanted).await?;
        batch.load_warmth(session, &wanted.warmth).await?;
        batch.load_blobs(session, wanted.blobs).await?;
        Ok(batch)
    }

    async fn load_buckets(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        if wanted.buckets.is_empty() {
            return Ok(());
        }
        let named = ids(wanted.buckets.iter().map(BucketId::as_bytes));
        for row in session.fetch(sqlx::query(sql::buckets::LOCK).bind(named)).await? {
            let bucket: Bucket = rows::record("buckets", &row, 1)?;
            let known = KnownBucket { row_hash: rows::id(&row, 2)?, settings: bucket.settings };
            self.buckets.insert(bucket.id, known);
        }
        Ok(())
    }

    async fn load_volumes(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        if wanted.volumes.is_empty() {
            return Ok(());
        }
        let named = ids(wanted.volumes.iter().map(VolumeId::as_bytes));
        for row in session.fetch(sqlx::query(sql::volumes::LOCK).bind(named)).await? {
            let volume = Volume {
                state: rows::volume_state(row.try_get(1)?)?,
                epoch: Epoch(rows::unsigned(&row, 2)?),
                committed_end: rows::unsigned(&row, 3)?,
                stored_bytes: rows::unsigned(&row, 4)?,
                data_columns: rows::columns(&row, 5)?,
                changed: false,
            };
            self.volumes.insert(VolumeId::from_bytes(rows::id(&row, 0)?), volume);
        }
        Ok(())
    }

    async fn load_keys(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        if wanted.keys.is_empty() {
            return Ok(());
        }
        let (buckets, keys): (Vec<_>, Vec<_>) =
            wanted.keys.keys().map(|(bucket, key)| (*bucket.as_bytes(), key.as_bytes())).unzip();
        let lock = sqlx::query(sql::objects::LOCK).bind(buckets).bind(keys);
        for row in session.fetch(lock).await? {
            let (bucket, key) = rows::place(&row, rows::OBJECT_COLUMNS.saturating_add(1))?;
            let current = rows::object(&row, bucket, key.as_bytes())?;
            let older_count = row.try_get(rows::OBJECT_COLUMNS)?;
            let state = KeyState { found: true, current: Some(current), older_count, ..KeyState::default() };
            self.keys.insert((bucket, key), state);
        }
        Ok(())
    }

    /// Loads the older versions that are named, and for each delete one more that it may uncover.
    async fn load_older(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let (mut buckets, mut keys, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        let mut uncovered = Vec::new();
        for ((bucket, key), named) in &wanted.keys {
            let place: Key = (*bucket, (*key).clone());
            let Some(state) = self.keys.get(&place).filter(|state| state.older_count > 0) else { continue };
            let current = state.current_row().map(|row| row.object.version);
            for version in named.versions.iter().filter(|version| Some(**version) != current) {
                buckets.push(*bucket.as_bytes());
                keys.push(key.as_bytes());
                versions.push(*version.as_bytes());
            }
            if named.deletes {
                uncovered.push((place, named.changes.saturating_add(1)));
            }
        }
        let mut found = Vec::new();
        if !versions.is_empty() {
            let query = sqlx::query(sql::objects::OLDER_BY_ID).bind(buckets).bind(keys).bind(versions);
            found.extend(session.fetch(query).await?);
        }
        for ((bucket, key), count) in uncovered {
            let query = sqlx::query(sql::objects::NEWEST_OLDER)
                .bind(*bucket.as_bytes())
                .bind(key.as_bytes())
                .bind(count);
            found.extend(session.fetch(query).await?);
        }
        for row in found {
            let (bucket, key) = rows::place(&row, rows::OBJECT_COLUMNS)?;
            let stored = rows::object(&row, bucket, key.as_bytes())?;
            if let Some(state) = self.keys.get_mut(&(bucket, key)) {
                let order = stored.row.order;
                state.older.insert(order, OlderState { found: true, changed: false, row: Some(stored) });
            }
        }
        Ok(())
    }

    async fn load_uploads(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        if wanted.uploads.is_empty() {
            return Ok(());
        }
        let (buckets, uploads) = pairs(&wanted.uploads);
        for row in session.fetch(sqlx::query(sql::uploads::LOCK).bind(buckets).bind(uploads)).await? {
            let upload = rows::upload(&row, 1)?;
            let place = (upload.bucket, upload.upload);
            self.uploads.insert(place, UploadState { found: true, row: Some(upload) });
        }
        Ok(())
    }

    /// Loads parts of uploads that are locked. Those of others are about to go: their upload ended, and who makes it anew has none.
    async fn load_parts(&mut self, session: &mut Session, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let ending: BTreeSet<_> =
            wanted.ending.iter().filter(|place| self.uploads.contains_key(place)).copied().collect();
        if !ending.is_empty() {
            let (buckets, uploads) = pairs(&ending);
            let all = sqlx::query(sql::uploads::ALL_PARTS).bind(buckets).bind(uploads);
            self.keep_parts(&session.fetch(all).await?)?;
        }
        let (mut buckets, mut uploads, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let named = |(bucket, upload, _): &&(BucketId, UploadId, u16)| {
            self.uploads.contains_key(&(*bucket, *upload)) && !wanted.ending.contains(&(*bucket, *upload))
        };
        for (bucket, upload, number) in wanted.parts.iter().filter(named) {
            buckets.push(*bucket.as_bytes());
            uploads.push(*upload.as_bytes());
            numbers.push(i32::from(*number));
        }
        if !numbers.is_empty() {
            let query = sqlx::query(sql::uploads::PARTS_BY_NUMBER).bind(buckets).bind(uploads).bind(numbers);
            self.keep_parts(&session.fetch(query).await?)?;
        }
        Ok(())
    }

    fn keep_parts(&mut self, found: &[sqlx::postgres::PgRow]) -> Result<(), Failure> {
        for row in found {
            let (bucket, upload, part) = rows::part(row)?;
            let state = PartState { changed: false, record: Vec::new(), row: Some(part.clone()) };
            self.parts.insert((bucket, upload, part.number.get()), state);
        }
        Ok(())
    }

    /// The references that loaded versions and parts hold: they may be dropped or handed over.
    fn held_references(&self) -> Vec<(BlobId, Referrer)> {
        let mut held = Vec::new();
        for ((bucket, key), state) in &self.keys {
            let older = state.older.values().filter_map(|older| older.row.as_ref());
            for stored in state.current.iter().chain(older) {
                for (index, part) in (0_u32..).zip(parts_of(&stored.row.object)) {
                    held.push((part.blob, object_referrer(*bucket, key, stored.row.order, index)));
                }
            }
        }
        let parts =
            self.parts.iter().filter_map(|((_, upload, _), state)| Some((upload, state.row.as_ref()?)));
        held.extend(
            parts.map(|(upload, part): (_, &PartRow)| (part.blob, part_referrer(*upload, part.number))),
        );
        held
    }

    async fn load_blobs(
        &mut self,
        session: &mut Session,
        mut named: BTreeSet<BlobId>,
    ) -> Result<(), Failure> {
        let held = self.held_references();
        named.extend(held.iter().map(|(blob, _)| *blob));
        if named.is_empty() {
            return Ok(());
        }
        let named = ids(named.iter().map(BlobId::as_bytes));
        let most = countable(&held);
        let (mut found, mut limits) = (Vec::new(), Vec::new());
        for row in session.fetch(sqlx::query(sql::blobs::LOCK).bind(named)).await? {
            let (id, extents) = rows::blob(&row)?;
            found.push(*id.as_bytes());
            limits.push(most.get(&id).copied().unwrap_or(1));
            let state = BlobState { found: true, extents: Some(extents), ..BlobState::default() };
            self.blobs.insert(id, state);
        }
        if found.is_empty() {
            return Ok(());
        }
        let count = sqlx::query(sql::blobs::COUNT_REFERENCES).bind(found).bind(limits);
        for row in session.fetch(count).await? {
            if let Some(state) = self.blobs.get_mut(&BlobId::from_bytes(rows::id(&row, 0)?)) {
                state.references = row.try_get(1)?;
            }
        }
        let (blobs, referrers): (Vec<_>, Vec<_>) =
            held.iter().map(|(blob, referrer)| (*blob.as_bytes(), *referrer)).unzip();
        let query = sqlx::query(sql::blobs::FIND_REFERENCES).bind(blobs).bind(referrers);
        for row in session.fetch(query).await? {
            let referrer = rows::bytes(&row, 1)?
                .try_into()
                .map_err(|_| Failure::Corrupt("a referrer is not 20 bytes long".to_owned()))?;
            let place = (BlobId::from_bytes(rows::id(&row, 0)?), referrer);
            self.references.insert(place, Presence { found: true, wanted: true });
        }
        Ok(())
    }
}
