//! Tags of versions and configurations of buckets.

use granary_types::{BucketId, ObjectKey, WriteId};
use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;

use super::walk::after_prefix;
use crate::model::{BucketDocument, DocumentQuery, Restored, Tag};
use crate::sqlite::codec::{blob, decode_checked, document_name};
use crate::sqlite::failure::Failure;

pub(in crate::sqlite) fn object_tags(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    write: WriteId,
) -> Result<Vec<Tag>, Failure> {
    Ok(beside(connection, "object_tags", (bucket, key, write))?.unwrap_or_default())
}

pub(in crate::sqlite) fn object_acl(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    write: WriteId,
) -> Result<Option<Vec<u8>>, Failure> {
    beside(connection, "object_acls", (bucket, key, write))
}

pub(in crate::sqlite) fn object_restore(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    write: WriteId,
) -> Result<Option<Restored>, Failure> {
    beside(connection, "object_restores", (bucket, key, write))
}

/// What a table keeps beside the version that `write` made.
fn beside<T: DeserializeOwned>(
    connection: &Connection,
    table: &str,
    (bucket, key, write): (BucketId, &ObjectKey, WriteId),
) -> Result<Option<T>, Failure> {
    let place: [&[u8]; 3] = [bucket.as_bytes(), key.as_bytes(), write.as_bytes()];
    let sql =
        format!("SELECT row_hash, record FROM {table} WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3");
    let found = connection
        .prepare_cached(&sql)?
        .query_row((bucket.as_bytes(), key.as_bytes(), write.as_bytes()), |row| {
            Ok(blob(row, 0).and_then(|hash| decode_checked(table, &place, hash, blob(row, 1)?)))
        })
        .optional()?;
    found.transpose()
}

pub(in crate::sqlite) fn bucket_documents(
    connection: &Connection,
    query: &DocumentQuery,
) -> Result<Vec<BucketDocument>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT name, row_hash, record FROM bucket_documents \
         WHERE bucket_id = ?1 AND name >= ?2 AND name > ?3 AND name < ?4 ORDER BY name LIMIT ?5",
    )?;
    let prefix = query.prefix.as_bytes();
    let top = after_prefix(prefix).unwrap_or_else(|| vec![0xFF]);
    let mut rows =
        statement.query((query.bucket.as_bytes(), prefix, query.after.as_bytes(), top, query.limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name = blob(row, 0)?;
        let place: [&[u8]; 2] = [query.bucket.as_bytes(), name];
        let document = decode_checked("bucket_documents", &place, blob(row, 1)?, blob(row, 2)?)?;
        let name = document_name(name)?;
        found.push(BucketDocument { bucket: query.bucket, name, document: Some(document) });
    }
    Ok(found)
}

pub(in crate::sqlite) fn configuration_generation(connection: &Connection) -> Result<u64, Failure> {
    let generation: i64 =
        connection.query_row("SELECT generation FROM configuration WHERE one = 1", [], |row| row.get(0))?;
    Ok(generation.cast_unsigned())
}
