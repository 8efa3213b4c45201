//! The rare changes: each is a transaction of its own.

use granary_types::{BucketId, BucketName, DriveId, Epoch, NodeId, UnixMillis, VolumeId};
use sqlx::Row;

use super::connect::Session;
use super::failure::Failure;
use super::{events, identities, rows, sql, usage};
use crate::error::MetadataError;
use crate::model::{
    Bucket, BucketChange, BucketDocument, DriveRow, DriveState, NewBucket, NewVolume, SealedEnd, ShardMove,
    VolumeRow, VolumeState,
};
use crate::sqlite::codec::{drive_class_code, encode, row_hash};
use crate::sqlite::op::{Op, Reply};

/// The answer, or why nothing was changed.
pub(super) type Answer = Result<Reply, MetadataError>;

/// Applies a change that is no commit, inside the transaction that is open on `session`.
///
/// `node` is whose volumes and drives they are.
pub(super) async fn apply(session: &mut Session, op: &Op, node: Option<NodeId>) -> Result<Answer, Failure> {
    match op {
        Op::CreateBucket(bucket) => create_bucket(session, &bucket.clone().into()).await,
        Op::CreateBucketWith(bucket) => create_bucket(session, bucket).await,
        Op::ChangeBucket { name, change } => change_bucket(session, name, *change).await,
        Op::DeleteBucket(name) => delete_bucket(session, name).await,
        Op::OpenVolume(volume) => open_volume(session, volume, node).await,
        Op::SealVolume(volume) => seal_volume(session, *volume).await,
        Op::FreeVolume { volume, now } => free_volume(session, *volume, *now).await,
        Op::ForgetVolume(volume) => forget_volume(session, *volume).await,
        Op::MoveShard(shard) => move_shard(session, shard).await,
        Op::PutDrive(drive) => put_drive(session, drive, node).await,
        Op::PutClassedDrive(drive, class) => {
            put_drive(session, &DriveRow { class: *class, ..drive.clone() }, node).await
        }
        Op::ChangeIdentities(change) => identities::change(session, change).await,
        Op::PutDocument(put) => put_document(session, put).await,
        Op::FinishEvents(places) => {
            events::finish(session, places).await?;
            Ok(Ok(Reply::Done))
        }
        Op::Commit(_) | Op::Recount => Err(Failure::Refused("this change does not come here".to_owned())),
    }
}

async fn create_bucket(session: &mut Session, bucket: &NewBucket) -> Result<Answer, Failure> {
    let name = bucket.name.as_str().as_bytes();
    let record = encode(bucket)?;
    let hash = row_hash("buckets", &[name], &record);
    let query =
        sqlx::query(sql::buckets::INSERT).bind(name).bind(*bucket.id.as_bytes()).bind(hash).bind(record);
    let made = session.execute(query).await? == 1;
    Ok(if made { Ok(Reply::Done) } else { Err(MetadataError::BucketExists(bucket.name.clone())) })
}

async fn delete_bucket(session: &mut Session, name: &BucketName) -> Result<Answer, Failure> {
    let key = name.as_str().as_bytes();
    let found = session.fetch(sqlx::query(sql::buckets::LOCK_NAME).bind(key)).await?;
    let Some(row) = found.first() else { return Ok(Err(MetadataError::NoSuchBucket(name.clone()))) };
    let id = BucketId::from_bytes(rows::id(row, 0)?);
    let used = session.fetch(sqlx::query(sql::buckets::IN_USE).bind(*id.as_bytes())).await?;
    if used.first().map(|row| row.try_get::<bool, _>(0)).transpose()?.unwrap_or(true) {
        return Ok(Err(MetadataError::BucketNotEmpty(name.clone())));
    }
    session.execute(sqlx::query(sql::buckets::DELETE).bind(key)).await?;
    session.execute(sqlx::query(sql::side::DELETE_DOCUMENTS).bind(*id.as_bytes())).await?;
    session.execute(sqlx::query(sql::side::COUNT_CHANGE)).await?;
    usage::forget(session, id).await?;
    Ok(Ok(Reply::Done))
}

async fn change_bucket(
    session: &mut Session,
    name: &BucketName,
    change: BucketChange,
) -> Result<Answer, Failure> {
    let key = name.as_str().as_bytes();
    // First the lock, then a statement that sees what the lock's last holder left.
    session.fetch(sqlx::query(sql::buckets::LOCK_NAME).bind(key)).await?;
    let found = session.fetch(sqlx::query(sql::buckets::READ).bind(vec![key])).await?;
    let Some(row) = found.first() else { return Ok(Err(MetadataError::NoSuchBucket(name.clone()))) };
    let mut bucket: Bucket = rows::record("buckets", row, 0)?;
    let Some(settings) = bucket.settings.changed(change) else {
        return Ok(Err(MetadataError::BucketSettings(name.clone())));
    };
    bucket.settings = settings;
    let record = encode(&bucket)?;
    let hash = row_hash("buckets", &[key], &record);
    session.execute(sqlx::query(sql::buckets::UPDATE).bind(key).bind(hash).bind(record)).await?;
    session.execute(sqlx::query(sql::side::COUNT_CHANGE)).await?;
    Ok(Ok(Reply::Done))
}

async fn put_document(session: &mut Session, put: &BucketDocument) -> Result<Answer, Failure> {
    let bucket = *put.bucket.as_bytes();
    if session.fetch(sqlx::query(sql::buckets::LOCK).bind(vec![bucket])).await?.is_empty() {
        return Ok(Ok(Reply::Changed(false)));
    }
    store_document(session, put).await?;
    if put.counts_as_change() {
        session.execute(sqlx::query(sql::side::COUNT_CHANGE)).await?;
    }
    Ok(Ok(Reply::Changed(true)))
}

/// Stores or removes a configuration's row.
pub(super) async fn store_document(session: &mut Session, put: &BucketDocument) -> Result<(), Failure> {
    let (bucket, name) = (*put.bucket.as_bytes(), put.name.as_bytes());
    let query = match &put.document {
        Some(document) => {
            let record = encode(document)?;
            let hash = row_hash("bucket_documents", &[&bucket, name], &record);
            sqlx::query(sql::side::PUT_DOCUMENT).bind(bucket).bind(name).bind(hash).bind(record)
        }
        None => sqlx::query(sql::side::DELETE_DOCUMENT).bind(bucket).bind(name),
    };
    session.execute(query).await.map(drop)
}

fn count(columns: u8) -> i16 {
    i16::from(columns)
}

async fn open_volume(
    session: &mut Session,
    volume: &NewVolume,
    node: Option<NodeId>,
) -> Result<Answer, Failure> {
    if let Some(drive) = retired_among(session, &volume.drives).await? {
        // The same call again, after the drive was retired and the first answer lost, finds its volume.
        let is_there = locked(session, volume.id).await?.is_some();
        if !is_there {
            return Ok(Err(MetadataError::DriveRetired(drive)));
        }
    }
    let drives: Vec<u8> = volume.drives.iter().flat_map(|drive| *drive.as_bytes()).collect();
    let query = sqlx::query(sql::volumes::OPEN)
        .bind(*volume.id.as_bytes())
        .bind(count(volume.data_columns))
        .bind(count(volume.parity_columns))
        .bind(drives)
        .bind(volume.opened.0)
        .bind(Epoch::FIRST.0.cast_signed())
        .bind(node.map(|node| *node.as_bytes()));
    if session.execute(query).await? == 1 {
        return Ok(Ok(Reply::Done));
    }
    // The same call again, after an answer that was lost, is no error; any other reuse of an id is.
    let same = locked(session, volume.id)
        .await?
        .is_some_and(|(row, _)| row.volume == *volume && row.epoch == Epoch::FIRST);
    Ok(if same {
        Ok(Reply::Done)
    } else {
        Err(MetadataError::Fenced { volume: volume.id, epoch: Epoch::FIRST })
    })
}

/// Locks a volume and reads it and how many items live in it.
async fn locked(session: &mut Session, id: VolumeId) -> Result<Option<(VolumeRow, u64)>, Failure> {
    // First the lock, then a statement that sees what the lock's last holder left in all tables.
    session.fetch(sqlx::query(sql::volumes::LOCK_ONE).bind(*id.as_bytes())).await?;
    let found = session.fetch(sqlx::query(sql::volumes::READ).bind(vec![*id.as_bytes()])).await?;
    found.first().map(rows::volume).transpose()
}

async fn seal_volume(session: &mut Session, volume: VolumeId) -> Result<Answer, Failure> {
    let sealed = session.fetch(sqlx::query(sql::volumes::SEAL).bind(*volume.as_bytes())).await?;
    let Some(row) = sealed.first() else { return Ok(Err(MetadataError::VolumeGone(volume))) };
    let (epoch, committed_end) = (Epoch(rows::unsigned(row, 0)?), rows::unsigned(row, 1)?);
    Ok(Ok(Reply::Sealed(SealedEnd { epoch, committed_end })))
}

async fn free_volume(session: &mut Session, volume: VolumeId, now: UnixMillis) -> Result<Answer, Failure> {
    let empty = locked(session, volume)
        .await?
        .is_some_and(|(row, items)| row.state == VolumeState::Sealed && row.live_bytes == 0 && items == 0);
    if !empty {
        return Ok(Ok(Reply::Changed(false)));
    }
    let query = sqlx::query(sql::volumes::FREE).bind(*volume.as_bytes()).bind(now.0);
    Ok(Ok(Reply::Changed(session.execute(query).await? == 1)))
}

async fn forget_volume(session: &mut Session, volume: VolumeId) -> Result<Answer, Failure> {
    let gone = session.execute(sqlx::query(sql::volumes::FORGET).bind(*volume.as_bytes())).await? == 1;
    if gone {
        session.execute(sqlx::query(sql::volumes::TAKE_DELTAS).bind(*volume.as_bytes())).await?;
    }
    Ok(Ok(Reply::Changed(gone)))
}

/// Locks the rows of drives and finds the first that was retired. Whoever retires one waits until this transaction ends.
async fn retired_among(session: &mut Session, drives: &[DriveId]) -> Result<Option<DriveId>, Failure> {
    let ids: Vec<[u8; 16]> = drives.iter().map(|drive| *drive.as_bytes()).collect();
    let found = session.fetch(sqlx::query(sql::volumes::LOCK_DRIVES).bind(ids)).await?;
    for row in &found {
        let drive = rows::drive(row)?;
        if drive.state == DriveState::Retired {
            return Ok(Some(drive.id));
        }
    }
    Ok(None)
}

async fn move_shard(session: &mut Session, shard: &ShardMove) -> Result<Answer, Failure> {
    if retired_among(session, &[shard.to]).await?.is_some() {
        return Ok(Ok(Reply::Changed(false)));
    }
    let Some((row, _)) = locked(session, shard.volume).await? else {
        return Ok(Ok(Reply::Changed(false)));
    };
    let mut drives = row.volume.drives;
    let matches = match drives.get_mut(usize::from(shard.column)) {
        Some(drive) if row.state != VolumeState::Freed && *drive == shard.from => {
            *drive = shard.to;
            true
        }
        _ => false,
    };
    if matches {
        let drives: Vec<u8> = drives.iter().flat_map(|drive| *drive.as_bytes()).collect();
        let query = sqlx::query(sql::volumes::SET_DRIVES).bind(*shard.volume.as_bytes()).bind(drives);
        session.execute(query).await?;
    }
    Ok(Ok(Reply::Changed(matches)))
}

/// Stores a drive's row.
pub(super) async fn put_drive(
    session: &mut Session,
    drive: &DriveRow,
    node: Option<NodeId>,
) -> Result<Answer, Failure> {
    if drive.state == DriveState::Active && retired_among(session, &[drive.id]).await?.is_some() {
        return Ok(Err(MetadataError::DriveRetired(drive.id)));
    }
    let record = encode(drive)?;
    let hash = row_hash("drives", &[drive.id.as_bytes()], &record);
    let query = sqlx::query(sql::volumes::PUT_DRIVE)
        .bind(*drive.id.as_bytes())
        .bind(i32::from(drive.slot))
        .bind(hash)
        .bind(record)
        .bind(node.map(|node| *node.as_bytes()))
        .bind(i16::try_from(drive_class_code(drive.class)).unwrap_or_default());
    session.execute(query).await?;
    Ok(Ok(Reply::Done))
}
