//! What nodes tell each other of a fail-over, and what was lost.

use async_trait::async_trait;
use granary_types::NodeId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::connect::Statement;
use super::failure::Failure;
use super::membership::{Members, node_id, optional_node, read};
use super::rows;
use super::sql::fail_overs as statements;
use crate::error::Result;
use crate::fail_over::{FailOverStep, FailOvers, Loss, LossPage, Lost, LostTail, NodeHistory, Timeline};
use crate::sqlite::codec::{decode_checked, encode, row_hash};

fn timeline(row: &PgRow, column: usize) -> Result<Timeline, Failure> {
    let number = rows::unsigned(row, column)?;
    Ok(Timeline(u32::try_from(number).map_err(|_| Failure::Corrupt("a timeline is too high".to_owned()))?))
}

fn history(row: &PgRow) -> Result<NodeHistory, Failure> {
    let step = match row.try_get::<i16, _>(2)? {
        0 => FailOverStep::Heard,
        1 => FailOverStep::Searched,
        code => return Err(Failure::Corrupt(format!("unknown step of a fail-over {code}"))),
    };
    let has_lost = row.try_get::<i16, _>(3)? != 0;
    Ok(NodeHistory { node: node_id(row, 0)?, timeline: timeline(row, 1)?, step, has_lost })
}

/// What a loss is known by, however often it is found.
fn loss_id(loss: &Loss) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let write = loss.write.map(|write| *write.as_bytes()).unwrap_or_default();
    let key = loss.key.as_ref().map(|key| key.as_bytes()).unwrap_or_default();
    let version = loss.version.map(|version| *version.as_bytes()).unwrap_or_default();
    for part in [loss.bucket.as_bytes(), key, &version, &write, loss.detail.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    id
}

/// Keeps a tail to be dealt with.
pub(super) fn put_tail(tail: &LostTail) -> Result<Statement<'static>, Failure> {
    let (id, record) = (*tail.volume.id.as_bytes(), encode(&tail.volume)?);
    Ok(sqlx::query(statements::PUT_TAIL)
        .bind(id)
        .bind(tail.node.map(|node| *node.as_bytes()))
        .bind(tail.known_end.cast_signed())
        .bind(tail.answered_end.cast_signed())
        .bind(row_hash("lost_tails", &[&id], &record))
        .bind(record))
}

fn tail(row: &PgRow) -> Result<LostTail, Failure> {
    let volume =
        decode_checked("lost_tails", &[rows::bytes(row, 0)?], rows::bytes(row, 4)?, rows::bytes(row, 5)?)?;
    let (known_end, answered_end) = (rows::unsigned(row, 2)?, rows::unsigned(row, 3)?);
    Ok(LostTail { volume, known_end, answered_end, node: optional_node(row, 1)? })
}

fn loss(row: &PgRow) -> Result<(Vec<u8>, Loss), Failure> {
    let id = rows::bytes(row, 0)?;
    let loss = decode_checked("losses", &[id], rows::bytes(row, 1)?, rows::bytes(row, 2)?)?;
    Ok((id.to_vec(), loss))
}

#[async_trait]
impl FailOvers for Members {
    fn newest(&self) -> Option<Timeline> {
        self.history().newest()
    }

    fn lost(&self) -> Lost {
        self.history().lost()
    }

    fn finish_lost(&self, lost: &Lost) {
        self.history().finish_lost(lost);
    }

    async fn tails(&self) -> Result<Vec<LostTail>> {
        let found = self.rows(|| sqlx::query(statements::TAILS)).await?;
        found.iter().map(|row| read(tail(row))).collect()
    }

    async fn put_tail(&self, tail: LostTail) -> Result<()> {
        let statement = read(put_tail(&tail))?;
        self.change(move || statement).await.map(drop)
    }

    async fn raise_end(&self, tail: &LostTail, stored_bytes: u64) -> Result<bool> {
        let (id, end) = (*tail.volume.id.as_bytes(), tail.answered_end.cast_signed());
        let raise =
            move || sqlx::query(statements::RAISE_END).bind(id).bind(end).bind(stored_bytes.cast_signed());
        Ok(self.change(raise).await? == 1)
    }

    async fn finish_tail(&self, tail: &LostTail) -> Result<()> {
        let (id, end) = (*tail.volume.id.as_bytes(), tail.answered_end.cast_signed());
        self.change(move || sqlx::query(statements::FINISH_TAIL).bind(id).bind(end)).await.map(drop)
    }

    async fn settled(&self) -> Result<Option<Timeline>> {
        let found = self.rows(|| sqlx::query(statements::SETTLED)).await?;
        found.first().map(|row| read(timeline(row, 0))).transpose()
    }

    async fn settle(&self, timeline: Timeline) -> Result<()> {
        let number = i64::from(timeline.0);
        self.change(move || sqlx::query(statements::SETTLE).bind(number)).await.map(drop)
    }

    async fn tell(&self, told: NodeHistory) -> Result<()> {
        let NodeHistory { node, timeline, step, has_lost } = told;
        let step = match step {
            FailOverStep::Heard => 0_i16,
            FailOverStep::Searched => 1,
        };
        let tell = move || {
            let tell = sqlx::query(statements::TELL).bind(*NodeId::as_bytes(&node));
            tell.bind(i64::from(timeline.0)).bind(step).bind(i16::from(has_lost))
        };
        self.change(tell).await.map(drop)
    }

    async fn told(&self) -> Result<Vec<NodeHistory>> {
        let found = self.rows(|| sqlx::query(statements::TOLD)).await?;
        found.iter().map(|row| read(history(row))).collect()
    }

    async fn report(&self, losses: Vec<Loss>) -> Result<()> {
        let (mut ids, mut found) = (Vec::new(), Vec::new());
        let (mut hashes, mut records) = (Vec::new(), Vec::new());
        for loss in &losses {
            let (id, record) = (loss_id(loss), read(encode(loss).map_err(Failure::from))?);
            found.push(loss.found.0);
            hashes.push(row_hash("losses", &[&id], &record));
            ids.push(id);
            records.push(record);
        }
        let report = move || sqlx::query(statements::REPORT).bind(ids).bind(found).bind(hashes).bind(records);
        self.change(report).await.map(drop)
    }

    async fn losses(&self, after: Option<Vec<u8>>, limit: u32) -> Result<LossPage> {
        let after = after.unwrap_or_default();
        let list = move || sqlx::query(statements::LOSSES).bind(after).bind(i64::from(limit));
        let rows = self.rows(list).await?;
        let is_last = rows.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut losses, mut last) = (Vec::with_capacity(rows.len()), None);
        for row in &rows {
            let (id, loss) = read(loss(row))?;
            losses.push(loss);
            last = Some(id);
        }
        Ok(LossPage { losses, next: last.filter(|_| !is_last) })
    }

    async fn count_losses(&self) -> Result<u64> {
        let found = self.rows(|| sqlx::query(statements::COUNT_LOSSES)).await?;
        found.first().map_or(Ok(0), |row| read(rows::unsigned(row, 0)))
    }

    async fn dismiss_losses(&self) -> Result<u64> {
        self.change(|| sqlx::query(statements::DISMISS_LOSSES)).await
    }
}
