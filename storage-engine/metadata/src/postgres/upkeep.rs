//! Upkeep: folding deltas into volumes' rows, and forgetting writers of lives that ended.
//!
//! Batches insert what they add to and take from a volume's live bytes instead of changing the volume's row, which would
//! make batches of different nodes that delete from the same volume wait for each other. Folding takes a volume's deltas out
//! and adds them to its row in one transaction. Any node folds; nodes that do it at once wait at the volume's row.

use std::sync::Arc;
use std::time::Duration;

use granary_types::VolumeId;
use sqlx::Row;

use super::connect::{Locator, Session};
use super::failure::Failure;
use super::{rows, sql, usage};

/// How often deltas are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Deltas a volume or a bucket may keep: reading it adds them up.
const DELTAS_KEPT: i64 = 100;
/// Rounds between two looks at the writers.
const ROUNDS_PER_DAY: u64 = 24 * 60 * 60 / 5;

/// Runs until it is told to stop.
pub(super) async fn run(locator: Arc<Locator>, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut session = None;
    for round in 0_u64.. {
        let stopped = tokio::time::timeout(EVERY, stop.wait_for(|stopped| *stopped));
        if stopped.await.is_ok() {
            return;
        }
        if let Err(failure) = tend(&locator, &mut session, round).await {
            tracing::warn!(?failure, "folding the accounting failed; it is tried again");
            session = None;
        }
    }
}

async fn tend(locator: &Locator, held: &mut Option<Session>, round: u64) -> Result<(), Failure> {
    if held.as_ref().is_some_and(|session| locator.has_passed(session)) {
        *held = None;
    }
    let session = match held {
        Some(session) => session,
        None => held.insert(locator.connect().await?),
    };
    if round.is_multiple_of(ROUNDS_PER_DAY) {
        session.execute(sqlx::query(sql::FORGET_WRITERS)).await?;
    }
    let found = session.fetch(sqlx::query(sql::volumes::TO_FOLD).bind(DELTAS_KEPT)).await?;
    for row in found {
        fold(session, VolumeId::from_bytes(rows::id(&row, 0)?)).await?;
    }
    usage::fold_all(session, DELTAS_KEPT).await
}

/// Folds one volume's deltas. Those of a volume that is gone go too.
pub(super) async fn fold(session: &mut Session, volume: VolumeId) -> Result<(), Failure> {
    session.run(sql::BEGIN).await?;
    session.fetch(sqlx::query(sql::volumes::LOCK_ONE).bind(*volume.as_bytes())).await?;
    let taken = session.fetch(sqlx::query(sql::volumes::TAKE_DELTAS).bind(*volume.as_bytes())).await?;
    let (mut bytes, mut items) = (0_i64, 0_i64);
    for row in taken {
        bytes = bytes.saturating_add(row.try_get(0)?);
        items = items.saturating_add(row.try_get(1)?);
    }
    let query = sqlx::query(sql::volumes::FOLD).bind(*volume.as_bytes()).bind(bytes).bind(items);
    session.execute(query).await?;
    Ok(session.run(sql::COMMIT).await?)
}
