//! Listing objects: a walk along the primary key in chunks that reads only the columns a listing shows.
//!
//! With a delimiter, rows below a common prefix are of no use once it is shown: the walk goes on past it with a new
//! query. How many rows a query asks for follows how many of the last one's were of use, so a page of common prefixes
//! costs a small query each and a page of keys costs one.

use granary_types::{Etag, UnixMillis};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::{ListEntry, ListPage, ListQuery, ListedObject};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::{rows, sql};
use crate::sqlite::codec::{key, storage_class};
use crate::sqlite::read::walk::{Cursor, after_prefix, common_prefix};

/// Upper bound for walks whose prefix has none: no key is this long, and 0xFF is in no UTF-8.
pub(super) const TOP: &[u8] = &[0xFF];

/// Rows of the first query of a walk that skips.
const FIRST_CHUNK: usize = 64;
/// Rows of any query at least.
const CHUNK_MIN: usize = 8;
/// And at most.
const CHUNK_MAX: usize = 1_001;

pub(super) async fn objects(session: &mut Session, query: &ListQuery) -> Result<ListPage, Failure> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| TOP.to_vec());
    let mut page = ListPage { entries: Vec::with_capacity(limit.min(CHUNK_MAX)), more: false };
    let mut next = Cursor::start(&query.prefix, delimiter, query.after.as_deref());
    let all = limit.saturating_add(1).min(CHUNK_MAX);
    let mut chunk = if delimiter.is_some() { FIRST_CHUNK.min(all) } else { all };
    while let Some(cursor) = next {
        let statement = if cursor.inclusive { sql::objects::LIST_FROM } else { sql::objects::LIST_AFTER };
        let statement = sqlx::query(statement)
            .bind(*query.bucket.as_bytes())
            .bind(cursor.bound)
            .bind(&top)
            .bind(i64::try_from(chunk).unwrap_or(i64::MAX));
        let found = session.fetch(statement).await?;
        let before = page.entries.len();
        let Some(last) = take(&found, query, delimiter, (limit, &mut page))? else { break };
        next = if found.len() < chunk { None } else { last };
        let gained = page.entries.len().saturating_sub(before);
        chunk = if gained.saturating_mul(4) < chunk { chunk / 4 } else { chunk.saturating_mul(4) };
        chunk = chunk.clamp(CHUNK_MIN, CHUNK_MAX);
    }
    Ok(page)
}

/// Adds what the rows give. `None` once the page is full and it is known whether more follows; else where to go on.
#[allow(clippy::option_option, reason = "the end of the page and the end of the keys are not the same")]
fn take(
    found: &[PgRow],
    query: &ListQuery,
    delimiter: Option<&str>,
    (limit, page): (usize, &mut ListPage),
) -> Result<Option<Option<Cursor>>, Failure> {
    let mut rolled: Option<String> = None;
    let mut last: &[u8] = &[];
    for row in found {
        last = rows::bytes(row, 0)?;
        if rolled.as_ref().is_some_and(|prefix| last.starts_with(prefix.as_bytes())) {
            continue;
        }
        if page.entries.len() >= limit {
            page.more = true;
            return Ok(None);
        }
        let key = key(last)?;
        rolled = common_prefix(key.as_str(), &query.prefix, delimiter).map(str::to_owned);
        page.entries.push(match &rolled {
            Some(prefix) => ListEntry::CommonPrefix(prefix.clone()),
            None => ListEntry::Object(ListedObject {
                key,
                length_bytes: rows::unsigned(row, 1)?,
                modified: UnixMillis(row.try_get(2)?),
                etag: Etag::new(row.try_get::<&str, _>(3)?),
                storage_class: storage_class(i64::from(row.try_get::<i16, _>(4)?))?,
                checksum: rows::checksum(row, 5)?,
            }),
        });
    }
    Ok(Some(match rolled {
        Some(prefix) => Cursor::past(&prefix),
        None => Some(Cursor { bound: last.to_vec(), inclusive: false }),
    }))
}
