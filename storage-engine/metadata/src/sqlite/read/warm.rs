//! How warm versions are.

use granary_types::{BucketId, WriteId};
use rusqlite::{Connection, Row};

use crate::model::{WarmAfter, WarmKind, WarmQuery, WarmUsage, WarmVersion};
use crate::sqlite::codec::{blob, decode_checked, id_bytes, key};
use crate::sqlite::failure::Failure;

/// A row, selected as `bucket_id, key, write_id, row_hash, record`.
fn version(row: &Row<'_>) -> Result<WarmVersion, Failure> {
    let place = [blob(row, 0)?, blob(row, 1)?, blob(row, 2)?];
    let [bucket, object, write] = place;
    Ok(WarmVersion {
        row: decode_checked("object_warmth", &place, blob(row, 3)?, blob(row, 4)?)?,
        bucket: BucketId::from_bytes(id_bytes(bucket)?),
        key: key(object)?,
        write: WriteId::from_bytes(id_bytes(write)?),
    })
}

pub(in crate::sqlite) fn warm_of_kind(
    connection: &Connection,
    query: WarmQuery,
) -> Result<Vec<WarmVersion>, Failure> {
    let WarmQuery { kind, from, until, limit } = query;
    let mut statement = connection.prepare_cached(
        "SELECT bucket_id, key, write_id, row_hash, record FROM object_warmth \
         WHERE kind = ?1 AND at_ms >= ?2 AND at_ms <= ?3 ORDER BY kind, at_ms LIMIT ?4",
    )?;
    let mut rows = statement.query((kind.code(), from.0, until.0, limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(version(row)?);
    }
    Ok(found)
}

pub(in crate::sqlite) fn warm_after(
    connection: &Connection,
    after: &WarmAfter,
    limit: u32,
) -> Result<Vec<WarmVersion>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket_id, key, write_id, row_hash, record FROM object_warmth \
         WHERE (bucket_id, key, write_id) > (?1, ?2, ?3) ORDER BY bucket_id, key, write_id LIMIT ?4",
    )?;
    let mut rows = statement.query((after.bucket, after.key.as_slice(), after.write, limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(version(row)?);
    }
    Ok(found)
}

pub(in crate::sqlite) fn warm_usage(connection: &Connection) -> Result<Vec<WarmUsage>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, count(*), sum(length_bytes) FROM object_warmth GROUP BY kind ORDER BY kind",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let code: i64 = row.get(0)?;
        let kind = WarmKind::of_code(code);
        let kind = kind.ok_or_else(|| Failure::Corrupt(format!("unknown kind of warm version {code}")))?;
        let number = |column| Ok::<_, Failure>(row.get::<_, i64>(column)?.cast_unsigned());
        found.push(WarmUsage { kind, versions: number(1)?, bytes: number(2)? });
    }
    Ok(found)
}
