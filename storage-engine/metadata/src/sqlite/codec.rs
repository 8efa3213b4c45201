//! Rows to values and back, each with the hash that tells a flipped bit.

use granary_types::{
    Attributes, BucketId, Checksum, ChecksumAlgorithm, ChecksumKind, DriveClass, Etag, ObjectKey,
    StorageClass, UnixMillis, VersionId, WriteId,
};
use rusqlite::Row;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::model::{
    Content, EventCause, EventPlace, LegalHold, LockMode, NewObject, ObjectLock, ObjectRow, QueuedEvent,
    Retention, VersionKind,
};

/// The first half of a BLAKE3.
pub(crate) type RowHash = [u8; 16];

/// The hash of a row of the small tables: its table, its key and its record.
pub(crate) fn row_hash(table: &str, key: &[&[u8]], record: &[u8]) -> RowHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table.as_bytes());
    for part in key {
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.update(record);
    truncated(&hasher)
}

fn truncated(hasher: &blake3::Hasher) -> RowHash {
    let mut hash = RowHash::default();
    hasher.finalize_xof().fill(&mut hash);
    hash
}

/// Encodes a record of a row.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    postcard::to_stdvec(value)
        .map_err(|error| Failure::Corrupt(format!("a record cannot be encoded: {error}")))
}

/// The record and the hash of a row that a table keeps beside the version that `write` made.
pub(crate) fn side_row<T: Serialize>(
    table: &str,
    (bucket, key, write): (BucketId, &ObjectKey, WriteId),
    value: &T,
) -> Result<(RowHash, Vec<u8>), Failure> {
    let record = encode(value)?;
    let place: [&[u8]; 3] = [bucket.as_bytes(), key.as_bytes(), write.as_bytes()];
    Ok((row_hash(table, &place, &record), record))
}

/// Checks a row of the small tables and decodes its record.
pub(crate) fn decode_checked<T: DeserializeOwned>(
    table: &str,
    key: &[&[u8]],
    hash: &[u8],
    record: &[u8],
) -> Result<T, Failure> {
    if row_hash(table, key, record) != hash {
        return Err(Failure::Corrupt(format!("a row of {table} does not match its hash")));
    }
    postcard::from_bytes(record)
        .map_err(|error| Failure::Corrupt(format!("a row of {table} cannot be decoded: {error}")))
}

/// The blob in a column.
pub(crate) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], Failure> {
    row.get_ref(column)?.as_blob().map_err(|_| wrong_type(column))
}

/// The text in a column.
pub(crate) fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Failure> {
    row.get_ref(column)?.as_str().map_err(|_| wrong_type(column))
}

fn integer(row: &Row<'_>, column: usize) -> Result<i64, Failure> {
    row.get_ref(column)?.as_i64().map_err(|_| wrong_type(column))
}

fn optional_integer(row: &Row<'_>, column: usize) -> Result<Option<i64>, Failure> {
    row.get_ref(column)?.as_i64_or_null().map_err(|_| wrong_type(column))
}

fn wrong_type(column: usize) -> Failure {
    Failure::Corrupt(format!("column {column} of a row has the wrong type"))
}

/// 16 bytes of a column, for ids.
pub(crate) fn id_bytes(bytes: &[u8]) -> Result<[u8; 16], Failure> {
    bytes.try_into().map_err(|_| Failure::Corrupt("an id is not 16 bytes long".to_owned()))
}

/// A key as it comes out of a row.
pub(crate) fn key(bytes: &[u8]) -> Result<ObjectKey, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::Corrupt("a key is not UTF-8".to_owned()))?;
    ObjectKey::new(text).map_err(|error| Failure::Corrupt(format!("a stored key is not valid: {error}")))
}

/// The name of a configuration as it comes out of a row.
pub(crate) fn document_name(bytes: &[u8]) -> Result<String, Failure> {
    let name = std::str::from_utf8(bytes).map(str::to_owned);
    name.map_err(|_| Failure::Corrupt("the name of a configuration is not UTF-8".to_owned()))
}

/// What of an event is in its row's record.
#[derive(Serialize, Deserialize)]
struct EventRecord {
    cause: EventCause,
    event: Vec<u8>,
}

fn event_hash(place: &EventPlace, record: &[u8]) -> RowHash {
    let at = place.at.0.to_be_bytes();
    let key: [&[u8]; 4] = [place.target.as_bytes(), place.bucket.as_bytes(), &at, place.id.as_bytes()];
    row_hash("events", &key, record)
}

/// The hash and the record of an event's row.
pub(crate) fn event_row(event: &QueuedEvent) -> Result<(RowHash, Vec<u8>), Failure> {
    let record = encode(&EventRecord { cause: event.cause, event: event.event.clone() })?;
    Ok((event_hash(&event.place, &record), record))
}

/// The event of a row that was at `place`.
pub(crate) fn read_event(place: EventPlace, hash: &[u8], record: &[u8]) -> Result<QueuedEvent, Failure> {
    if event_hash(&place, record) != hash {
        return Err(Failure::Corrupt("a row of events does not match its hash".to_owned()));
    }
    let EventRecord { cause, event } = postcard::from_bytes(record)
        .map_err(|error| Failure::Corrupt(format!("a row of events cannot be decoded: {error}")))?;
    Ok(QueuedEvent { place, cause, event })
}

/// The place that the columns of an event's key tell.
pub(crate) fn event_place(
    target: &[u8],
    bucket: &[u8],
    at_ms: i64,
    id: &[u8],
) -> Result<EventPlace, Failure> {
    let target = std::str::from_utf8(target).map(str::to_owned);
    Ok(EventPlace {
        target: target.map_err(|_| Failure::Corrupt("the target of an event is not UTF-8".to_owned()))?,
        bucket: BucketId::from_bytes(id_bytes(bucket)?),
        at: UnixMillis(at_ms),
        id: WriteId::from_bytes(id_bytes(id)?),
    })
}

/// The columns of `objects` and `object_versions` in the order [`StoredObject::read`] expects.
pub(crate) const OBJECT_COLUMNS: &str = "kind, length_bytes, modified_ms, etag, storage_class, \
     checksum_algorithm, checksum_kind, version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, \
     legal_hold, row_hash, record";

/// Object lock as the columns hold it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LockColumns {
    pub(crate) mode: Option<i64>,
    pub(crate) until_ms: Option<i64>,
    pub(crate) legal_hold: i64,
}

impl LockColumns {
    /// What the columns mean. What cannot be understood is an error: it never counts as no lock.
    pub(crate) fn lock(self) -> Result<ObjectLock, Failure> {
        let unreadable = || Failure::Corrupt(format!("a version's lock cannot be understood: {self:?}"));
        let retention = match (self.mode, self.until_ms) {
            (None, None) => None,
            (Some(mode), Some(until)) => Some(Retention { mode: lock_mode(mode)?, until: UnixMillis(until) }),
            _ => return Err(unreadable()),
        };
        Ok(ObjectLock { retention, legal_hold: legal_hold(self.legal_hold)? })
    }
}

impl From<ObjectLock> for LockColumns {
    fn from(lock: ObjectLock) -> Self {
        Self {
            mode: lock.retention.map(|retention| lock_mode_code(retention.mode)),
            until_ms: lock.retention.map(|retention| retention.until.0),
            legal_hold: legal_hold_code(lock.legal_hold),
        }
    }
}

/// A version with what only the store needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredObject {
    pub(crate) row: ObjectRow,
    /// The highest order the key ever gave.
    pub(crate) top_order: u64,
}

/// What lies in `record`.
#[derive(Serialize)]
struct RecordRef<'a> {
    checksum: Option<&'a str>,
    attributes: &'a Attributes,
    content: &'a Content,
}

#[derive(Deserialize)]
struct Record {
    checksum: Option<String>,
    attributes: Attributes,
    content: Content,
}

/// The columns of a version as they are bound.
pub(crate) struct ObjectColumns<'a> {
    pub(crate) object: &'a NewObject,
    pub(crate) order: u64,
    pub(crate) top_order: u64,
    pub(crate) lock: LockColumns,
    pub(crate) record: Vec<u8>,
    pub(crate) hash: RowHash,
}

impl<'a> ObjectColumns<'a> {
    pub(crate) fn new(
        bucket: BucketId,
        key: &ObjectKey,
        object: &'a NewObject,
        (order, top_order): (u64, u64),
        lock: ObjectLock,
    ) -> Result<Self, Failure> {
        let lock = LockColumns::from(lock);
        let record = encode(&RecordRef {
            checksum: object.checksum.as_ref().map(|checksum| checksum.value.as_str()),
            attributes: &object.attributes,
            content: &object.content,
        })?;
        let mut columns = Self { object, order, top_order, lock, record, hash: RowHash::default() };
        columns.hash =
            hash_object(bucket, key.as_bytes(), columns.object, (order, top_order), lock, &columns.record);
        Ok(columns)
    }

    pub(crate) fn algorithm(&self) -> Option<i64> {
        self.object.checksum.as_ref().map(|checksum| algorithm_code(checksum.algorithm))
    }

    pub(crate) fn kind(&self) -> Option<i64> {
        self.object.checksum.as_ref().map(|checksum| kind_code(checksum.kind))
    }
}

fn hash_object(
    bucket: BucketId,
    key: &[u8],
    object: &NewObject,
    (order, top_order): (u64, u64),
    lock: LockColumns,
    record: &[u8],
) -> RowHash {
    let checksum = object.checksum.as_ref();
    let mut fixed = [0_u8; 13 * 8];
    let numbers = [
        i64::try_from(key.len()).unwrap_or(i64::MAX),
        version_kind_code(object.kind),
        object.length_bytes.cast_signed(),
        object.modified.0,
        class_code(object.storage_class),
        checksum.map_or(-1, |checksum| algorithm_code(checksum.algorithm)),
        checksum.map_or(-1, |checksum| kind_code(checksum.kind)),
        order.cast_signed(),
        top_order.cast_signed(),
        lock.mode.unwrap_or(-1),
        lock.until_ms.unwrap_or(-1),
        lock.legal_hold,
        i64::try_from(object.etag.as_str().len()).unwrap_or(i64::MAX),
    ];
    for (slot, number) in fixed.chunks_exact_mut(8).zip(numbers) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&fixed);
    hasher.update(bucket.as_bytes());
    hasher.update(object.version.as_bytes());
    hasher.update(object.write.as_bytes());
    hasher.update(key);
    hasher.update(object.etag.as_str().as_bytes());
    hasher.update(record);
    truncated(&hasher)
}

/// The columns of a version as a database gave them.
pub(crate) struct RawObject<'r> {
    pub(crate) kind: i64,
    pub(crate) length_bytes: i64,
    pub(crate) modified_ms: i64,
    pub(crate) etag: &'r str,
    pub(crate) storage_class: i64,
    pub(crate) checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    pub(crate) version: &'r [u8],
    pub(crate) order: i64,
    pub(crate) top_order: i64,
    pub(crate) write: &'r [u8],
    pub(crate) lock: LockColumns,
    pub(crate) hash: &'r [u8],
    pub(crate) record: &'r [u8],
}

impl RawObject<'_> {
    /// Decodes the columns and checks them against the row's hash.
    pub(crate) fn decode(self, bucket: BucketId, key: &[u8]) -> Result<StoredObject, Failure> {
        let record: Record = postcard::from_bytes(self.record)
            .map_err(|error| Failure::Corrupt(format!("an object record cannot be decoded: {error}")))?;
        let checksum = self.checksum.zip(record.checksum);
        let object = NewObject {
            version: VersionId::from_bytes(id_bytes(self.version)?),
            kind: version_kind(self.kind)?,
            write: WriteId::from_bytes(id_bytes(self.write)?),
            modified: UnixMillis(self.modified_ms),
            length_bytes: self.length_bytes.cast_unsigned(),
            etag: Etag::new(self.etag),
            storage_class: storage_class(self.storage_class)?,
            checksum: checksum.map(|((algorithm, kind), value)| Checksum { algorithm, kind, value }),
            attributes: record.attributes,
            content: record.content,
        };
        let (order, top_order) = (self.order.cast_unsigned(), self.top_order.cast_unsigned());
        if hash_object(bucket, key, &object, (order, top_order), self.lock, self.record) != self.hash {
            return Err(Failure::Corrupt("an object row does not match its hash".to_owned()));
        }
        let lock = self.lock.lock()?;
        Ok(StoredObject { row: ObjectRow { order, object, tag_count: 0, lock }, top_order })
    }
}

impl StoredObject {
    /// As [`StoredObject::read`], with the count of its tags (null if there are none) behind the other columns.
    pub(crate) fn read_with_tags(row: &Row<'_>, bucket: BucketId, key: &[u8]) -> Result<Self, Failure> {
        let mut stored = Self::read(row, bucket, key, 0)?;
        let tags = optional_integer(row, 16)?.unwrap_or_default();
        stored.row.tag_count = u16::try_from(tags).unwrap_or(u16::MAX);
        Ok(stored)
    }

    /// Reads, decodes and checks a row that was selected with [`OBJECT_COLUMNS`] from `first` on.
    pub(crate) fn read(row: &Row<'_>, bucket: BucketId, key: &[u8], first: usize) -> Result<Self, Failure> {
        let at = |offset: usize| first.saturating_add(offset);
        RawObject {
            kind: integer(row, at(0))?,
            length_bytes: integer(row, at(1))?,
            modified_ms: integer(row, at(2))?,
            etag: text(row, at(3))?,
            storage_class: integer(row, at(4))?,
            checksum: checksum_codes(row, at(5))?,
            version: blob(row, at(7))?,
            order: integer(row, at(8))?,
            top_order: integer(row, at(9))?,
            write: blob(row, at(10))?,
            lock: LockColumns {
                mode: optional_integer(row, at(11))?,
                until_ms: optional_integer(row, at(12))?,
                legal_hold: integer(row, at(13))?,
            },
            hash: blob(row, at(14))?,
            record: blob(row, at(15))?,
        }
        .decode(bucket, key)
    }
}

/// The two checksum columns from `first` on.
pub(crate) fn checksum_codes(
    row: &Row<'_>,
    first: usize,
) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, Failure> {
    let algorithm = optional_integer(row, first)?.map(algorithm).transpose()?;
    let kind = optional_integer(row, first.saturating_add(1))?.map(checksum_kind).transpose()?;
    Ok(algorithm.zip(kind))
}

macro_rules! codes {
    ($encode:ident, $decode:ident, $type:ty, $what:literal, $($variant:path = $code:literal),+ $(,)?) => {
        /// The number a row holds for the value. The numbers are part of the schema.
        pub(crate) fn $encode(value: $type) -> i64 {
            match value { $($variant => $code),+ }
        }

        /// The value a row's number stands for.
        pub(crate) fn $decode(code: i64) -> Result<$type, Failure> {
            match code {
                $($code => Ok($variant),)+
                _ => Err(Failure::Corrupt(format!(concat!("unknown ", $what, " {}"), code))),
            }
        }
    };
}

codes!(
    version_kind_code,
    version_kind,
    VersionKind,
    "version kind",
    VersionKind::Object = 0,
    VersionKind::DeleteMarker = 1
);
codes!(
    drive_class_code,
    drive_class,
    DriveClass,
    "drive class",
    DriveClass::Untold = 0,
    DriveClass::Ssd = 1,
    DriveClass::Hdd = 2
);
codes!(
    kind_code,
    checksum_kind,
    ChecksumKind,
    "checksum kind",
    ChecksumKind::FullObject = 0,
    ChecksumKind::Composite = 1
);
codes!(
    legal_hold_code,
    legal_hold,
    LegalHold,
    "legal hold",
    LegalHold::Unset = 0,
    LegalHold::On = 1,
    LegalHold::Off = 2
);
codes!(lock_mode_code, lock_mode, LockMode, "lock mode", LockMode::Governance = 0, LockMode::Compliance = 1);
codes!(
    algorithm_code,
    algorithm,
    ChecksumAlgorithm,
    "checksum algorithm",
    ChecksumAlgorithm::Crc32 = 0,
    ChecksumAlgorithm::Crc32c = 1,
    ChecksumAlgorithm::Crc64Nvme = 2,
    ChecksumAlgorithm::Sha1 = 3,
    ChecksumAlgorithm::Sha256 = 4,
    ChecksumAlgorithm::Sha512 = 5,
    ChecksumAlgorithm::Md5 = 6,
    ChecksumAlgorithm::Xxhash64 = 7,
    ChecksumAlgorithm::Xxhash3 = 8,
    ChecksumAlgorithm::Xxhash128 = 9
);
codes!(
    class_code,
    storage_class,
    StorageClass,
    "storage class",
    StorageClass::Standard = 0,
    StorageClass::ReducedRedundancy = 1,
    StorageClass::StandardIa = 2,
    StorageClass::OnezoneIa = 3,
    StorageClass::IntelligentTiering = 4,
    StorageClass::Glacier = 5,
    StorageClass::DeepArchive = 6,
    StorageClass::GlacierIr = 7
);
