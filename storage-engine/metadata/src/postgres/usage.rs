//! What buckets hold: read, folded and stored in Postgres.

use granary_types::BucketId;
use sqlx::Row;

use super::batch::BatchName;
use super::connect::{Session, Statement};
use super::failure::Failure;
use super::{rows, sql};
use crate::model::{BucketUsage, UsageDeltas};

/// The columns of deltas, each a list of the same length.
pub(in crate::postgres) fn columns(deltas: &UsageDeltas) -> (Vec<[u8; 16]>, Vec<i64>, Vec<i64>) {
    let (mut ids, mut bytes, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    for (bucket, delta) in deltas.iter() {
        ids.push(*bucket.as_bytes());
        bytes.push(delta.bytes);
        objects.push(delta.objects);
    }
    (ids, bytes, objects)
}

/// Inserts what a batch changed beside the rows, so that batches of several nodes do not wait for each other.
pub(super) async fn insert_deltas(
    session: &mut Session,
    name: BatchName,
    deltas: &UsageDeltas,
) -> Result<(), Failure> {
    let (ids, bytes, objects) = columns(deltas);
    if ids.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(sql::usage::INSERT_DELTAS)
        .bind(*name.writer.as_bytes())
        .bind(name.number.cast_signed())
        .bind(ids)
        .bind(bytes)
        .bind(objects);
    session.execute(query).await.map(drop)
}

/// Adds to the rows themselves.
pub(super) async fn add(session: &mut Session, deltas: &UsageDeltas) -> Result<(), Failure> {
    let (ids, bytes, objects) = columns(deltas);
    if ids.is_empty() {
        return Ok(());
    }
    let query: Statement<'static> = sqlx::query(sql::usage::ADD).bind(ids).bind(bytes).bind(objects);
    session.execute(query).await.map(drop)
}

/// What a bucket holds.
pub(super) async fn read(session: &mut Session, bucket: &BucketId) -> Result<BucketUsage, Failure> {
    let found = session.fetch(sqlx::query(sql::usage::READ).bind(*bucket.as_bytes())).await?;
    let Some(row) = found.first() else { return Ok(BucketUsage::default()) };
    Ok(BucketUsage::of_sums(row.try_get(0)?, row.try_get(1)?))
}

/// Forgets what a bucket held.
pub(super) async fn forget(session: &mut Session, bucket: BucketId) -> Result<(), Failure> {
    session.execute(sqlx::query(sql::usage::DELETE).bind(*bucket.as_bytes())).await?;
    session.fetch(sqlx::query(sql::usage::TAKE_DELTAS).bind(*bucket.as_bytes())).await.map(drop)
}

/// Folds the deltas of buckets that have more than so many.
pub(super) async fn fold_all(session: &mut Session, kept: i64) -> Result<(), Failure> {
    for row in session.fetch(sqlx::query(sql::usage::TO_FOLD).bind(kept)).await? {
        let bucket = rows::id(&row, 0)?;
        session.run(sql::BEGIN).await?;
        let taken = session.fetch(sqlx::query(sql::usage::TAKE_DELTAS).bind(bucket)).await?;
        let (mut bytes, mut objects) = (0_i64, 0_i64);
        for row in taken {
            bytes = bytes.saturating_add(row.try_get(0)?);
            objects = objects.saturating_add(row.try_get(1)?);
        }
        let query = sqlx::query(sql::usage::ADD).bind(vec![bucket]).bind(vec![bytes]).bind(vec![objects]);
        session.execute(query).await?;
        session.run(sql::COMMIT).await?;
    }
    Ok(())
}
