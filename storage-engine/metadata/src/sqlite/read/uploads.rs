//! Listing uploads in progress: by key, then by start.

use granary_types::{UnixMillis, UploadId};
use rusqlite::{Connection, OptionalExtension, Rows};

use super::walk::{Cursor, after_prefix, common_prefix};
use crate::model::{UploadEntry, UploadPage, UploadQuery};
use crate::sqlite::apply::read_upload;
use crate::sqlite::codec::blob;
use crate::sqlite::failure::Failure;

const FROM: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key, initiated_ms, upload_id";
const AFTER: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = ?1 AND key > ?2 AND key < ?3 ORDER BY key, initiated_ms, upload_id";
const WITHIN: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = ?1 AND key = ?2 AND (initiated_ms, upload_id) > (?3, ?4) \
     ORDER BY initiated_ms, upload_id";

/// One page.
pub(in crate::sqlite) fn list_uploads(
    connection: &Connection,
    query: &UploadQuery,
) -> Result<UploadPage, Failure> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut page = Page { entries: Vec::new(), limit, more: false, delimiter, prefix: &query.prefix };
    let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| vec![0xFF]);
    if let Some((key, upload)) = within(query) {
        rest_of_key(connection, query, key, upload, &mut page)?;
    }
    let mut next = Cursor::start(&query.prefix, delimiter, query.after_key.as_deref());
    while let Some(cursor) = next.filter(|_| !page.more) {
        let mut statement = connection.prepare_cached(if cursor.inclusive { FROM } else { AFTER })?;
        let rows = statement.query((query.bucket.as_bytes(), &cursor.bound, &top))?;
        next = page.take(rows)?;
    }
    Ok(UploadPage { entries: page.entries, more: page.more })
}

/// The key whose remaining uploads come first, if the page starts in the middle of a key.
fn within(query: &UploadQuery) -> Option<(&str, UploadId)> {
    let key = query.after_key.as_deref().filter(|key| key.starts_with(&query.prefix))?;
    Some((key, query.after_upload?))
}

/// The uploads of `key` after `upload`. If that upload is gone, all of the key's: whoever aborts what a page
/// showed and then asks for the next one would miss some otherwise.
fn rest_of_key(
    connection: &Connection,
    query: &UploadQuery,
    key: &str,
    upload: UploadId,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    let started: Option<i64> = connection
        .prepare_cached(
            "SELECT initiated_ms FROM uploads WHERE upload_id = ?1 AND bucket_id = ?2 AND key = ?3",
        )?
        .query_row((upload.as_bytes(), query.bucket.as_bytes(), key.as_bytes()), |row| row.get(0))
        .optional()?;
    let after = match started {
        Some(started) => (UnixMillis(started), upload.as_bytes().as_slice()),
        None => (UnixMillis(i64::MIN), [].as_slice()),
    };
    let mut statement = connection.prepare_cached(WITHIN)?;
    let rows = statement.query((query.bucket.as_bytes(), key.as_bytes(), after.0.0, after.1))?;
    page.take(rows)?;
    Ok(())
}

struct Page<'q> {
    entries: Vec<UploadEntry>,
    limit: usize,
    more: bool,
    delimiter: Option<&'q str>,
    prefix: &'q str,
}

impl Page<'_> {
    fn take(&mut self, mut rows: Rows<'_>) -> Result<Option<Cursor>, Failure> {
        while let Some(row) = rows.next()? {
            if self.entries.len() >= self.limit {
                self.more = true;
                return Ok(None);
            }
            let upload = read_upload(blob(row, 1)?, row, 2)?;
            if let Some(prefix) = common_prefix(upload.key.as_str(), self.prefix, self.delimiter) {
                self.entries.push(UploadEntry::CommonPrefix(prefix.to_owned()));
                return Ok(Cursor::past(prefix));
            }
            self.entries.push(UploadEntry::Upload(upload));
        }
        Ok(None)
    }
}
