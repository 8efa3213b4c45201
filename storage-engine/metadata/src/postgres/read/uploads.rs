//! Parts, and uploads in progress: by key, then by start.

use granary_types::UploadId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::list::TOP;
use crate::model::{PartPage, PartQuery, UploadEntry, UploadPage, UploadQuery};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::{rows, sql};
use crate::sqlite::read::walk::{Cursor, after_prefix, common_prefix};

/// Rows of one query at most.
const CHUNK_MAX: usize = 1_001;

pub(super) async fn parts(session: &mut Session, query: &PartQuery) -> Result<PartPage, Failure> {
    let statement = sqlx::query(sql::uploads::LIST_PARTS)
        .bind(*query.bucket.as_bytes())
        .bind(*query.upload.as_bytes())
        .bind(query.key.as_bytes())
        .bind(i32::from(query.after))
        .bind(i64::from(query.limit).saturating_add(1));
    let found = session.fetch(statement).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let parts = found.iter().take(limit).map(|row| Ok(rows::part(row)?.2));
    Ok(PartPage { parts: parts.collect::<Result<_, Failure>>()?, more: found.len() > limit })
}

/// Where a walk goes on.
enum From {
    /// With other keys.
    Key(Cursor),
    /// With a key's uploads after one of them.
    Within { key: String, started_ms: i64, upload: Vec<u8> },
}

/// What the rows of one query led to.
enum Step {
    /// The page is full, and it is known that more follows.
    Full,
    /// All were taken.
    Through,
    /// The rest below a common prefix is of no use.
    Past(Option<Cursor>),
}

pub(super) async fn uploads(session: &mut Session, query: &UploadQuery) -> Result<UploadPage, Failure> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let chunk = limit.saturating_add(1).min(CHUNK_MAX);
    let mut page = UploadPage { entries: Vec::new(), more: false };
    let mut next = start(session, query, delimiter).await?;
    while let Some(from) = next {
        let found = fetch(session, query, &from, chunk).await?;
        next = match take(&found, query, delimiter, (limit, &mut page))? {
            Step::Full => break,
            Step::Past(cursor) => cursor.map(From::Key),
            Step::Through if found.len() >= chunk => found.last().map(after_row).transpose()?,
            Step::Through => match from {
                From::Within { key, .. } => {
                    Cursor::start(&query.prefix, delimiter, Some(&key)).map(From::Key)
                }
                From::Key(_) => None,
            },
        };
    }
    Ok(page)
}

/// Where a page begins. If the upload it begins after is gone, it begins with all of the key's: whoever aborts what a
/// page showed and then asks for the next one would miss some otherwise.
async fn start(
    session: &mut Session,
    query: &UploadQuery,
    delimiter: Option<&str>,
) -> Result<Option<From>, Failure> {
    let after = query.after_key.as_deref();
    let within = after.filter(|key| key.starts_with(&query.prefix)).zip(query.after_upload);
    let Some((key, upload)) = within else {
        return Ok(Cursor::start(&query.prefix, delimiter, after).map(From::Key));
    };
    let statement = sqlx::query(sql::uploads::STARTED)
        .bind(*query.bucket.as_bytes())
        .bind(*upload.as_bytes())
        .bind(key.as_bytes());
    let found = session.fetch(statement).await?;
    let started: Option<i64> = found.first().map(|row| row.try_get(0)).transpose()?;
    let (started_ms, upload) = match started {
        Some(started_ms) => (started_ms, upload.as_bytes().to_vec()),
        None => (i64::MIN, Vec::new()),
    };
    Ok(Some(From::Within { key: key.to_owned(), started_ms, upload }))
}

async fn fetch(
    session: &mut Session,
    query: &UploadQuery,
    from: &From,
    chunk: usize,
) -> Result<Vec<PgRow>, Failure> {
    let bucket = *query.bucket.as_bytes();
    let rows_max = i64::try_from(chunk).unwrap_or(i64::MAX);
    let statement = match from {
        From::Within { key, started_ms, upload } => sqlx::query(sql::uploads::LIST_WITHIN)
            .bind(bucket)
            .bind(key.as_bytes())
            .bind(*started_ms)
            .bind(upload.as_slice()),
        From::Key(cursor) => {
            let sql = if cursor.inclusive { sql::uploads::LIST_FROM } else { sql::uploads::LIST_AFTER };
            let top = after_prefix(query.prefix.as_bytes()).unwrap_or_else(|| TOP.to_vec());
            sqlx::query(sql).bind(bucket).bind(cursor.bound.as_slice()).bind(top)
        }
    };
    session.fetch(statement.bind(rows_max)).await
}

fn after_row(row: &PgRow) -> Result<From, Failure> {
    let upload = rows::upload(row, 1)?;
    Ok(From::Within {
        key: upload.key.into_string(),
        started_ms: upload.initiated.0,
        upload: UploadId::as_bytes(&upload.upload).to_vec(),
    })
}

fn take(
    found: &[PgRow],
    query: &UploadQuery,
    delimiter: Option<&str>,
    (limit, page): (usize, &mut UploadPage),
) -> Result<Step, Failure> {
    for row in found {
        if page.entries.len() >= limit {
            page.more = true;
            return Ok(Step::Full);
        }
        let upload = rows::upload(row, 1)?;
        if let Some(prefix) = common_prefix(upload.key.as_str(), &query.prefix, delimiter) {
            page.entries.push(UploadEntry::CommonPrefix(prefix.to_owned()));
            return Ok(Step::Past(Cursor::past(prefix)));
        }
        page.entries.push(UploadEntry::Upload(upload));
    }
    Ok(Step::Through)
}
