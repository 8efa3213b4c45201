//! Single rows, many at once, and short lists.

use std::collections::HashMap;
use std::hash::Hash;

use granary_types::{BlobId, BucketId, BucketName, ObjectKey, UploadId, VersionId, VolumeId};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::{BlobRow, Bucket, BucketPage, BucketQuery, DriveRow, NewUpload, ObjectRow, VolumeRow};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::reader::Asked;
use crate::postgres::{rows, sql};
use crate::sqlite::read::walk::after_prefix;

/// An answer for each question; a rotten row fails only who asked for it.
type Answers<A> = Result<Vec<Result<A, Failure>>, Failure>;

/// A version of a key.
type VersionPlace = (BucketId, ObjectKey, VersionId);

/// An upload for a key.
type UploadPlace = (BucketId, ObjectKey, UploadId);

/// The row that answers each question, by the number in `column`.
fn by_question(found: Vec<PgRow>, count: usize, column: usize) -> Result<Vec<Option<PgRow>>, Failure> {
    let mut answers: Vec<Option<PgRow>> = (0..count).map(|_| None).collect();
    for row in found {
        let question = usize::try_from(row.try_get::<i32, _>(column)?).unwrap_or(usize::MAX);
        if let Some(answer) = answers.get_mut(question) {
            *answer = Some(row);
        }
    }
    Ok(answers)
}

fn numbers(count: usize) -> Vec<i32> {
    (0..).take(count).collect()
}

pub(super) async fn current(
    session: &mut Session,
    asked: &[Asked<(BucketId, ObjectKey), Option<ObjectRow>>],
) -> Answers<Option<ObjectRow>> {
    let (buckets, keys): (Vec<_>, Vec<_>) =
        asked.iter().map(|asked| (*asked.question.0.as_bytes(), asked.question.1.as_bytes())).unzip();
    let query = sqlx::query(sql::objects::READ_CURRENT).bind(numbers(asked.len())).bind(buckets).bind(keys);
    let found = by_question(session.fetch(query).await?, asked.len(), rows::OBJECT_COLUMNS)?;
    let decoded = asked.iter().zip(found).map(|(asked, row)| {
        let (bucket, key) = &asked.question;
        row.map(|row| rows::object_with_tags(&row, *bucket, key.as_bytes())).transpose()
    });
    Ok(decoded.collect())
}

pub(super) async fn version(
    session: &mut Session,
    asked: &[Asked<VersionPlace, Option<ObjectRow>>],
) -> Answers<Option<ObjectRow>> {
    let questions = || asked.iter().map(|asked| &asked.question);
    let query = sqlx::query(sql::objects::READ_VERSION)
        .bind(numbers(asked.len()))
        .bind(questions().map(|(bucket, _, _)| *bucket.as_bytes()).collect::<Vec<_>>())
        .bind(questions().map(|(_, key, _)| key.as_bytes()).collect::<Vec<_>>())
        .bind(questions().map(|(_, _, version)| *version.as_bytes()).collect::<Vec<_>>());
    let found = by_question(session.fetch(query).await?, asked.len(), rows::OBJECT_COLUMNS)?;
    let decoded = questions().zip(found).map(|((bucket, key, _), row)| {
        row.map(|row| rows::object_with_tags(&row, *bucket, key.as_bytes())).transpose()
    });
    Ok(decoded.collect())
}

/// The answers to questions that are answered by rows with a key of their own.
fn by_key<Q, K, A>(
    asked: &[Asked<Q, Option<A>>],
    found: &[PgRow],
    key_of_row: impl Fn(&PgRow) -> Result<K, Failure>,
    key_of_question: impl Fn(&Q) -> K,
    decode: impl Fn(&Q, &PgRow) -> Result<Option<A>, Failure>,
) -> Answers<Option<A>>
where
    K: Eq + Hash,
{
    let mut by_key = HashMap::with_capacity(found.len());
    for row in found {
        by_key.insert(key_of_row(row)?, row);
    }
    let decoded = asked.iter().map(|asked| {
        by_key.get(&key_of_question(&asked.question)).map_or(Ok(None), |row| decode(&asked.question, row))
    });
    Ok(decoded.collect())
}

pub(super) async fn bucket(
    session: &mut Session,
    asked: &[Asked<BucketName, Option<Bucket>>],
) -> Answers<Option<Bucket>> {
    let key = |name: &BucketName| name.as_str().as_bytes().to_vec();
    let names: Vec<_> = asked.iter().map(|asked| key(&asked.question)).collect();
    let found = session.fetch(sqlx::query(sql::buckets::READ).bind(names)).await?;
    let of_row = |row: &PgRow| Ok(rows::bytes(row, 0)?.to_vec());
    by_key(asked, &found, of_row, key, |_, row| rows::record("buckets", row, 0).map(Some))
}

pub(super) async fn upload(
    session: &mut Session,
    asked: &[Asked<UploadPlace, Option<NewUpload>>],
) -> Answers<Option<NewUpload>> {
    let (buckets, uploads): (Vec<_>, Vec<_>) =
        asked.iter().map(|asked| (*asked.question.0.as_bytes(), *asked.question.2.as_bytes())).unzip();
    let found = session.fetch(sqlx::query(sql::uploads::READ).bind(buckets).bind(uploads)).await?;
    let decode = |(bucket, key, _): &UploadPlace, row: &PgRow| {
        let upload = rows::upload(row, 0)?;
        Ok((upload.bucket == *bucket && upload.key == *key).then_some(upload))
    };
    by_key(asked, &found, |row| rows::id(row, 0), |question| *question.2.as_bytes(), decode)
}

pub(super) async fn volume(
    session: &mut Session,
    asked: &[Asked<VolumeId, Option<VolumeRow>>],
) -> Answers<Option<VolumeRow>> {
    let ids: Vec<_> = asked.iter().map(|asked| *asked.question.as_bytes()).collect();
    let found = session.fetch(sqlx::query(sql::volumes::READ).bind(ids)).await?;
    let decode = |_: &VolumeId, row: &PgRow| Ok(Some(rows::volume(row)?.0));
    by_key(asked, &found, |row| rows::id(row, 0), |id| *id.as_bytes(), decode)
}

pub(super) async fn blobs(
    session: &mut Session,
    asked: &[Asked<Vec<BlobId>, Vec<BlobRow>>],
) -> Answers<Vec<BlobRow>> {
    let ids: Vec<_> = asked.iter().flat_map(|asked| &asked.question).map(|id| *id.as_bytes()).collect();
    let found = session.fetch(sqlx::query(sql::blobs::READ).bind(ids)).await?;
    let mut by_id = HashMap::with_capacity(found.len());
    for row in &found {
        by_id.insert(rows::id(row, 0)?, row);
    }
    let blob = |row: &PgRow| {
        let (id, extents) = rows::blob(row)?;
        Ok(BlobRow { id, extents })
    };
    let decoded = asked.iter().map(|asked| {
        let rows = asked.question.iter().filter_map(|id| by_id.get(id.as_bytes()));
        rows.map(|row| blob(row)).collect()
    });
    Ok(decoded.collect())
}

pub(super) async fn count_references(
    session: &mut Session,
    limits: &[(BlobId, u32)],
) -> Result<Vec<u32>, Failure> {
    let (ids, most): (Vec<_>, Vec<_>) =
        limits.iter().map(|(id, limit)| (*id.as_bytes(), i64::from(*limit))).unzip();
    let query = sqlx::query(sql::blobs::COUNT_REFERENCES).bind(ids).bind(most);
    let mut counts = HashMap::with_capacity(limits.len());
    for row in session.fetch(query).await? {
        let most = counts.entry(BlobId::from_bytes(rows::id(&row, 0)?)).or_default();
        *most = u32::try_from(rows::unsigned(&row, 1)?).unwrap_or(u32::MAX).max(*most);
    }
    Ok(limits.iter().map(|(id, limit)| counts.get(id).map_or(0, |count| *count.min(limit))).collect())
}

pub(super) async fn drives(session: &mut Session, (): &()) -> Result<Vec<DriveRow>, Failure> {
    let found = session.fetch(sqlx::query(sql::volumes::DRIVES)).await?;
    found.iter().map(rows::drive).collect()
}

pub(super) async fn volumes(
    session: &mut Session,
    (after, limit): &(Option<VolumeId>, u32),
) -> Result<Vec<VolumeRow>, Failure> {
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice());
    let found = session.fetch(sqlx::query(sql::volumes::LIST).bind(after).bind(i64::from(*limit))).await?;
    found.iter().map(|row| Ok(rows::volume(row)?.0)).collect()
}

pub(super) async fn buckets(session: &mut Session, query: &BucketQuery) -> Result<BucketPage, Failure> {
    let prefix = query.prefix.as_bytes();
    let top = after_prefix(prefix).unwrap_or_else(|| vec![0xFF]);
    let after = query.after.as_deref().unwrap_or_default().as_bytes();
    let statement = sqlx::query(sql::buckets::LIST)
        .bind(prefix)
        .bind(after)
        .bind(top)
        .bind(i64::from(query.limit).saturating_add(1));
    let found = session.fetch(statement).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let buckets = found.iter().take(limit).map(|row| rows::record("buckets", row, 0));
    Ok(BucketPage { buckets: buckets.collect::<Result<_, _>>()?, more: found.len() > limit })
}
