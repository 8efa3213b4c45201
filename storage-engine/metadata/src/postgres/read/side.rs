//! Tags of versions and configurations of buckets.

use granary_types::{BucketId, ObjectKey, WriteId};
use serde::de::DeserializeOwned;

use crate::model::{BucketDocument, DocumentQuery, Restored, Tag};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::{rows, sql};
use crate::sqlite::codec::{decode_checked, document_name};
use crate::sqlite::read::walk::after_prefix;

type Place = (BucketId, ObjectKey, WriteId);

pub(super) async fn tags(session: &mut Session, place: &Place) -> Result<Vec<Tag>, Failure> {
    Ok(beside(session, (sql::side::READ_TAGS, "object_tags"), place).await?.unwrap_or_default())
}

pub(super) async fn acl(session: &mut Session, place: &Place) -> Result<Option<Vec<u8>>, Failure> {
    beside(session, (sql::side::READ_ACL, "object_acls"), place).await
}

pub(super) async fn restore(session: &mut Session, place: &Place) -> Result<Option<Restored>, Failure> {
    beside(session, (sql::side::READ_RESTORE, "object_restores"), place).await
}

/// What a table keeps beside the version that a write made.
async fn beside<T: DeserializeOwned>(
    session: &mut Session,
    (sql, table): (&'static str, &str),
    (bucket, key, write): &Place,
) -> Result<Option<T>, Failure> {
    let query = sqlx::query(sql).bind(*bucket.as_bytes()).bind(key.as_bytes()).bind(*write.as_bytes());
    let found = session.fetch(query).await?;
    let place: [&[u8]; 3] = [bucket.as_bytes(), key.as_bytes(), write.as_bytes()];
    let Some(row) = found.first() else { return Ok(None) };
    Ok(Some(decode_checked(table, &place, rows::bytes(row, 0)?, rows::bytes(row, 1)?)?))
}

pub(super) async fn documents(
    session: &mut Session,
    query: &DocumentQuery,
) -> Result<Vec<BucketDocument>, Failure> {
    let prefix = query.prefix.as_bytes();
    let top = after_prefix(prefix).unwrap_or_else(|| vec![0xFF]);
    let statement = sqlx::query(sql::side::LIST_DOCUMENTS)
        .bind(*query.bucket.as_bytes())
        .bind(prefix)
        .bind(query.after.as_bytes())
        .bind(top)
        .bind(i64::from(query.limit));
    let mut documents = Vec::new();
    for row in session.fetch(statement).await? {
        let name = rows::bytes(&row, 0)?;
        let place: [&[u8]; 2] = [query.bucket.as_bytes(), name];
        let document =
            decode_checked("bucket_documents", &place, rows::bytes(&row, 1)?, rows::bytes(&row, 2)?)?;
        let name = document_name(name)?;
        documents.push(BucketDocument { bucket: query.bucket, name, document: Some(document) });
    }
    Ok(documents)
}

pub(super) async fn generation(session: &mut Session, (): &()) -> Result<u64, Failure> {
    let found = session.fetch(sqlx::query(sql::side::GENERATION)).await?;
    found.first().map_or(Ok(0), |row| rows::unsigned(row, 0))
}
