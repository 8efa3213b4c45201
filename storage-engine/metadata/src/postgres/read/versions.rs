//! Listing all versions: a walk along the keys in chunks; the older versions of a chunk's keys come with one query, and
//! those of a key that has more than the page has room for with another that reads no more than that.

use std::collections::HashMap;

use granary_types::{BucketId, Etag, UnixMillis, VersionId};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::list::TOP;
use crate::model::{ListedObject, ListedVersion, VersionEntry, VersionMarker, VersionPage, VersionQuery};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::{rows, sql};
use crate::sqlite::codec::{id_bytes, key, storage_class, version_kind};
use crate::sqlite::read::versions::within;
use crate::sqlite::read::walk::{Cursor, after_prefix, common_prefix};

/// Keys of one query at most.
const CHUNK_MAX: usize = 1_001;
/// And of the first one of a walk that skips.
const FIRST_CHUNK: usize = 64;

/// One page, of one state of the database: a version may go from one table to the other meanwhile.
pub(super) async fn versions(session: &mut Session, query: &VersionQuery) -> Result<VersionPage, Failure> {
    session.run(sql::BEGIN_SNAPSHOT).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let page = Page { bucket: query.bucket, entries: Vec::new(), limit, more: false };
    let listed = page.list(session, query).await;
    session.run(if listed.is_ok() { sql::COMMIT } else { sql::ROLLBACK }).await?;
    listed
}

struct Page {
    bucket: BucketId,
    entries: Vec<VersionEntry>,
    limit: usize,
    more: bool,
}

impl Page {
    /// Adds the entry, or learns that more follows. Returns whether there was room.
    fn push(&mut self, entry: VersionEntry) -> bool {
        self.more = self.entries.len() >= self.limit;
        if !self.more {
            self.entries.push(entry);
        }
        !self.more
    }

    /// Rows that fill the page and tell whether more follow.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.entries.len()).saturating_add(1)
    }

    async fn list(mut self, session: &mut Session, query: &VersionQuery) -> Result<VersionPage, Failure> {
        let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        if let Some((key, marker)) = within(query, delimiter) {
            self.rest_of_key(session, key, marker).await?;
        }
        let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| TOP.to_vec());
        let mut next = Cursor::start(&query.prefix, delimiter, query.after.as_deref());
        while let Some(cursor) = next.filter(|_| !self.more) {
            let chunk = self.room().min(if delimiter.is_some() { FIRST_CHUNK } else { CHUNK_MAX });
            let statement =
                if cursor.inclusive { sql::versions::LIST_FROM } else { sql::versions::LIST_AFTER };
            let statement = sqlx::query(statement)
                .bind(*self.bucket.as_bytes())
                .bind(cursor.bound)
                .bind(&top)
                .bind(i64::try_from(chunk).unwrap_or(i64::MAX));
            let found = session.fetch(statement).await?;
            let last = self.take(session, &found, query, delimiter).await?;
            next = if found.len() < chunk { None } else { last };
        }
        Ok(VersionPage { entries: self.entries, more: self.more })
    }

    /// Adds what a chunk of keys gives, and returns where to go on.
    async fn take(
        &mut self,
        session: &mut Session,
        found: &[PgRow],
        query: &VersionQuery,
        delimiter: Option<&str>,
    ) -> Result<Option<Cursor>, Failure> {
        let mut current = Vec::with_capacity(found.len());
        for row in found {
            current.push((listed(row, true)?, rows::unsigned(row, 10)?));
        }
        let rolled = |version: &ListedVersion| {
            common_prefix(version.key().as_str(), &query.prefix, delimiter).map(str::to_owned)
        };
        let whole = current.iter().filter(|(version, _)| rolled(version).is_none());
        let mut older = self.older_of_few(session, whole).await?;
        let (mut skipped, mut last): (Option<String>, Option<Cursor>) = (None, None);
        for (version, older_count) in current {
            let key = version.key().clone();
            if skipped.as_ref().is_some_and(|prefix| key.as_str().starts_with(prefix)) {
                continue;
            }
            skipped = rolled(&version);
            last = match &skipped {
                Some(prefix) => Cursor::past(prefix),
                None => Some(Cursor { bound: key.as_bytes().to_vec(), inclusive: false }),
            };
            let below = version.order;
            let entry = match &skipped {
                Some(prefix) => VersionEntry::CommonPrefix(prefix.clone()),
                None => VersionEntry::Version(version),
            };
            if !self.push(entry) {
                return Ok(None);
            }
            if skipped.is_some() || older_count == 0 {
                continue;
            }
            let rest = match older.remove(key.as_bytes()) {
                Some(rest) => rest,
                None => self.older(session, key.as_bytes(), below).await?,
            };
            for version in rest {
                if !self.push(VersionEntry::Version(version)) {
                    return Ok(None);
                }
            }
        }
        Ok(last)
    }

    /// The older versions of the first keys, as far as all of them have room on the page, newest first.
    async fn older_of_few<'v>(
        &self,
        session: &mut Session,
        current: impl Iterator<Item = &'v (ListedVersion, u64)>,
    ) -> Result<HashMap<Vec<u8>, Vec<ListedVersion>>, Failure> {
        let (mut buckets, mut keys) = (Vec::new(), Vec::new());
        let mut room = u64::try_from(self.room()).unwrap_or(u64::MAX);
        for (version, older_count) in current {
            let Some(left) = room.checked_sub(older_count.saturating_add(1)) else { break };
            room = left;
            if *older_count > 0 {
                buckets.push(*self.bucket.as_bytes());
                keys.push(version.key().as_bytes());
            }
        }
        let mut older: HashMap<Vec<u8>, Vec<ListedVersion>> = HashMap::new();
        if keys.is_empty() {
            return Ok(older);
        }
        let query = sqlx::query(sql::versions::OLDER_OF_KEYS).bind(buckets).bind(keys);
        for row in session.fetch(query).await? {
            let version = listed(&row, false)?;
            older.entry(version.key().as_bytes().to_vec()).or_default().push(version);
        }
        for versions in older.values_mut() {
            versions.sort_unstable_by_key(|version| std::cmp::Reverse(version.order));
        }
        Ok(older)
    }

    /// The versions of a key below an order, as many as the page can use.
    async fn older(
        &self,
        session: &mut Session,
        key: &[u8],
        below: u64,
    ) -> Result<Vec<ListedVersion>, Failure> {
        let query = sqlx::query(sql::versions::OLDER)
            .bind(*self.bucket.as_bytes())
            .bind(key)
            .bind(i64::try_from(below).unwrap_or(i64::MAX))
            .bind(i64::try_from(self.room()).unwrap_or(i64::MAX));
        session.fetch(query).await?.iter().map(|row| listed(row, false)).collect()
    }

    async fn rest_of_key(
        &mut self,
        session: &mut Session,
        key: &str,
        marker: VersionMarker,
    ) -> Result<(), Failure> {
        let place = |statement| sqlx::query(statement).bind(*self.bucket.as_bytes()).bind(key.as_bytes());
        let below = match marker {
            VersionMarker::Order(order) => order,
            VersionMarker::Id(version) => {
                let named = place(sql::versions::ORDER).bind(*version.as_bytes());
                let found = session.fetch(named).await?;
                found.first().map_or(Ok(u64::MAX), |row| rows::unsigned(row, 0))?
            }
        };
        let current = session.fetch(place(sql::versions::CURRENT)).await?;
        if let Some(row) = current.first() {
            let version = listed(row, true)?;
            if version.order < below && !self.push(VersionEntry::Version(version)) {
                return Ok(());
            }
        }
        for version in self.older(session, key.as_bytes(), below).await? {
            if !self.push(VersionEntry::Version(version)) {
                break;
            }
        }
        Ok(())
    }
}

fn listed(row: &PgRow, is_latest: bool) -> Result<ListedVersion, Failure> {
    let object = ListedObject {
        key: key(rows::bytes(row, 0)?)?,
        length_bytes: rows::unsigned(row, 1)?,
        modified: UnixMillis(row.try_get(2)?),
        etag: Etag::new(row.try_get::<&str, _>(3)?),
        storage_class: storage_class(i64::from(row.try_get::<i16, _>(4)?))?,
        checksum: rows::checksum(row, 5)?,
    };
    Ok(ListedVersion {
        kind: version_kind(i64::from(row.try_get::<i16, _>(7)?))?,
        version: VersionId::from_bytes(id_bytes(rows::bytes(row, 8)?)?),
        order: rows::unsigned(row, 9)?,
        is_latest,
        object,
    })
}
