//! Reading everything the embedded store knows, page by page along the primary keys.

use async_trait::async_trait;
use granary_types::{BlobId, BucketId, ObjectKey, UploadId, WriteId};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use serde::de::DeserializeOwned;

use super::apply::uploads::PartRecord;
use super::apply::{StoredVolume, read_upload};
use super::codec::{
    OBJECT_COLUMNS, StoredObject, blob, decode_checked, document_name, drive_class, id_bytes, key,
};
use super::failure::Failure;
use super::queue::Lane;
use super::read::event;
use super::schema;
use super::store::SqliteStore;
use crate::error::Result;
use crate::model::{BucketDocument, DriveRow, IdentityDocument};
use crate::moving::{Entry, Export, Page, Place, Source, Table, VersionEntry};

/// Makes an entry of a row.
type Decode = fn(&Row<'_>) -> Result<Entry, Failure>;

/// How a table is walked.
struct Walk {
    select: String,
    /// The primary key, whose columns come first in `select`.
    key: &'static [&'static str],
    decode: Decode,
}

fn walk(table: Table) -> Walk {
    let small = |table: &str, id: &str| format!("SELECT {id}, row_hash, record FROM {table}");
    let beside = |table: &str| format!("SELECT bucket_id, key, write_id, row_hash, record FROM {table}");
    let object = |table: &str, head: &str| format!("SELECT {head}, {OBJECT_COLUMNS} FROM {table} o");
    let (select, key, decode): (String, &[&str], Decode) = match table {
        Table::Drives => ("SELECT id, row_hash, record, class FROM drives".to_owned(), &["id"], |row| {
            let found: DriveRow = record("drives", row)?;
            Ok(Entry::of_drive(DriveRow { class: drive_class(row.get(3)?)?, ..found }))
        }),
        Table::Volumes => (small("volumes", "id"), &["id"], |row| {
            let stored: StoredVolume = record("volumes", row)?;
            Ok(Entry::Volume(stored.row, stored.live_items))
        }),
        Table::Buckets => {
            (small("buckets", "name"), &["name"], |row| Ok(Entry::Bucket(record("buckets", row)?)))
        }
        Table::Blobs => (small("blobs", "id"), &["id"], |row| {
            Ok(Entry::Blob(BlobId::from_bytes(id_bytes(blob(row, 0)?)?), record("blobs", row)?))
        }),
        Table::References => {
            ("SELECT blob_id, referrer FROM blob_refs".to_owned(), &["blob_id", "referrer"], reference)
        }
        Table::Objects => (
            object(
                "objects",
                "bucket_id, key, (SELECT count(*) FROM object_versions v WHERE v.bucket_id = o.bucket_id \
                 AND v.key = o.key)",
            ),
            &["bucket_id", "key"],
            |row| Ok(Entry::Object(version(row, row.get::<_, i64>(2)?.cast_unsigned(), 3)?)),
        ),
        Table::Versions => {
            (object("object_versions", "bucket_id, key, ord"), &["bucket_id", "key", "ord"], |row| {
                Ok(Entry::Version(version(row, 0, 3)?))
            })
        }
        Table::Uploads => (
            "SELECT bucket_id, key, initiated_ms, upload_id, row_hash, record FROM uploads".to_owned(),
            &["bucket_id", "key", "initiated_ms", "upload_id"],
            |row| Ok(Entry::Upload(read_upload(blob(row, 3)?, row, 4)?)),
        ),
        Table::Parts => (
            "SELECT upload_id, number, \
             (SELECT u.bucket_id FROM uploads u WHERE u.upload_id = parts.upload_id), \
             row_hash, record FROM parts"
                .to_owned(),
            &["upload_id", "number"],
            part,
        ),
        Table::Events => events(),
        Table::Tags => (beside("object_tags"), &["bucket_id", "key", "write_id"], tags),
        Table::Acls => (beside("object_acls"), &["bucket_id", "key", "write_id"], acl),
        Table::Restores => (beside("object_restores"), &["bucket_id", "key", "write_id"], restore),
        Table::Warmth => (beside("object_warmth"), &["bucket_id", "key", "write_id"], warm),
        Table::Documents => (
            "SELECT bucket_id, name, row_hash, record FROM bucket_documents".to_owned(),
            &["bucket_id", "name"],
            document,
        ),
        Table::Identities => (small("identities", "name"), &["name"], |row| {
            let (name, document) = (document_name(blob(row, 0)?)?, Some(record("identities", row)?));
            Ok(Entry::Identity(IdentityDocument { name, document }))
        }),
    };
    Walk { select, key, decode }
}

fn events() -> (String, &'static [&'static str], Decode) {
    let select = "SELECT target, bucket_id, at_ms, id, row_hash, record FROM events".to_owned();
    (select, &["target", "bucket_id", "at_ms", "id"], |row| Ok(Entry::Event(event(row)?)))
}

/// A row of the small tables, selected as `key, row_hash, record`.
fn record<T: DeserializeOwned>(table: &str, row: &Row<'_>) -> Result<T, Failure> {
    decode_checked(table, &[blob(row, 0)?], blob(row, 1)?, blob(row, 2)?)
}

fn reference(row: &Row<'_>) -> Result<Entry, Failure> {
    let referrer = blob(row, 1)?
        .try_into()
        .map_err(|_| Failure::Corrupt("a reference to a blob is not 20 bytes long".to_owned()))?;
    Ok(Entry::Reference(BlobId::from_bytes(id_bytes(blob(row, 0)?)?), referrer))
}

fn version(row: &Row<'_>, older_count: u64, first: usize) -> Result<VersionEntry, Failure> {
    let bucket = BucketId::from_bytes(id_bytes(blob(row, 0)?)?);
    let stored = StoredObject::read(row, bucket, blob(row, 1)?, first)?;
    Ok(VersionEntry::new(bucket, key(blob(row, 1)?)?, stored, older_count))
}

fn part(row: &Row<'_>) -> Result<Entry, Failure> {
    let upload = UploadId::from_bytes(id_bytes(blob(row, 0)?)?);
    let bucket = row
        .get::<_, Option<Vec<u8>>>(2)?
        .ok_or_else(|| Failure::Corrupt(format!("a part belongs to no upload: {upload}")))?;
    let number: u16 = row.get(1)?;
    let key: [&[u8]; 2] = [upload.as_bytes(), &number.to_be_bytes()];
    let record: PartRecord = decode_checked("parts", &key, blob(row, 3)?, blob(row, 4)?)?;
    Ok(Entry::Part(BucketId::from_bytes(id_bytes(&bucket)?), upload, record.numbered(number)?))
}

/// A row of a table beside the versions: whose it is, and what it says.
fn side<T: DeserializeOwned>(
    table: &str,
    row: &Row<'_>,
) -> Result<(BucketId, ObjectKey, WriteId, T), Failure> {
    let place = [blob(row, 0)?, blob(row, 1)?, blob(row, 2)?];
    let [bucket, object, write] = place;
    let value = decode_checked(table, &place, blob(row, 3)?, blob(row, 4)?)?;
    let (bucket, write) = (BucketId::from_bytes(id_bytes(bucket)?), WriteId::from_bytes(id_bytes(write)?));
    Ok((bucket, key(object)?, write, value))
}

fn tags(row: &Row<'_>) -> Result<Entry, Failure> {
    side("object_tags", row).map(|(bucket, key, write, tags)| Entry::Tags(bucket, key, write, tags))
}

fn acl(row: &Row<'_>) -> Result<Entry, Failure> {
    side("object_acls", row).map(|(bucket, key, write, acl)| Entry::Acl(bucket, key, write, acl))
}

fn restore(row: &Row<'_>) -> Result<Entry, Failure> {
    let read = side("object_restores", row);
    read.map(|(bucket, key, write, restored)| Entry::Restore(bucket, key, write, restored))
}

fn warm(row: &Row<'_>) -> Result<Entry, Failure> {
    side("object_warmth", row).map(|(bucket, key, write, warm)| Entry::Warm(bucket, key, write, warm))
}

fn document(row: &Row<'_>) -> Result<Entry, Failure> {
    let place = [blob(row, 0)?, blob(row, 1)?];
    let [bucket, name] = place;
    let document = decode_checked("bucket_documents", &place, blob(row, 2)?, blob(row, 3)?)?;
    let bucket = BucketId::from_bytes(id_bytes(bucket)?);
    Ok(Entry::Document(BucketDocument { bucket, name: document_name(name)?, document: Some(document) }))
}

/// A place is the key's columns: integers and blobs.
#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    Number(i64),
    Bytes(Vec<u8>),
}

fn place(row: &Row<'_>, columns: usize) -> Result<Place, Failure> {
    let mut parts = Vec::with_capacity(columns);
    for column in 0..columns {
        parts.push(match row.get::<_, Value>(column)? {
            Value::Integer(number) => Part::Number(number),
            Value::Blob(bytes) => Part::Bytes(bytes),
            _ => return Err(Failure::Corrupt("a key has a column of a wrong type".to_owned())),
        });
    }
    super::codec::encode(&parts).map(Place)
}

fn values(place: &Place) -> Result<Vec<Value>, Failure> {
    let parts: Vec<Part> = postcard::from_bytes(&place.0)
        .map_err(|_| Failure::Corrupt("the place a copy was at cannot be decoded".to_owned()))?;
    Ok(parts
        .into_iter()
        .map(|part| match part {
            Part::Number(number) => Value::Integer(number),
            Part::Bytes(bytes) => Value::Blob(bytes),
        })
        .collect())
}

/// One page of a table.
pub(super) fn page(
    connection: &Connection,
    table: Table,
    after: Option<&Place>,
    limit: u32,
) -> Result<Page, Failure> {
    let Walk { select, key, decode } = walk(table);
    let columns = key.join(", ");
    let mut bound = after.map(values).transpose()?.unwrap_or_default();
    let condition = if bound.is_empty() {
        String::new()
    } else {
        let marks: Vec<String> = (1..=bound.len()).map(|number| format!("?{number}")).collect();
        format!("WHERE ({columns}) > ({})", marks.join(", "))
    };
    bound.push(Value::Integer(i64::from(limit)));
    let mark = bound.len();
    let sql = format!("{select} {condition} ORDER BY {columns} LIMIT ?{mark}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(bound))?;
    let mut page = Page { entries: Vec::new(), next: None };
    while let Some(row) = rows.next()? {
        page.entries.push(decode(row)?);
        page.next = Some(place(row, key.len())?);
    }
    Ok(page)
}

/// The table's name.
pub(super) const fn table_name(table: Table) -> &'static str {
    match table {
        Table::Drives => "drives",
        Table::Volumes => "volumes",
        Table::Buckets => "buckets",
        Table::Blobs => "blobs",
        Table::References => "blob_refs",
        Table::Objects => "objects",
        Table::Versions => "object_versions",
        Table::Uploads => "uploads",
        Table::Parts => "parts",
        Table::Tags => "object_tags",
        Table::Documents => "bucket_documents",
        Table::Identities => "identities",
        Table::Acls => "object_acls",
        Table::Events => "events",
        Table::Restores => "object_restores",
        Table::Warmth => "object_warmth",
    }
}

pub(super) fn count(connection: &Connection, table: Table) -> Result<u64, Failure> {
    let sql = format!("SELECT count(*) FROM {}", table_name(table));
    Ok(connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

pub(super) fn source(connection: &Connection) -> Result<Source, Failure> {
    let position = schema::position(connection)?
        .ok_or_else(|| Failure::Corrupt("the database has no position".to_owned()))?;
    let mut state = blake3::Hasher::new();
    state.update(&position.seq.to_le_bytes());
    state.update(&position.chain);
    Ok(Source { store: position.store, state: *state.finalize().as_bytes() })
}

#[async_trait]
impl Export for SqliteStore {
    async fn source(&self) -> Result<Source> {
        self.read(Lane::Long, source).await
    }

    async fn count(&self, table: Table) -> Result<u64> {
        self.read(Lane::Long, move |connection| count(connection, table)).await
    }

    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page> {
        let after = after.cloned();
        self.read(Lane::Long, move |connection| page(connection, table, after.as_ref(), limit)).await
    }
}
