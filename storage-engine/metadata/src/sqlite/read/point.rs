//! Single rows and short lists.

use granary_types::{BlobId, BucketId, BucketName, ObjectKey, VersionId, VolumeId};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::beside::{check_blob, check_object};
use super::walk::after_prefix;
use crate::model::{
    BlobRow, Bucket, BucketPage, BucketQuery, DriveRow, ObjectRow, PartPage, PartQuery, VolumeRow,
};
use crate::sqlite::apply::{StoredVolume, load_current, load_extents, load_older, read_part};
use crate::sqlite::codec::{blob, decode_checked, drive_class};
use crate::sqlite::failure::Failure;

/// Decodes a row selected as `key, row_hash, record`.
fn small_row<T: DeserializeOwned>(table: &str, row: &Row<'_>) -> Result<T, Failure> {
    decode_checked(table, &[blob(row, 0)?], blob(row, 1)?, blob(row, 2)?)
}

pub(in crate::sqlite) fn bucket(
    connection: &Connection,
    name: &BucketName,
) -> Result<Option<Bucket>, Failure> {
    connection
        .prepare_cached("SELECT name, row_hash, record FROM buckets WHERE name = ?1")?
        .query_row([name.as_str().as_bytes()], |row| Ok(small_row("buckets", row)))
        .optional()?
        .transpose()
}

pub(in crate::sqlite) fn list_buckets(
    connection: &Connection,
    query: &BucketQuery,
) -> Result<BucketPage, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT name, row_hash, record FROM buckets WHERE name >= ?1 AND name > ?2 AND name < ?3 ORDER BY name",
    )?;
    let prefix = query.prefix.as_bytes();
    let top = after_prefix(prefix).unwrap_or_else(|| vec![0xFF]);
    let after = query.after.as_deref().unwrap_or_default().as_bytes();
    let mut rows = statement.query((prefix, after, top))?;
    let mut page = BucketPage { buckets: Vec::new(), more: false };
    while let Some(row) = rows.next()? {
        if page.buckets.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX) {
            page.more = true;
            break;
        }
        page.buckets.push(small_row("buckets", row)?);
    }
    Ok(page)
}

pub(in crate::sqlite) fn object(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<Option<ObjectRow>, Failure> {
    let Some(current) = load_current(connection, bucket, key)? else {
        check_object(connection, bucket, key)?;
        return Ok(None);
    };
    match version {
        Some(version) if current.row.object.version != version => {
            Ok(load_older(connection, bucket, key, version)?.map(|stored| stored.row))
        }
        _ => Ok(Some(current.row)),
    }
}

pub(in crate::sqlite) fn blobs(connection: &Connection, ids: &[BlobId]) -> Result<Vec<BlobRow>, Failure> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(extents) = load_extents(connection, *id)? else {
            check_blob(connection, *id)?;
            continue;
        };
        found.push(BlobRow { id: *id, extents });
    }
    Ok(found)
}

pub(in crate::sqlite) fn count_references(
    connection: &Connection,
    limits: &[(BlobId, u32)],
) -> Result<Vec<u32>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM blob_refs WHERE blob_id = ?1 LIMIT ?2)")?;
    let mut counts = Vec::with_capacity(limits.len());
    for (id, limit) in limits {
        counts.push(statement.query_row((id.as_bytes(), limit), |row| row.get(0))?);
    }
    Ok(counts)
}

pub(in crate::sqlite) fn list_parts(connection: &Connection, query: &PartQuery) -> Result<PartPage, Failure> {
    let mut page = PartPage { parts: Vec::new(), more: false };
    if crate::sqlite::apply::load_upload(connection, query.bucket, &query.key, query.upload)?.is_none() {
        return Ok(page);
    }
    let mut statement = connection.prepare_cached(
        "SELECT number, row_hash, record FROM parts WHERE upload_id = ?1 AND number > ?2 ORDER BY number",
    )?;
    let mut rows = statement.query((query.upload.as_bytes(), query.after))?;
    while let Some(row) = rows.next()? {
        if page.parts.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX) {
            page.more = true;
            break;
        }
        page.parts.push(read_part(query.upload, row)?);
    }
    Ok(page)
}

pub(in crate::sqlite) fn volumes(
    connection: &Connection,
    after: Option<VolumeId>,
    limit: u32,
) -> Result<Vec<VolumeRow>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT id, row_hash, record FROM volumes WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice());
    let mut rows = statement.query((after, limit))?;
    let mut volumes = Vec::new();
    while let Some(row) = rows.next()? {
        volumes.push(small_row::<StoredVolume>("volumes", row)?.row);
    }
    Ok(volumes)
}

pub(in crate::sqlite) fn drives(connection: &Connection) -> Result<Vec<DriveRow>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT id, row_hash, record, class FROM drives ORDER BY slot, id")?;
    let mut rows = statement.query([])?;
    let mut drives = Vec::new();
    while let Some(row) = rows.next()? {
        let found: DriveRow = small_row("drives", row)?;
        drives.push(DriveRow { class: drive_class(row.get(3)?)?, ..found });
    }
    Ok(drives)
}
