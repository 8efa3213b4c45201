//! Listing objects: a walk along the primary key that reads only the columns a listing shows.

use granary_types::{Etag, ObjectKey, UnixMillis};
use rusqlite::{CachedStatement, Connection, Row, Rows};

use super::walk::{Cursor, after_prefix, common_prefix};
use crate::model::{ListEntry, ListPage, ListQuery, ListedObject};
use crate::sqlite::codec::{blob, checksum_codes, key, storage_class, text};
use crate::sqlite::failure::Failure;

/// Upper bound for walks whose prefix has none: no key is this long, and 0xFF is in no UTF-8.
const TOP: &[u8] = &[0xFF];

const FROM: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind \
     FROM objects WHERE bucket_id = ?1 AND key >= ?2 AND key < ?3 AND kind = 0 ORDER BY key";
const AFTER: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind \
     FROM objects WHERE bucket_id = ?1 AND key > ?2 AND key < ?3 AND kind = 0 ORDER BY key";

/// Rows under one common prefix that are stepped over before a new seek: a seek costs about as much as these.
const STEPS_BEFORE_SEEK: u32 = 6;

/// Once a prefix had more rows than that, this many next ones are expected to have more too.
const SKIPS_BEFORE_STEPS: u32 = 50;

/// One page.
pub(in crate::sqlite) fn list_objects(
    connection: &Connection,
    query: &ListQuery,
) -> Result<ListPage, Failure> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let entries = Vec::with_capacity(limit.min(1000));
    let mut page = Page { entries, limit, more: false, skips_left: 0 };
    let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| TOP.to_vec());
    let mut from: CachedStatement<'_> = connection.prepare_cached(FROM)?;
    let mut after: CachedStatement<'_> = connection.prepare_cached(AFTER)?;
    let mut next = Cursor::start(&query.prefix, delimiter, query.after.as_deref());
    for statement in [&mut from, &mut after] {
        statement.raw_bind_parameter(1, query.bucket.as_bytes())?;
        statement.raw_bind_parameter(3, &top)?;
    }
    while let Some(cursor) = next {
        let statement = if cursor.inclusive { &mut from } else { &mut after };
        statement.raw_bind_parameter(2, &cursor.bound)?;
        next = walk(statement.raw_query(), query, delimiter, &mut page)?;
    }
    Ok(ListPage { entries: page.entries, more: page.more })
}

struct Page {
    entries: Vec<ListEntry>,
    limit: usize,
    more: bool,
    /// How many common prefixes are skipped without looking how many rows they have.
    skips_left: u32,
}

impl Page {
    /// Whether there is room; if not, the page learns that more follows.
    fn has_room(&mut self) -> bool {
        self.more = self.entries.len() >= self.limit;
        !self.more
    }

    fn skips_at_once(&mut self) -> bool {
        let skips = self.skips_left > 0;
        self.skips_left = self.skips_left.saturating_sub(1);
        skips
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::Corrupt("a key is not UTF-8".to_owned()))
}

/// Takes rows until the page is full, they end, or a common prefix is worth skipping with a new seek.
fn walk(
    mut rows: Rows<'_>,
    query: &ListQuery,
    delimiter: Option<&str>,
    page: &mut Page,
) -> Result<Option<Cursor>, Failure> {
    let mut rolled: Option<String> = None;
    let mut steps = 0_u32;
    while let Some(row) = rows.next()? {
        let bytes = blob(row, 0)?;
        if let Some(prefix) = rolled.as_ref().filter(|prefix| bytes.starts_with(prefix.as_bytes())) {
            steps = steps.saturating_add(1);
            if steps >= STEPS_BEFORE_SEEK {
                page.skips_left = SKIPS_BEFORE_STEPS;
                return Ok(Cursor::past(prefix));
            }
            continue;
        }
        if !page.has_room() {
            return Ok(None);
        }
        let text = text_of(bytes)?;
        let Some(prefix) = common_prefix(text, &query.prefix, delimiter) else {
            page.entries.push(ListEntry::Object(listed(row, key(bytes)?)?));
            continue;
        };
        page.entries.push(ListEntry::CommonPrefix(prefix.to_owned()));
        if page.skips_at_once() {
            return Ok(Cursor::past(prefix));
        }
        rolled = Some(prefix.to_owned());
        steps = 0;
    }
    Ok(None)
}

fn listed(row: &Row<'_>, key: ObjectKey) -> Result<ListedObject, Failure> {
    Ok(ListedObject {
        key,
        length_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        modified: UnixMillis(row.get(2)?),
        etag: Etag::new(text(row, 3)?),
        storage_class: storage_class(row.get(4)?)?,
        checksum: checksum_codes(row, 5)?,
    })
}
