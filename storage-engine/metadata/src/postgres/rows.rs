//! Rows to values.

use granary_types::{
    BlobId, BucketId, ChecksumAlgorithm, ChecksumKind, DriveId, Epoch, ObjectKey, UnixMillis, UploadId,
    VolumeId,
};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::failure::Failure;
use crate::model::{DriveRow, Extent, NewUpload, NewVolume, ObjectRow, PartRow, VolumeRow, VolumeState};
use crate::sqlite::apply::uploads::PartRecord;
use crate::sqlite::codec::{
    LockColumns, RawObject, StoredObject, algorithm, checksum_kind, decode_checked, drive_class, id_bytes,
    key,
};

/// The bytes in a column.
pub(super) fn bytes(row: &PgRow, column: usize) -> Result<&[u8], Failure> {
    Ok(row.try_get(column)?)
}

/// 16 bytes of a column, for ids.
pub(super) fn id(row: &PgRow, column: usize) -> Result<[u8; 16], Failure> {
    Ok(id_bytes(bytes(row, column)?)?)
}

fn small(row: &PgRow, column: usize) -> Result<i64, Failure> {
    Ok(i64::from(row.try_get::<i16, _>(column)?))
}

fn optional_small(row: &PgRow, column: usize) -> Result<Option<i64>, Failure> {
    Ok(row.try_get::<Option<i16>, _>(column)?.map(i64::from))
}

/// A number that is never negative.
pub(super) fn unsigned(row: &PgRow, column: usize) -> Result<u64, Failure> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

/// The two checksum columns from `first` on.
pub(super) fn checksum(
    row: &PgRow,
    first: usize,
) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, Failure> {
    let found = optional_small(row, first)?.map(algorithm).transpose()?;
    let kind = optional_small(row, first.saturating_add(1))?.map(checksum_kind).transpose()?;
    Ok(found.zip(kind))
}

/// How many columns a version has.
pub(super) const OBJECT_COLUMNS: usize = 16;

/// A version whose columns come first.
pub(super) fn object(row: &PgRow, bucket: BucketId, key: &[u8]) -> Result<StoredObject, Failure> {
    let raw = RawObject {
        kind: small(row, 0)?,
        length_bytes: row.try_get(1)?,
        modified_ms: row.try_get(2)?,
        etag: row.try_get(3)?,
        storage_class: small(row, 4)?,
        checksum: checksum(row, 5)?,
        version: bytes(row, 7)?,
        order: row.try_get(8)?,
        top_order: row.try_get(9)?,
        write: bytes(row, 10)?,
        lock: LockColumns {
            mode: optional_small(row, 11)?,
            until_ms: row.try_get(12)?,
            legal_hold: small(row, 13)?,
        },
        hash: bytes(row, 14)?,
        record: bytes(row, 15)?,
    };
    Ok(raw.decode(bucket, key)?)
}

/// A version, a question's number, and the count of the version's tags (null if there are none).
pub(super) fn object_with_tags(row: &PgRow, bucket: BucketId, key: &[u8]) -> Result<ObjectRow, Failure> {
    let mut found = object(row, bucket, key)?.row;
    let tags = optional_small(row, OBJECT_COLUMNS.saturating_add(1))?.unwrap_or_default();
    found.tag_count = u16::try_from(tags).unwrap_or(u16::MAX);
    Ok(found)
}

/// A bucket id and a key in consecutive columns.
pub(super) fn place(row: &PgRow, first: usize) -> Result<(BucketId, ObjectKey), Failure> {
    Ok((BucketId::from_bytes(id(row, first)?), key(bytes(row, first.saturating_add(1))?)?))
}

/// A row of a small table, selected as `key, row_hash, record` from `first` on.
pub(super) fn record<T: DeserializeOwned>(table: &str, row: &PgRow, first: usize) -> Result<T, Failure> {
    let (hash, record) = (first.saturating_add(1), first.saturating_add(2));
    Ok(decode_checked(table, &[bytes(row, first)?], bytes(row, hash)?, bytes(row, record)?)?)
}

/// A drive, selected as `id, row_hash, record, class`.
pub(super) fn drive(row: &PgRow) -> Result<DriveRow, Failure> {
    let found: DriveRow = record("drives", row, 0)?;
    Ok(DriveRow { class: drive_class(small(row, 3)?)?, ..found })
}

/// An upload, selected as `upload_id, row_hash, record` from `first` on.
pub(super) fn upload(row: &PgRow, first: usize) -> Result<NewUpload, Failure> {
    record("uploads", row, first)
}

/// A part, selected as `bucket_id, upload_id, number, row_hash, record`.
pub(super) fn part(row: &PgRow) -> Result<(BucketId, UploadId, PartRow), Failure> {
    let (bucket, upload) = (BucketId::from_bytes(id(row, 0)?), UploadId::from_bytes(id(row, 1)?));
    let number = row.try_get::<i32, _>(2)?;
    let number =
        u16::try_from(number).map_err(|_| Failure::Corrupt(format!("stored part number {number}")))?;
    let key: [&[u8]; 2] = [upload.as_bytes(), &number.to_be_bytes()];
    let record: PartRecord = decode_checked("parts", &key, bytes(row, 3)?, bytes(row, 4)?)?;
    Ok((bucket, upload, record.numbered(number)?))
}

/// A blob, selected as `id, row_hash, record`.
pub(super) fn blob(row: &PgRow) -> Result<(BlobId, Vec<Extent>), Failure> {
    Ok((BlobId::from_bytes(id(row, 0)?), record("blobs", row, 0)?))
}

/// What a number in `volumes.state` stands for. The numbers are part of the schema.
pub(super) fn volume_state(code: i16) -> Result<VolumeState, Failure> {
    match code {
        0 => Ok(VolumeState::Open),
        1 => Ok(VolumeState::Sealed),
        2 => Ok(VolumeState::Freed),
        _ => Err(Failure::Corrupt(format!("unknown volume state {code}"))),
    }
}

/// The drives of a volume's columns.
pub(super) fn drive_list(bytes: &[u8]) -> Result<Vec<DriveId>, Failure> {
    bytes.chunks(16).map(|id| Ok(DriveId::from_bytes(id_bytes(id)?))).collect()
}

/// How many columns a volume has.
pub(super) fn columns(row: &PgRow, column: usize) -> Result<u8, Failure> {
    let number: i16 = row.try_get(column)?;
    u8::try_from(number).map_err(|_| Failure::Corrupt(format!("a volume has {number} columns")))
}

/// A volume, and how many items live in it.
pub(super) fn volume(row: &PgRow) -> Result<(VolumeRow, u64), Failure> {
    let volume = NewVolume {
        id: VolumeId::from_bytes(id(row, 0)?),
        data_columns: columns(row, 1)?,
        parity_columns: columns(row, 2)?,
        drives: drive_list(bytes(row, 3)?)?,
        opened: UnixMillis(row.try_get(4)?),
    };
    // Accounting that drifted below zero shows as nothing; a recount repairs it.
    let live = |column| Ok::<_, Failure>(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default());
    let stored = VolumeRow {
        volume,
        state: volume_state(row.try_get(5)?)?,
        epoch: Epoch(unsigned(row, 6)?),
        committed_end: unsigned(row, 7)?,
        stored_bytes: unsigned(row, 8)?,
        freed: row.try_get::<Option<i64>, _>(9)?.map(UnixMillis),
        live_bytes: live(10)?,
    };
    Ok((stored, live(11)?))
}
