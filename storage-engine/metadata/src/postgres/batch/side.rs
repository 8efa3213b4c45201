//! Tags and access control lists of versions.

use granary_types::{BucketId, ObjectKey, WriteId};

use super::Batch;
use crate::model::{AclChange, Outcome, Tag, Tagging};
use crate::postgres::connect::{Session, Statement};
use crate::postgres::failure::Failure;
use crate::postgres::sql;
use crate::sqlite::apply::side::tag_count;
use crate::sqlite::codec::{RowHash, side_row};

impl Batch {
    pub(super) fn tag_object(&mut self, tagging: &Tagging) -> Outcome {
        let Tagging { bucket, key, version, write, tags } = tagging;
        let state = self.keys.entry((*bucket, key.clone())).or_default();
        let named = state.version_mut(*version);
        if named.is_none_or(|(stored, _)| stored.row.object.write != *write) {
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

    pub(super) fn change_acl(&mut self, change: &AclChange) -> Outcome {
        let AclChange { bucket, key, version, write, acl } = change;
        let state = self.keys.entry((*bucket, key.clone())).or_default();
        let named = state.version_mut(*version);
        if named.is_none_or(|(stored, _)| stored.row.object.write != *write) {
            return Outcome::NoSuchKey;
        }
        self.acls.insert((*bucket, key.clone(), *write), acl.clone());
        Outcome::Done { replaced: None, order: 0 }
    }

    /// The access control list of a version that is gone goes too, if there is one.
    pub(super) fn drop_acl(&mut self, bucket: BucketId, key: &ObjectKey, write: WriteId) {
        self.acls.insert((bucket, key.clone(), write), None);
    }

    pub(super) async fn store_acls(&self, session: &mut Session) -> Result<(), Failure> {
        let mut rows = AclRows::default();
        let mut gone = Places::default();
        for ((bucket, key, write), acl) in &self.acls {
            if let Some(acl) = acl {
                rows.push(*bucket, key, *write, acl)?;
            } else {
                gone.push((*bucket, key, *write));
            }
        }
        gone.delete(session, sql::side::DELETE_ACLS).await?;
        if rows.len() > 0 {
            session.execute(rows.bind()).await?;
        }
        Ok(())
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
struct Places<'t> {
    buckets: Vec<[u8; 16]>,
    keys: Vec<&'t [u8]>,
    writes: Vec<[u8; 16]>,
}

impl<'t> Places<'t> {
    fn push(&mut self, (bucket, key, write): (BucketId, &'t ObjectKey, WriteId)) {
        self.buckets.push(*bucket.as_bytes());
        self.keys.push(key.as_bytes());
        self.writes.push(*write.as_bytes());
    }

    /// Runs the statement that deletes the rows there, if there are any.
    async fn delete(self, session: &mut Session, sql: &'static str) -> Result<(), Failure> {
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

/// The columns of rows of access control lists, each a list of the same length.
#[derive(Default)]
pub(in crate::postgres) struct AclRows<'t> {
    places: Places<'t>,
    hashes: Vec<RowHash>,
    records: Vec<Vec<u8>>,
}

impl<'t> AclRows<'t> {
    pub(in crate::postgres) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::postgres) fn push(
        &mut self,
        bucket: BucketId,
        key: &'t ObjectKey,
        write: WriteId,
        acl: &[u8],
    ) -> Result<(), Failure> {
        let place = (bucket, key, write);
        let (hash, record) = side_row("object_acls", place, &acl)?;
        self.places.push(place);
        self.hashes.push(hash);
        self.records.push(record);
        Ok(())
    }

    /// The statement that stores them.
    pub(in crate::postgres) fn bind(self) -> Statement<'static> {
        sqlx::query(sql::side::UPSERT_ACLS)
            .bind(self.places.buckets)
            .bind(self.places.keys)
            .bind(self.places.writes)
            .bind(self.hashes)
            .bind(self.records)
    }
}
