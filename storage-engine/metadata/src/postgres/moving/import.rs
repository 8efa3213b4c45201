//! Filling an empty database with what another store knew.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::super::batch::side::{Beside, BesideRows, TagRows};
use super::super::batch::store_objects::Versions;
use super::super::batch::warm::WarmRows;
use super::super::connect::{CallFailure, Session, Statement};
use super::super::failure::{Failure, is_rolled_back};
use super::super::ops::{put_drive, store_document};
use super::super::sql::{self, blobs, moving, objects, uploads};
use super::super::{events, identities, usage};
use crate::model::{
    Bucket, BucketDocument, DriveRow, IdentityDocument, NewUpload, PartRow, QueuedEvent, UsageDeltas,
    VolumeRow, VolumeState,
};
use crate::moving::{CopyState, Entry, VersionEntry};
use crate::sqlite::apply::uploads::PartRecord;
use crate::sqlite::codec::{RowHash, StoredObject, encode, row_hash};

/// What the one row of `granary_copy` tells.
#[derive(Serialize, Deserialize)]
pub(super) enum Mark {
    /// A copy into this database, finished or not.
    Copy(CopyState),
    /// The metadata was moved to the place that is named, and must not be opened here any more.
    Moved(String),
}

fn decode(row: &sqlx::postgres::PgRow) -> Result<Option<Mark>, Failure> {
    let bytes: &[u8] = row.try_get(0)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let mark = postcard::from_bytes(bytes);
    mark.map(Some).map_err(|_| Failure::Corrupt("the row that tells of a copy cannot be decoded".to_owned()))
}

/// What is marked in this database, if anything.
pub(super) async fn mark(session: &mut Session) -> Result<Option<Mark>, Failure> {
    let tables = session.fetch(sqlx::query(moving::TABLE_EXISTS)).await?;
    if tables.first().map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or_default() == 0 {
        return Ok(None);
    }
    let rows = session.fetch(sqlx::query(moving::READ_STATE)).await?;
    rows.first().map_or(Ok(None), decode)
}

/// The copy that was begun in this database, if one was.
pub(super) async fn state(session: &mut Session) -> Result<Option<CopyState>, Failure> {
    match mark(session).await? {
        Some(Mark::Copy(state)) => Ok(Some(state)),
        Some(Mark::Moved(_)) | None => Ok(None),
    }
}

/// How many other sessions use the database.
pub(super) async fn others(session: &mut Session) -> Result<u64, Failure> {
    let rows = session.fetch(sqlx::query(moving::OTHER_SESSIONS)).await?;
    rows.first().map_or(Ok(0), |row| super::super::rows::unsigned(row, 0))
}

/// Marks the metadata here as moved.
pub(super) async fn set_moved(session: &mut Session, to: &str) -> Result<(), Failure> {
    session.run(moving::CREATE_TABLE).await?;
    session.execute(sqlx::query(moving::FIRST_ROW).bind(Vec::<u8>::new())).await?;
    let bytes = encode(&Mark::Moved(to.to_owned()))?;
    session.execute(sqlx::query(moving::SET_STATE).bind(bytes)).await.map(drop)
}

pub(super) async fn begin(session: &mut Session, state: &CopyState) -> Result<(), Failure> {
    session.run(moving::CREATE_TABLE).await?;
    session.execute(sqlx::query(moving::FIRST_ROW).bind(Vec::<u8>::new())).await?;
    session.run(sql::BEGIN).await?;
    let done = begin_locked(session, state).await;
    end(session, done).await
}

async fn begin_locked(session: &mut Session, state: &CopyState) -> Result<(), Failure> {
    match locked(session).await? {
        Some(found) if found == *state => return Ok(()),
        Some(found) if !found.complete && found.source.store == state.source.store => {
            tracing::warn!("the source has changed since the copy was begun: it is begun anew");
            session.run(moving::EMPTY).await?;
        }
        Some(found) if !found.complete => {
            let why = "the database holds an unfinished copy of another store; give an empty database";
            return Err(Failure::Refused(why.to_owned()));
        }
        _ => {}
    }
    let rows = session.fetch(sqlx::query(moving::IN_USE)).await?;
    if rows.first().map(|row| row.try_get::<bool, _>(0)).transpose()?.unwrap_or_default() {
        let why = "the database holds the metadata of a store already; give an empty database";
        return Err(Failure::Refused(why.to_owned()));
    }
    set(session, state).await
}

async fn locked(session: &mut Session) -> Result<Option<CopyState>, Failure> {
    let rows = session.fetch(sqlx::query(moving::LOCK_STATE)).await?;
    match rows.first().map_or(Ok(None), decode)? {
        Some(Mark::Copy(state)) => Ok(Some(state)),
        Some(Mark::Moved(_)) | None => Ok(None),
    }
}

async fn set(session: &mut Session, state: &CopyState) -> Result<(), Failure> {
    let bytes = encode(&Mark::Copy(state.clone()))?;
    session.execute(sqlx::query(moving::SET_STATE).bind(bytes)).await.map(drop)
}

/// Ends the transaction in which a step was done, or failed. When the connection dies here the step is tried again, and
/// finds its own state if it was committed.
async fn end(session: &mut Session, done: Result<(), Failure>) -> Result<(), Failure> {
    if let Err(failure) = done {
        session.run(sql::ROLLBACK).await?;
        return Err(failure);
    }
    match session.run(sql::COMMIT).await {
        Err(CallFailure::Answered(error)) if !is_rolled_back(&error) => Err(Failure::Lost(error.to_string())),
        result => Ok(result?),
    }
}

pub(super) async fn store(
    session: &mut Session,
    entries: &[Entry],
    before: &CopyState,
    after: &CopyState,
) -> Result<(), Failure> {
    session.run(sql::BEGIN).await?;
    let done = store_locked(session, entries, before, after).await;
    end(session, done).await
}

async fn store_locked(
    session: &mut Session,
    entries: &[Entry],
    before: &CopyState,
    after: &CopyState,
) -> Result<(), Failure> {
    let found = locked(session).await?;
    // The answer to the commit was lost: the step was done.
    if found.as_ref() == Some(after) {
        return Ok(());
    }
    if found.as_ref() != Some(before) {
        return Err(Failure::Refused("another copy writes to this database".to_owned()));
    }
    insert(session, entries).await?;
    set(session, after).await
}

/// The entries of one table, by kind.
struct Sorted<'e> {
    drives: Vec<DriveRow>,
    volumes: Vec<(&'e VolumeRow, u64)>,
    buckets: Vec<&'e Bucket>,
    blobs: Vec<([u8; 16], RowHash, Vec<u8>)>,
    references: Vec<([u8; 16], [u8; 20])>,
    current: Vec<&'e VersionEntry>,
    older: Vec<&'e VersionEntry>,
    uploads: Vec<&'e NewUpload>,
    parts: Vec<([u8; 16], [u8; 16], &'e PartRow)>,
    tags: TagRows<'e>,
    acls: BesideRows<'e>,
    restores: BesideRows<'e>,
    warmth: WarmRows<'e>,
    documents: Vec<&'e BucketDocument>,
    identities: Vec<&'e IdentityDocument>,
    events: Vec<&'e QueuedEvent>,
    /// What the entries add to what buckets hold.
    used: UsageDeltas,
}

impl Sorted<'_> {
    fn new() -> Self {
        Self {
            drives: Vec::new(),
            volumes: Vec::new(),
            buckets: Vec::new(),
            blobs: Vec::new(),
            references: Vec::new(),
            current: Vec::new(),
            older: Vec::new(),
            uploads: Vec::new(),
            parts: Vec::new(),
            tags: TagRows::default(),
            acls: BesideRows::new(Beside::Acl),
            restores: BesideRows::new(Beside::Restore),
            warmth: WarmRows::default(),
            documents: Vec::new(),
            identities: Vec::new(),
            events: Vec::new(),
            used: UsageDeltas::default(),
        }
    }
}

async fn insert(session: &mut Session, entries: &[Entry]) -> Result<(), Failure> {
    let mut sorted = Sorted::new();
    for entry in entries {
        sorted.used.put_entry(entry);
        match entry {
            Entry::Drive(_) | Entry::ClassedDrive(..) => sorted.drives.extend(entry.drive()),
            Entry::Volume(row, items) => sorted.volumes.push((row, *items)),
            Entry::Bucket(bucket) => sorted.buckets.push(bucket),
            Entry::Blob(id, extents) => {
                let record = encode(extents)?;
                sorted.blobs.push((*id.as_bytes(), row_hash("blobs", &[id.as_bytes()], &record), record));
            }
            Entry::Reference(id, referrer) => sorted.references.push((*id.as_bytes(), *referrer)),
            Entry::Object(version) => sorted.current.push(version),
            Entry::Version(version) => sorted.older.push(version),
            Entry::Upload(upload) => sorted.uploads.push(upload),
            Entry::Part(bucket, upload, part) => {
                sorted.parts.push((*bucket.as_bytes(), *upload.as_bytes(), part));
            }
            Entry::Tags(bucket, key, write, tags) => sorted.tags.push(*bucket, key, *write, tags)?,
            Entry::Acl(bucket, key, write, acl) => sorted.acls.push((*bucket, key, *write), acl)?,
            Entry::Restore(bucket, key, write, restored) => {
                sorted.restores.push((*bucket, key, *write), restored)?;
            }
            Entry::Warm(bucket, key, write, warm) => sorted.warmth.push((*bucket, key, *write), warm)?,
            Entry::Document(document) => sorted.documents.push(document),
            Entry::Identity(identity) => sorted.identities.push(identity),
            Entry::Event(event) => sorted.events.push(event),
        }
    }
    for drive in &sorted.drives {
        // Whose drive it is, its node says when it starts.
        let _done = put_drive(session, drive, None).await?;
    }
    run(session, volume_rows(&sorted.volumes), sorted.volumes.len()).await?;
    run(session, bucket_rows(&sorted.buckets)?, sorted.buckets.len()).await?;
    run(session, blob_rows(&mut sorted.blobs), sorted.blobs.len()).await?;
    run(session, reference_rows(&sorted.references), sorted.references.len()).await?;
    insert_versions(session, &sorted.current, objects::INSERT).await?;
    insert_versions(session, &sorted.older, objects::UPSERT_OLDER).await?;
    run(session, upload_rows(&sorted.uploads)?, sorted.uploads.len()).await?;
    run(session, part_rows(&sorted.parts)?, sorted.parts.len()).await?;
    let tags = sorted.tags.len();
    run(session, sorted.tags.bind(), tags).await?;
    for rows in [sorted.acls, sorted.restores] {
        let count = rows.len();
        run(session, rows.bind(), count).await?;
    }
    let warmth = sorted.warmth.len();
    run(session, sorted.warmth.bind(), warmth).await?;
    for document in &sorted.documents {
        store_document(session, document).await?;
    }
    for identity in &sorted.identities {
        identities::store(session, identity).await?;
    }
    events::store(session, &sorted.events).await?;
    usage::add(session, &sorted.used).await
}

/// Runs an insert of that many rows; each must be new.
async fn run(session: &mut Session, statement: Statement<'static>, rows: usize) -> Result<(), Failure> {
    if rows == 0 {
        return Ok(());
    }
    let inserted = session.execute(statement).await?;
    if usize::try_from(inserted) == Ok(rows) {
        return Ok(());
    }
    Err(Failure::Refused(format!("{rows} rows were to be copied and {inserted} were new in the database")))
}

fn volume_rows(rows: &[(&VolumeRow, u64)]) -> Statement<'static> {
    let all = |value: fn(&VolumeRow) -> i64| rows.iter().map(|(row, _)| value(row)).collect::<Vec<i64>>();
    let small = |value: fn(&VolumeRow) -> i16| rows.iter().map(|(row, _)| value(row)).collect::<Vec<i16>>();
    let drives = |row: &VolumeRow| -> Vec<u8> {
        row.volume.drives.iter().flat_map(|drive| *drive.as_bytes()).collect()
    };
    sqlx::query(moving::INSERT_VOLUMES)
        .bind(rows.iter().map(|(row, _)| *row.volume.id.as_bytes()).collect::<Vec<[u8; 16]>>())
        .bind(small(|row| i16::from(row.volume.data_columns)))
        .bind(small(|row| i16::from(row.volume.parity_columns)))
        .bind(rows.iter().map(|(row, _)| drives(row)).collect::<Vec<Vec<u8>>>())
        .bind(all(|row| row.volume.opened.0))
        .bind(small(|row| match row.state {
            VolumeState::Open => 0,
            VolumeState::Sealed => 1,
            VolumeState::Freed => 2,
        }))
        .bind(all(|row| row.epoch.0.cast_signed()))
        .bind(all(|row| row.committed_end.cast_signed()))
        .bind(all(|row| row.stored_bytes.cast_signed()))
        .bind(all(|row| row.live_bytes.cast_signed()))
        .bind(rows.iter().map(|(_, items)| items.cast_signed()).collect::<Vec<i64>>())
        .bind(rows.iter().map(|(row, _)| row.freed.map(|at| at.0)).collect::<Vec<Option<i64>>>())
}

fn bucket_rows(buckets: &[&Bucket]) -> Result<Statement<'static>, Failure> {
    let (mut names, mut ids, mut hashes, mut records) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for bucket in buckets {
        let name = bucket.name.as_str().as_bytes();
        let record = encode(bucket)?;
        names.push(name.to_vec());
        ids.push(*bucket.id.as_bytes());
        hashes.push(row_hash("buckets", &[name], &record));
        records.push(record);
    }
    Ok(sqlx::query(moving::INSERT_BUCKETS).bind(names).bind(ids).bind(hashes).bind(records))
}

fn blob_rows(rows: &mut [([u8; 16], RowHash, Vec<u8>)]) -> Statement<'static> {
    sqlx::query(blobs::UPSERT)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<[u8; 16]>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<RowHash>>())
        .bind(rows.iter_mut().map(|row| std::mem::take(&mut row.2)).collect::<Vec<Vec<u8>>>())
}

fn reference_rows(rows: &[([u8; 16], [u8; 20])]) -> Statement<'static> {
    sqlx::query(blobs::INSERT_REFERENCES)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<[u8; 16]>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<[u8; 20]>>())
}

async fn insert_versions(
    session: &mut Session,
    entries: &[&VersionEntry],
    statement: &'static str,
) -> Result<(), Failure> {
    let stored = entries.iter().map(|entry| entry.stored()).collect::<Result<Vec<StoredObject>, _>>()?;
    let mut versions = Versions::default();
    for (entry, stored) in entries.iter().zip(&stored) {
        versions.push(entry.bucket, &entry.key, stored)?;
    }
    let mut query = versions.bind(statement);
    if statement == objects::INSERT {
        query = query.bind(entries.iter().map(|entry| entry.older_count.cast_signed()).collect::<Vec<i64>>());
    }
    run(session, query, entries.len()).await
}

fn upload_rows(rows: &[&NewUpload]) -> Result<Statement<'static>, Failure> {
    let (mut hashes, mut records) = (Vec::new(), Vec::new());
    for upload in rows {
        let record = encode(upload)?;
        hashes.push(row_hash("uploads", &[upload.upload.as_bytes()], &record));
        records.push(record);
    }
    Ok(sqlx::query(uploads::INSERT)
        .bind(rows.iter().map(|row| *row.bucket.as_bytes()).collect::<Vec<[u8; 16]>>())
        .bind(rows.iter().map(|row| row.key.as_bytes().to_vec()).collect::<Vec<Vec<u8>>>())
        .bind(rows.iter().map(|row| row.initiated.0).collect::<Vec<i64>>())
        .bind(rows.iter().map(|row| *row.upload.as_bytes()).collect::<Vec<[u8; 16]>>())
        .bind(hashes)
        .bind(records))
}

fn part_rows(rows: &[([u8; 16], [u8; 16], &PartRow)]) -> Result<Statement<'static>, Failure> {
    let (mut hashes, mut records) = (Vec::new(), Vec::new());
    for (_, upload, part) in rows {
        let record = encode(&PartRecord::of(part))?;
        hashes.push(row_hash("parts", &[upload, &part.number.get().to_be_bytes()], &record));
        records.push(record);
    }
    Ok(sqlx::query(uploads::UPSERT_PARTS)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<[u8; 16]>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<[u8; 16]>>())
        .bind(rows.iter().map(|row| i32::from(row.2.number.get())).collect::<Vec<i32>>())
        .bind(hashes)
        .bind(records))
}
