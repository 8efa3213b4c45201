//! Object lock: what it withholds, and how it is changed.

use granary_types::{BucketId, ObjectKey};

use super::Batch;
use super::objects::{REPLACE_CURRENT, REPLACE_VERSION, load_current, load_newest_older, load_older, store};
use crate::model::{Bypass, EraseTerms, ExpireObject, Locking, NewObject, Outcome, Standing};
use crate::sqlite::codec::{ObjectColumns, StoredObject};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    /// Whether `object` would replace a version that is locked.
    pub(super) fn replaces_locked(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        current: Option<&StoredObject>,
        object: &NewObject,
    ) -> Result<bool, Failure> {
        // A bucket keeps its object lock for life, and only then its versions have any.
        if self.bucket_settings(bucket)?.is_none_or(|settings| settings.lock.is_none()) {
            return Ok(false);
        }
        let lock = match current {
            None => None,
            Some(current) if current.row.object.version == object.version => Some(current.row.lock),
            Some(_) => load_older(self.connection, bucket, key, object.version)?.map(|older| older.row.lock),
        };
        Ok(lock.is_some_and(|lock| lock.holds(object.modified, Bypass::Nothing)))
    }

    /// Why the version named must stay; `None` if it can go, or is not there.
    pub(super) fn withheld(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        named: Option<&StoredObject>,
        is_current: bool,
        terms: &EraseTerms,
    ) -> Result<Option<Outcome>, Failure> {
        if let Some(expected) = terms.expected {
            let stands = match expected.standing {
                Standing::Noncurrent => !is_current,
                Standing::Sole => is_current && load_newest_older(self.connection, bucket, key)?.is_none(),
            };
            if !stands || named.is_none_or(|named| named.row.object.write != expected.write) {
                return Ok(Some(Outcome::Moved));
            }
        }
        let locked = named.is_some_and(|named| named.row.lock.holds(terms.at, terms.bypass));
        Ok(locked.then_some(Outcome::Locked))
    }

    pub(super) fn lock_object(&mut self, locking: &Locking) -> Result<Outcome, Failure> {
        let Locking { bucket, key, version, write, change } = locking;
        if !self.bucket_exists(*bucket)? {
            return Ok(Outcome::NoSuchBucket);
        }
        let (statement, named) = match load_current(self.connection, *bucket, key)? {
            Some(current) if current.row.object.version != *version => {
                (REPLACE_VERSION, load_older(self.connection, *bucket, key, *version)?)
            }
            current => (REPLACE_CURRENT, current),
        };
        let Some(stored) = named.filter(|named| named.row.object.write == *write) else {
            return Ok(Outcome::NoSuchKey);
        };
        let row = &stored.row;
        let Some(lock) = change.apply(row.lock) else { return Ok(Outcome::Locked) };
        let columns = ObjectColumns::new(*bucket, key, &row.object, (row.order, stored.top_order), lock)?;
        store(self.connection, statement, *bucket, key, &columns)?;
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    pub(super) fn expire_object(&mut self, expire: &ExpireObject) -> Result<Outcome, Failure> {
        let ExpireObject { expected, remove } = expire;
        if !self.bucket_exists(remove.bucket)? {
            return Ok(Outcome::NoSuchBucket);
        }
        let current = load_current(self.connection, remove.bucket, &remove.key)?;
        if current.is_none_or(|current| current.row.object.write != *expected) {
            return Ok(Outcome::Moved);
        }
        self.remove_object(remove)
    }
}
