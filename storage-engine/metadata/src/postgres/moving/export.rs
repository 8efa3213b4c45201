//! Reading everything, page by page along the primary keys.

use granary_types::{BlobId, BucketId, ObjectKey, WriteId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::super::connect::Session;
use super::super::failure::Failure;
use super::super::sql::{
    events as event_statements, identities as statements, moving, objects, volumes, warm,
};
use super::super::{events, identities, rows};
use crate::model::BucketDocument;
use crate::moving::{Entry, Page, Place, Table, VersionEntry};
use crate::sqlite::codec::{decode_checked, document_name, encode};

/// Where a walk stands: the columns of the primary key, in the places their types have.
#[derive(Default, Serialize, Deserialize)]
struct At {
    first: Vec<u8>,
    second: Vec<u8>,
    number: i64,
    last: Vec<u8>,
}

impl At {
    fn start() -> Self {
        Self { number: i64::MIN, ..Self::default() }
    }

    fn one(row: &PgRow, column: usize) -> Result<Self, Failure> {
        Ok(Self { first: rows::bytes(row, column)?.to_vec(), ..Self::default() })
    }

    fn two(row: &PgRow, first: usize) -> Result<Self, Failure> {
        let second = rows::bytes(row, first.saturating_add(1))?.to_vec();
        Ok(Self { second, ..Self::one(row, first)? })
    }
}

/// A name for the store: a hash over the ids of all drives it ever had.
pub(super) async fn store_name(session: &mut Session) -> Result<[u8; 16], Failure> {
    let mut hasher = blake3::Hasher::new();
    let mut after = None;
    loop {
        let page = page(session, Table::Drives, after.as_ref(), 1_000).await?;
        for entry in &page.entries {
            if let Some(drive) = entry.drive() {
                hasher.update(drive.id.as_bytes());
            }
        }
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    let mut name = [0_u8; 16];
    hasher.finalize_xof().fill(&mut name);
    Ok(name)
}

pub(super) async fn count(session: &mut Session, table: Table) -> Result<u64, Failure> {
    let statement = match table {
        Table::Drives => moving::COUNT_DRIVES,
        Table::Volumes => moving::COUNT_VOLUMES,
        Table::Buckets => moving::COUNT_BUCKETS,
        Table::Blobs => moving::COUNT_BLOBS,
        Table::References => moving::COUNT_REFERENCES,
        Table::Objects => moving::COUNT_OBJECTS,
        Table::Versions => moving::COUNT_VERSIONS,
        Table::Uploads => moving::COUNT_UPLOADS,
        Table::Parts => moving::COUNT_PARTS,
        Table::Tags => moving::COUNT_TAGS,
        Table::Documents => moving::COUNT_DOCUMENTS,
        Table::Identities => statements::COUNT,
        Table::Acls => moving::COUNT_ACLS,
        Table::Events => moving::COUNT_EVENTS,
        Table::Restores => moving::COUNT_RESTORES,
        Table::Warmth => moving::COUNT_WARMTH,
    };
    let rows = session.fetch(sqlx::query(statement)).await?;
    rows.first().map_or(Ok(0), |row| super::super::rows::unsigned(row, 0))
}

pub(in crate::postgres) async fn page(
    session: &mut Session,
    table: Table,
    after: Option<&Place>,
    limit: u32,
) -> Result<Page, Failure> {
    let at = match after {
        None => At::start(),
        Some(place) => postcard::from_bytes(&place.0)
            .map_err(|_| Failure::Corrupt("the place a copy was at cannot be decoded".to_owned()))?,
    };
    let limit = i64::from(limit);
    let query = match table {
        Table::Drives => sqlx::query(moving::WALK_DRIVES).bind(at.first),
        Table::Volumes => sqlx::query(volumes::LIST).bind(at.first),
        Table::Buckets => sqlx::query(moving::WALK_BUCKETS).bind(at.first),
        Table::Blobs => sqlx::query(moving::WALK_BLOBS).bind(at.first),
        Table::References => sqlx::query(moving::WALK_REFERENCES).bind(at.first).bind(at.second),
        Table::Objects => sqlx::query(objects::WALK_COUNTED).bind(at.first).bind(at.second),
        Table::Versions => sqlx::query(objects::WALK_OLDER).bind(at.first).bind(at.second).bind(at.number),
        Table::Uploads => {
            sqlx::query(moving::WALK_UPLOADS).bind(at.first).bind(at.second).bind(at.number).bind(at.last)
        }
        Table::Parts => sqlx::query(moving::WALK_PARTS).bind(at.first).bind(at.second).bind(at.number),
        Table::Tags => sqlx::query(moving::WALK_TAGS).bind(at.first).bind(at.second).bind(at.last),
        Table::Acls => sqlx::query(moving::WALK_ACLS).bind(at.first).bind(at.second).bind(at.last),
        Table::Events => {
            sqlx::query(event_statements::LIST).bind(at.first).bind(at.second).bind(at.number).bind(at.last)
        }
        Table::Restores => sqlx::query(moving::WALK_RESTORES).bind(at.first).bind(at.second).bind(at.last),
        Table::Warmth => sqlx::query(warm::AFTER).bind(at.first).bind(at.second).bind(at.last),
        Table::Documents => sqlx::query(moving::WALK_DOCUMENTS).bind(at.first).bind(at.second),
        Table::Identities => sqlx::query(statements::LIST).bind(at.first),
    };
    let found = session.fetch(query.bind(limit)).await?;
    let mut page = Page { entries: Vec::with_capacity(found.len()), next: None };
    for row in &found {
        page.entries.push(entry(table, row)?);
    }
    if let Some(last) = found.last() {
        page.next = Some(Place(encode(&place(table, last)?)?));
    }
    Ok(page)
}

fn entry(table: Table, row: &PgRow) -> Result<Entry, Failure> {
    Ok(match table {
        Table::Drives => Entry::of_drive(rows::drive(row)?),
        Table::Volumes => {
            let (volume, items) = rows::volume(row)?;
            Entry::Volume(volume, items)
        }
        Table::Buckets => Entry::Bucket(rows::record("buckets", row, 0)?),
        Table::Blobs => {
            let (id, extents) = rows::blob(row)?;
            Entry::Blob(id, extents)
        }
        Table::References => Entry::Reference(BlobId::from_bytes(rows::id(row, 0)?), referrer(row)?),
        Table::Objects => {
            Entry::Object(version(row, rows::unsigned(row, rows::OBJECT_COLUMNS.saturating_add(2))?)?)
        }
        Table::Versions => Entry::Version(version(row, 0)?),
        Table::Uploads => Entry::Upload(rows::upload(row, 0)?),
        Table::Parts => {
            let (bucket, upload, part) = rows::part(row)?;
            Entry::Part(bucket, upload, part)
        }
        Table::Events => Entry::Event(events::event(row)?),
        Table::Tags => {
            let (bucket, key, write, tags) = side("object_tags", row)?;
            Entry::Tags(bucket, key, write, tags)
        }
        Table::Acls => {
            let (bucket, key, write, acl) = side("object_acls", row)?;
            Entry::Acl(bucket, key, write, acl)
        }
        Table::Restores => {
            let (bucket, key, write, restored) = side("object_restores", row)?;
            Entry::Restore(bucket, key, write, restored)
        }
        Table::Warmth => {
            let (bucket, key, write, warm) = side("object_warmth", row)?;
            Entry::Warm(bucket, key, write, warm)
        }
        Table::Documents => document(row)?,
        Table::Identities => Entry::Identity(identities::document(row)?),
    })
}

/// A row of a table beside the versions: whose it is, and what it says.
fn side<T: DeserializeOwned>(table: &str, row: &PgRow) -> Result<(BucketId, ObjectKey, WriteId, T), Failure> {
    let place = [rows::bytes(row, 0)?, rows::bytes(row, 1)?, rows::bytes(row, 2)?];
    let value = decode_checked(table, &place, rows::bytes(row, 3)?, rows::bytes(row, 4)?)?;
    let (bucket, key) = rows::place(row, 0)?;
    Ok((bucket, key, WriteId::from_bytes(rows::id(row, 2)?), value))
}

fn document(row: &PgRow) -> Result<Entry, Failure> {
    let place = [rows::bytes(row, 0)?, rows::bytes(row, 1)?];
    let document = decode_checked("bucket_documents", &place, rows::bytes(row, 2)?, rows::bytes(row, 3)?)?;
    let name = document_name(rows::bytes(row, 1)?)?;
    Ok(Entry::Document(BucketDocument {
        bucket: BucketId::from_bytes(rows::id(row, 0)?),
        name,
        document: Some(document),
    }))
}

fn referrer(row: &PgRow) -> Result<[u8; 20], Failure> {
    let bytes = rows::bytes(row, 1)?;
    bytes.try_into().map_err(|_| Failure::Corrupt("a reference to a blob is not 20 bytes long".to_owned()))
}

fn version(row: &PgRow, older_count: u64) -> Result<VersionEntry, Failure> {
    let (bucket, key) = rows::place(row, rows::OBJECT_COLUMNS)?;
    let stored = rows::object(row, bucket, key.as_bytes())?;
    Ok(VersionEntry::new(bucket, key, stored, older_count))
}

/// The place behind a row.
fn place(table: Table, row: &PgRow) -> Result<At, Failure> {
    let objects = rows::OBJECT_COLUMNS;
    Ok(match table {
        Table::Drives | Table::Volumes | Table::Buckets | Table::Blobs | Table::Identities => {
            At::one(row, 0)?
        }
        Table::References => At::two(row, 0)?,
        Table::Objects => At::two(row, objects)?,
        Table::Versions => At { number: row.try_get(8)?, ..At::two(row, objects)? },
        Table::Uploads => {
            At { number: row.try_get(5)?, last: rows::bytes(row, 0)?.to_vec(), ..At::two(row, 3)? }
        }
        Table::Parts => At { number: i64::from(row.try_get::<i32, _>(2)?), ..At::two(row, 0)? },
        Table::Events => {
            At { number: row.try_get(2)?, last: rows::bytes(row, 3)?.to_vec(), ..At::two(row, 0)? }
        }
        Table::Tags | Table::Acls | Table::Restores | Table::Warmth => {
            At { last: rows::bytes(row, 2)?.to_vec(), ..At::two(row, 0)? }
        }
        Table::Documents => At::two(row, 0)?,
    })
}
