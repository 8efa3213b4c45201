//! What is beside versions: tags, access control lists, that they were restored.

use std::collections::BTreeMap;

use granary_types::{BucketId, ObjectKey, VersionId, WriteId};
use serde::Serialize;

use super::Batch;
use crate::model::{AclChange, Outcome, RestoreChange, Tag, Tagging};
use crate::postgres::connect::{Session, Statement};
use crate::postgres::failure::Failure;
use crate::postgres::sql;
use crate::sqlite::apply::side::tag_count;
use crate::sqlite::codec::{RowHash, side_row};

impl Batch {
    pub(super) fn tag_object(&mut self, tagging: &Tagging) -> Outcome {
        let Tagging { bucket, key, version, write, tags } = tagging;
        if !self.is_made_by((*bucket, key), (*version, *write)) {
            return Outcome::NoSuchKey;
        }
        self.tags.insert((*bucket, key.clone(), *write), tags.clone());
        Outcome::Done { replaced: None, order: 0 }
    }

    /// The tags of a version that is gone go too. Whether it has any is not known here: the statement that removes
    /// them sees what was committed before the version's key was locked.
    pub(super) fn drop_tags(&mut self, bucket: BucketId, key: &ObjectKey, write: WriteId) {
        self.tags.insert((bucket, key.clone(), write), Vec::new());
    }

    /// Whether the version is there and `write` made it.
    pub(super) fn is_made_by(
        &mut self,
        (bucket, key): (BucketId, &ObjectKey),
        (version, write): (VersionId, WriteId),
    ) -> bool {
        let named = self.key(bucket, key).version_mut(version);
        named.is_some_and(|(stored, _)| stored.row.object.write == write)
    }

    pub(super) fn change_acl(&mut self, change: &AclChange) -> Outcome {
        let AclChange { bucket, key, version, write, acl } = change;
        if !self.is_made_by((*bucket, key), (*version, *write)) {
            return Outcome::NoSuchKey;
        }
        self.acls.insert((*bucket, key.clone(), *write), acl.clone());
        Outcome::Done { replaced: None, order: 0 }
    }

    pub(super) fn restore_object(&mut self, change: &RestoreChange) -> Outcome {
        let RestoreChange { bucket, key, version, write, restored } = change;
        if !self.is_made_by((*bucket, key), (*version, *write)) {
            return Outcome::NoSuchKey;
        }
        self.restores.insert((*bucket, key.clone(), *write), *restored);
        Outcome::Done { replaced: None, order: 0 }
    }

    /// The access control list of a version that is gone goes too, if there is one.
    pub(super) fn drop_acl(&mut self, bucket: BucketId, key: &ObjectKey, write: WriteId) {
        self.acls.insert((bucket, key.clone(), write), None);
    }

    /// That a version was restored goes with it, or with its class.
    pub(super) fn drop_restore(&mut self, bucket: BucketId, key: &ObjectKey, write: WriteId) {
        self.restores.insert((bucket, key.clone(), write), None);
    }

    pub(super) async fn store_acls(&self, session: &mut Session) -> Result<(), Failure> {
        store_beside(session, Beside::Acl, &self.acls).await
    }

    pub(super) async fn store_restores(&self, session: &mut Session) -> Result<(), Failure> {
        store_beside(session, Beside::Restore, &self.restores).await
    }

    pub(super) async fn store_tags(&self, session: &mut Session) -> Result<(), Failure> {
        let mut rows = TagRows::default();
        let mut gone = Places::default();
        for ((bucket, key, write), tags) in &self.tags {
            if tags.is_empty() {
                gone.push((*bucket, key, *write));
            } else {
                rows.push(*bucket, key, *write, tags)?;
            }
        }
        gone.delete(session, sql::side::DELETE_TAGS).await?;
        if rows.len() > 0 {
            session.execute(rows.bind()).await?;
        }
        Ok(())
    }
}

/// The places of rows of side tables, each column a list of the same length.
#[derive(Default)]
pub(super) struct Places<'t> {
    pub(super) buckets: Vec<[u8; 16]>,
    pub(super) keys: Vec<&'t [u8]>,
    pub(super) writes: Vec<[u8; 16]>,
}

impl<'t> Places<'t> {
    pub(super) fn push(&mut self, (bucket, key, write): (BucketId, &'t ObjectKey, WriteId)) {
        self.buckets.push(*bucket.as_bytes());
        self.keys.push(key.as_bytes());
        self.writes.push(*write.as_bytes());
    }

    /// Runs the statement that deletes the rows there, if there are any.
    pub(super) async fn delete(self, session: &mut Session, sql: &'static str) -> Result<(), Failure> {
        if !self.keys.is_empty() {
            session.execute(sqlx::query(sql).bind(self.buckets).bind(self.keys).bind(self.writes)).await?;
        }
        Ok(())
    }
}

/// The columns of rows of tags, each a list of the same length.
#[derive(Default)]
pub(in crate::postgres) struct TagRows<'t> {
    places: Places<'t>,
    counts: Vec<i16>,
    hashes: Vec<RowHash>,
    records: Vec<Vec<u8>>,
}

impl<'t> TagRows<'t> {
    pub(in crate::postgres) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::postgres) fn push(
        &mut self,
        bucket: BucketId,
        key: &'t ObjectKey,
        write: WriteId,
        tags: &[Tag],
    ) -> Result<(), Failure> {
        let place = (bucket, key, write);
        let (hash, record) = side_row("object_tags", place, &tags)?;
        self.places.push(place);
        self.counts.push(i16::try_from(tag_count(tags)).unwrap_or(i16::MAX));
        self.hashes.push(hash);
        self.records.push(record);
        Ok(())
    }

    /// The statement that stores them.
    pub(in crate::postgres) fn bind(self) -> Statement<'static> {
        sqlx::query(sql::side::UPSERT_TAGS)
            .bind(self.places.buckets)
            .bind(self.places.keys)
            .bind(self.places.writes)
            .bind(self.counts)
            .bind(self.hashes)
            .bind(self.records)
    }
}

/// What there may be one of beside a version, all of one form.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) enum Beside {
    /// An access control list of its own.
    Acl,
    /// That it was restored.
    Restore,
}

impl Beside {
    pub(in crate::postgres) fn table(self) -> &'static str {
        match self {
            Self::Acl => "object_acls",
            Self::Restore => "object_restores",
        }
    }

    fn upsert(self) -> &'static str {
        match self {
            Self::Acl => sql::side::UPSERT_ACLS,
            Self::Restore => sql::side::UPSERT_RESTORES,
        }
    }

    fn delete(self) -> &'static str {
        match self {
            Self::Acl => sql::side::DELETE_ACLS,
            Self::Restore => sql::side::DELETE_RESTORES,
        }
    }
}

type BesidePlace = (BucketId, ObjectKey, WriteId);

/// Stores what versions have beside them now, and removes what they have not any more.
async fn store_beside<T: Serialize>(
    session: &mut Session,
    kind: Beside,
    changed: &BTreeMap<BesidePlace, Option<T>>,
) -> Result<(), Failure> {
    let mut rows = BesideRows::new(kind);
    let mut gone = Places::default();
    for ((bucket, key, write), value) in changed {
        let place = (*bucket, key, *write);
        match value {
            Some(value) => rows.push(place, value)?,
            None => gone.push(place),
        }
    }
    gone.delete(session, kind.delete()).await?;
    if rows.len() > 0 {
        session.execute(rows.bind()).await?;
    }
    Ok(())
}

/// The columns of rows beside versions, each a list of the same length.
pub(in crate::postgres) struct BesideRows<'t> {
    kind: Beside,
    places: Places<'t>,
    hashes: Vec<RowHash>,
    records: Vec<Vec<u8>>,
}

impl<'t> BesideRows<'t> {
    pub(in crate::postgres) fn new(kind: Beside) -> Self {
        Self { kind, places: Places::default(), hashes: Vec::new(), records: Vec::new() }
    }

    pub(in crate::postgres) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::postgres) fn push<T: Serialize>(
        &mut self,
        place: (BucketId, &'t ObjectKey, WriteId),
        value: &T,
    ) -> Result<(), Failure> {
        let (hash, record) = side_row(self.kind.table(), place, value)?;
        self.places.push(place);
        self.hashes.push(hash);
        self.records.push(record);
        Ok(())
    }

    /// The statement that stores them.
    pub(in crate::postgres) fn bind(self) -> Statement<'static> {
        sqlx::query(self.kind.upsert())
            .bind(self.places.buckets)
            .bind(self.places.keys)
            .bind(self.places.writes)
            .bind(self.hashes)
            .bind(self.records)
    }
}
