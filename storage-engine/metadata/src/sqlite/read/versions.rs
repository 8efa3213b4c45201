//! Listing all versions: a walk along the keys, and for each key that may have them along its older versions, newest
//! first. Nothing is read that the page does not show, however many versions a key has.

use granary_types::{BucketId, Etag, UnixMillis, VersionId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::walk::{Cursor, after_prefix, common_prefix};
use crate::model::{ListedObject, ListedVersion, VersionEntry, VersionMarker, VersionPage, VersionQuery};
use crate::sqlite::codec::{blob, checksum_codes, id_bytes, key, storage_class, text, version_kind};
use crate::sqlite::failure::Failure;

const FROM: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind, \
     kind, version_id, ord FROM objects WHERE bucket_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key";
const AFTER: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind, \
     kind, version_id, ord FROM objects WHERE bucket_id = ?1 AND key > ?2 AND key < ?3 ORDER BY key";
const CURRENT: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, \
     checksum_kind, kind, version_id, ord FROM objects WHERE bucket_id = ?1 AND key = ?2";
const OLDER: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind, \
     kind, version_id, ord FROM object_versions WHERE bucket_id = ?1 AND key = ?2 AND ord < ?3 ORDER BY ord DESC";
const ORDER: &str = "SELECT ord FROM objects WHERE bucket_id = ?1 AND key = ?2 AND version_id = ?3 UNION ALL \
     SELECT ord FROM object_versions WHERE bucket_id = ?1 AND key = ?2 AND version_id = ?3";

/// One page.
pub(in crate::sqlite) fn list_versions(
    connection: &Connection,
    query: &VersionQuery,
) -> Result<VersionPage, Failure> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut page = Page { connection, bucket: query.bucket, entries: Vec::new(), limit, more: false };
    if let Some((key, marker)) = within(query, delimiter) {
        page.rest_of_key(key, marker)?;
    }
    let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| vec![0xFF]);
    let mut next = Cursor::start(&query.prefix, delimiter, query.after.as_deref());
    while let Some(cursor) = next.filter(|_| !page.more) {
        next = page.walk(query, delimiter, &cursor, &top)?;
    }
    Ok(VersionPage { entries: page.entries, more: page.more })
}

/// The key whose remaining versions come first, if the page starts in the middle of a key.
pub(crate) fn within<'q>(
    query: &'q VersionQuery,
    delimiter: Option<&str>,
) -> Option<(&'q str, VersionMarker)> {
    let key = query.after.as_deref().filter(|key| key.starts_with(&query.prefix))?;
    let rolled = common_prefix(key, &query.prefix, delimiter).is_some();
    Some((key, query.after_version.filter(|_| !rolled)?))
}

struct Page<'c> {
    connection: &'c Connection,
    bucket: BucketId,
    entries: Vec<VersionEntry>,
    limit: usize,
    more: bool,
}

impl Page<'_> {
    /// Adds the entry, or learns that more follows. Returns whether there was room.
    fn push(&mut self, entry: VersionEntry) -> bool {
        self.more = self.entries.len() >= self.limit;
        if !self.more {
            self.entries.push(entry);
        }
        !self.more
    }

    fn walk(
        &mut self,
        query: &VersionQuery,
        delimiter: Option<&str>,
        cursor: &Cursor,
        top: &[u8],
    ) -> Result<Option<Cursor>, Failure> {
        let mut statement = self.connection.prepare_cached(if cursor.inclusive { FROM } else { AFTER })?;
        let mut rows = statement.query((self.bucket.as_bytes(), &cursor.bound, top))?;
        while let Some(row) = rows.next()? {
            let version = listed(row, true)?;
            if let Some(prefix) = common_prefix(version.key().as_str(), &query.prefix, delimiter) {
                let next = Cursor::past(prefix);
                return Ok(next.filter(|_| self.push(VersionEntry::CommonPrefix(prefix.to_owned()))));
            }
            let (key, order) = (version.key().clone(), version.order);
            // The first version a key ever had is followed by none.
            if !self.push(VersionEntry::Version(version))
                || order > 1 && !self.older(key.as_bytes(), order)?
            {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Adds the versions of a key below an order. Returns whether there was room for all.
    fn older(&mut self, key: &[u8], below: u64) -> Result<bool, Failure> {
        let mut statement = self.connection.prepare_cached(OLDER)?;
        let mut rows = statement.query((self.bucket.as_bytes(), key, signed(below)))?;
        while let Some(row) = rows.next()? {
            if !self.push(VersionEntry::Version(listed(row, false)?)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rest_of_key(&mut self, key: &str, marker: VersionMarker) -> Result<(), Failure> {
        let below = match marker {
            VersionMarker::Order(order) => order,
            VersionMarker::Id(version) => self.order_of(key, version)?.unwrap_or(u64::MAX),
        };
        let current = self
            .connection
            .prepare_cached(CURRENT)?
            .query_row((self.bucket.as_bytes(), key.as_bytes()), |row| Ok(listed(row, true)))
            .optional()?
            .transpose()?;
        if let Some(current) = current.filter(|current| current.order < below)
            && !self.push(VersionEntry::Version(current))
        {
            return Ok(());
        }
        self.older(key.as_bytes(), below).map(drop)
    }

    fn order_of(&self, key: &str, version: VersionId) -> Result<Option<u64>, Failure> {
        let found: Option<i64> = self
            .connection
            .prepare_cached(ORDER)?
            .query_row((self.bucket.as_bytes(), key.as_bytes(), version.as_bytes()), |row| row.get(0))
            .optional()?;
        Ok(found.map(i64::cast_unsigned))
    }
}

/// An order as it is compared in a statement; those above all that are given are one.
fn signed(order: u64) -> i64 {
    i64::try_from(order).unwrap_or(i64::MAX)
}

fn listed(row: &Row<'_>, is_latest: bool) -> Result<ListedVersion, Failure> {
    let object = ListedObject {
        key: key(blob(row, 0)?)?,
        length_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        modified: UnixMillis(row.get(2)?),
        etag: Etag::new(text(row, 3)?),
        storage_class: storage_class(row.get(4)?)?,
        checksum: checksum_codes(row, 5)?,
    };
    Ok(ListedVersion {
        kind: version_kind(row.get(7)?)?,
        version: VersionId::from_bytes(id_bytes(blob(row, 8)?)?),
        order: row.get::<_, i64>(9)?.cast_unsigned(),
        is_latest,
        object,
    })
}
