//! Whether a row that is not found was never there.
//!
//! A flipped bit in a row's key puts the row out of order, and a search misses it: what is stored would be told to be
//! missing, and no hash would be asked. But the rows on both sides of the place where it should be are found as ever, and one
//! of them is the damaged one. Only readers ask: the writer goes by pages that it keeps itself.

use granary_types::{BlobId, BucketId, ObjectKey};
use rusqlite::Connection;

use crate::sqlite::codec::{OBJECT_COLUMNS, StoredObject, blob, id_bytes, row_hash};
use crate::sqlite::failure::Failure;

/// The comparison and the order that lead to the row before a place, and to the one behind it.
const SIDES: [(&str, &str); 2] = [("<", "DESC"), (">", "ASC")];

/// Fails if the current version of a key, which was not found, may be missed.
pub(super) fn check_object(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<(), Failure> {
    for (side, order) in SIDES {
        let sql = format!(
            "SELECT {OBJECT_COLUMNS}, bucket_id, key FROM objects WHERE (bucket_id, key) {side} (?1, ?2) \
             ORDER BY bucket_id {order}, key {order} LIMIT 1"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((bucket.as_bytes(), key.as_bytes()))?;
        if let Some(row) = rows.next()? {
            let bucket = BucketId::from_bytes(id_bytes(blob(row, 16)?)?);
            StoredObject::read(row, bucket, blob(row, 17)?, 0)?;
        }
    }
    Ok(())
}

/// Fails if a blob, which was not found, may be missed.
pub(super) fn check_blob(connection: &Connection, id: BlobId) -> Result<(), Failure> {
    for (side, order) in SIDES {
        let sql =
            format!("SELECT id, row_hash, record FROM blobs WHERE id {side} ?1 ORDER BY id {order} LIMIT 1");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id.as_bytes()])?;
        if let Some(row) = rows.next()?
            && row_hash("blobs", &[blob(row, 0)?], blob(row, 2)?) != blob(row, 1)?
        {
            return Err(Failure::Corrupt("a row of blobs does not match its hash".to_owned()));
        }
    }
    Ok(())
}
