//! Reading a whole database and checking every row against its hash.

use granary_types::{BucketId, UploadId};
use rusqlite::{Connection, Row};

use crate::sqlite::apply::{read_part, read_upload};
use crate::sqlite::codec::{OBJECT_COLUMNS, StoredObject, blob, id_bytes, row_hash};
use crate::sqlite::failure::Failure;
use crate::sqlite::read::event;

/// Checks the structure and every row. A snapshot is sealed only after this, so that rot in a row that nobody reads
/// does not reach the copies.
pub(in crate::sqlite) fn verify(connection: &Connection) -> Result<(), Failure> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Failure::Corrupt(verdict));
    }
    for table in ["objects", "object_versions"] {
        let sql = format!("SELECT {OBJECT_COLUMNS}, bucket_id, key FROM {table}");
        each(connection, &sql, |row| {
            let bucket = BucketId::from_bytes(id_bytes(blob(row, 16)?)?);
            StoredObject::read(row, bucket, blob(row, 17)?, 0).map(drop)
        })?;
    }
    for (table, key) in
        [("buckets", "name"), ("blobs", "id"), ("volumes", "id"), ("drives", "id"), ("identities", "name")]
    {
        each(connection, &format!("SELECT {key}, row_hash, record FROM {table}"), |row| {
            if row_hash(table, &[blob(row, 0)?], blob(row, 2)?) == blob(row, 1)? {
                return Ok(());
            }
            Err(Failure::Corrupt(format!("a row of {table} does not match its hash")))
        })?;
    }
    for (table, key) in [
        ("object_tags", "bucket_id, key, write_id"),
        ("object_acls", "bucket_id, key, write_id"),
        ("object_restores", "bucket_id, key, write_id"),
        ("object_warmth", "bucket_id, key, write_id"),
        ("bucket_documents", "bucket_id, name"),
    ] {
        each(connection, &format!("SELECT row_hash, record, {key} FROM {table}"), |row| {
            let place = (2..row.as_ref().column_count()).map(|column| blob(row, column));
            let place = place.collect::<Result<Vec<_>, _>>()?;
            if row_hash(table, &place, blob(row, 1)?) == blob(row, 0)? {
                return Ok(());
            }
            Err(Failure::Corrupt(format!("a row of {table} does not match its hash")))
        })?;
    }
    each(connection, "SELECT target, bucket_id, at_ms, id, row_hash, record FROM events", |row| {
        event(row).map(drop)
    })?;
    each(connection, "SELECT upload_id, row_hash, record FROM uploads", |row| {
        read_upload(blob(row, 0)?, row, 1).map(drop)
    })?;
    each(connection, "SELECT number, row_hash, record, upload_id FROM parts", |row| {
        read_part(UploadId::from_bytes(id_bytes(blob(row, 3)?)?), row).map(drop)
    })
}

fn each(
    connection: &Connection,
    sql: &str,
    mut check: impl FnMut(&Row<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        check(row)?;
    }
    Ok(())
}
