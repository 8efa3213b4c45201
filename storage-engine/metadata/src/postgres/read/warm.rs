//! How warm versions are.

use granary_types::{BucketId, ObjectKey, WriteId};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::model::{WarmAfter, WarmKind, WarmQuery, WarmRow, WarmUsage, WarmVersion};
use crate::postgres::connect::Session;
use crate::postgres::failure::Failure;
use crate::postgres::reader::Asked;
use crate::postgres::{rows, sql};
use crate::sqlite::codec::decode_checked;

type Place = (BucketId, ObjectKey, WriteId);

/// A row, selected as `bucket_id, key, write_id, row_hash, record` from `first` on.
pub(in crate::postgres) fn version(row: &PgRow, first: usize) -> Result<WarmVersion, Failure> {
    let at = |column: usize| first.saturating_add(column);
    let place = [rows::bytes(row, first)?, rows::bytes(row, at(1))?, rows::bytes(row, at(2))?];
    let warm = decode_checked("object_warmth", &place, rows::bytes(row, at(3))?, rows::bytes(row, at(4))?)?;
    let (bucket, key) = rows::place(row, first)?;
    Ok(WarmVersion { bucket, key, write: WriteId::from_bytes(rows::id(row, at(2))?), row: warm })
}

pub(super) async fn warmth(
    session: &mut Session,
    asked: &[Asked<Place, Option<WarmRow>>],
) -> Result<Vec<Result<Option<WarmRow>, Failure>>, Failure> {
    let questions = || asked.iter().map(|asked| &asked.question);
    let query = sqlx::query(sql::warm::READ)
        .bind(questions().map(|(bucket, _, _)| *bucket.as_bytes()).collect::<Vec<_>>())
        .bind(questions().map(|(_, key, _)| key.as_bytes()).collect::<Vec<_>>())
        .bind(questions().map(|(_, _, write)| *write.as_bytes()).collect::<Vec<_>>())
        .bind((0_i32..).take(asked.len()).collect::<Vec<_>>());
    let mut answers: Vec<Result<Option<WarmRow>, Failure>> = asked.iter().map(|_| Ok(None)).collect();
    for row in session.fetch(query).await? {
        let number = usize::try_from(row.try_get::<i32, _>(0)?).unwrap_or(usize::MAX);
        if let Some(answer) = answers.get_mut(number) {
            *answer = version(&row, 1).map(|found| Some(found.row));
        }
    }
    Ok(answers)
}

pub(super) async fn of_kind(session: &mut Session, query: &WarmQuery) -> Result<Vec<WarmVersion>, Failure> {
    let statement = sqlx::query(sql::warm::OF_KIND)
        .bind(query.kind.code())
        .bind(query.from.0)
        .bind(query.until.0)
        .bind(i64::from(query.limit));
    session.fetch(statement).await?.iter().map(|row| version(row, 0)).collect()
}

pub(super) async fn after(
    session: &mut Session,
    (after, limit): &(WarmAfter, u32),
) -> Result<Vec<WarmVersion>, Failure> {
    let statement = sqlx::query(sql::warm::AFTER)
        .bind(after.bucket)
        .bind(after.key.clone())
        .bind(after.write)
        .bind(i64::from(*limit));
    session.fetch(statement).await?.iter().map(|row| version(row, 0)).collect()
}

pub(super) async fn usage(session: &mut Session, (): &()) -> Result<Vec<WarmUsage>, Failure> {
    let found = session.fetch(sqlx::query(sql::warm::USAGE)).await?;
    let usage = found.iter().map(|row| {
        let code: i16 = row.try_get(0)?;
        let kind = WarmKind::of_code(i64::from(code));
        let kind = kind.ok_or_else(|| Failure::Corrupt(format!("unknown kind of warm version {code}")))?;
        Ok(WarmUsage { kind, versions: rows::unsigned(row, 1)?, bytes: rows::unsigned(row, 2)? })
    });
    usage.collect()
}
