//! Identities in Postgres.

use sqlx::postgres::PgRow;

use super::connect::Session;
use super::failure::Failure;
use super::ops::Answer;
use super::{rows, sql};
use crate::model::{IdentityChange, IdentityDocument};
use crate::sqlite::codec::{decode_checked, document_name, encode, row_hash};
use crate::sqlite::op::Reply;

/// Makes the change if it was decided from the present state: the row that counts changes is locked by the first
/// statement, and a change that waited for the lock sees the new count.
pub(super) async fn change(session: &mut Session, change: &IdentityChange) -> Result<Answer, Failure> {
    let count = sqlx::query(sql::identities::COUNT_CHANGE).bind(change.expected.cast_signed());
    if session.execute(count).await? == 0 {
        return Ok(Ok(Reply::Changed(false)));
    }
    for document in &change.documents {
        store(session, document).await?;
    }
    Ok(Ok(Reply::Changed(true)))
}

/// Stores or removes a document's row.
pub(super) async fn store(session: &mut Session, put: &IdentityDocument) -> Result<(), Failure> {
    let name = put.name.as_bytes();
    let query = match &put.document {
        Some(document) => {
            let record = encode(document)?;
            let hash = row_hash("identities", &[name], &record);
            sqlx::query(sql::identities::PUT).bind(name).bind(hash).bind(record)
        }
        None => sqlx::query(sql::identities::DELETE).bind(name),
    };
    session.execute(query).await.map(drop)
}

/// The document of a row selected as `name, row_hash, record`.
pub(super) fn document(row: &PgRow) -> Result<IdentityDocument, Failure> {
    let name = rows::bytes(row, 0)?;
    let document = decode_checked("identities", &[name], rows::bytes(row, 1)?, rows::bytes(row, 2)?)?;
    Ok(IdentityDocument { name: document_name(name)?, document: Some(document) })
}

/// Documents with names after `after`.
pub(super) async fn list(
    session: &mut Session,
    (after, limit): &(String, u32),
) -> Result<Vec<IdentityDocument>, Failure> {
    let query = sqlx::query(sql::identities::LIST).bind(after.as_bytes()).bind(i64::from(*limit));
    session.fetch(query).await?.iter().map(document).collect()
}

/// The count of changes.
pub(super) async fn generation(session: &mut Session, (): &()) -> Result<u64, Failure> {
    let found = session.fetch(sqlx::query(sql::identities::GENERATION)).await?;
    found.first().map_or(Ok(0), |row| rows::unsigned(row, 0))
}
