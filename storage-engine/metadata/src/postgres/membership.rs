//! Nodes and leases in Postgres.
//!
//! These calls have a connection of their own, so that a node's sign of life never waits behind batches. Each is one
//! statement, or one transaction, in a task of its own: a caller that hangs up cannot leave half a statement behind.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use granary_types::{ClusterId, DriveId, Epoch, NodeId, UnixMillis, VolumeId};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::runtime::Handle;

use super::connect::{Locator, Session};
use super::failure::Failure;
use super::history::History;
use super::sql::{self, nodes as statements};
use super::{ops, rows};
use crate::error::Result;
use crate::membership::Membership;
use crate::model::{Drain, DriveState, LeaseRow, NewNode, NodeDrive, NodeRow, NodeState};
use crate::sqlite::failure::unavailable;

const CONTEXT: &str = "asking for the nodes";

/// The connection of the membership's calls.
#[derive(Clone)]
pub(super) struct Members {
    locator: Arc<Locator>,
    session: Arc<tokio::sync::Mutex<Option<Session>>>,
    /// Where the connection lives, whoever calls: a node's sign of life must not wait behind what nobody waits for.
    runtime: Handle,
}

type Answered<'s, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 's>>;
type Call<T> = Box<dyn for<'s> FnOnce(&'s mut Session) -> Answered<'s, T> + Send>;

impl Members {
    /// Must be called within the runtime that the connection is to live in.
    pub(super) fn new(locator: Arc<Locator>) -> Self {
        Self { locator, session: Arc::default(), runtime: Handle::current() }
    }

    /// Which history of the database all connections are on.
    pub(super) fn history(&self) -> &History {
        &self.locator.history
    }

    /// Lets go of the connection.
    pub(super) async fn close(&self) {
        self.session.lock().await.take();
    }

    async fn call<T: Send + 'static>(&self, call: Call<T>) -> Result<T> {
        let members = self.clone();
        let done = self.runtime.spawn(async move {
            let mut held = members.session.lock().await;
            let mut session = match held.take() {
                Some(session) if !members.locator.has_passed(&session) => session,
                _ => {
                    members
                        .locator
                        .connect_by(Instant::now() + members.locator.options.connect_timeout)
                        .await?
                }
            };
            let result = call(&mut session).await;
            if !matches!(result, Err(Failure::Lost(_) | Failure::Unknown)) {
                *held = Some(session);
            }
            result
        });
        let done = done.await.map_err(|_| unavailable(CONTEXT, "the call ended early"))?;
        done.map_err(|failure| failure.to_error(CONTEXT))
    }

    /// One statement; how many rows it changed.
    pub(super) async fn change(
        &self,
        statement: impl FnOnce() -> super::connect::Statement<'static> + Send + 'static,
    ) -> Result<u64> {
        self.call(Box::new(move |session| Box::pin(async move { session.execute(statement()).await }))).await
    }

    pub(super) async fn rows(
        &self,
        statement: impl FnOnce() -> super::connect::Statement<'static> + Send + 'static,
    ) -> Result<Vec<PgRow>> {
        self.call(Box::new(move |session| Box::pin(async move { session.fetch(statement()).await }))).await
    }
}

/// An epoch that no lease had before, with room above it.
fn first_epoch() -> Result<Epoch> {
    let drawn = NodeId::random().map_err(|source| unavailable(CONTEXT, source.to_string()))?;
    let (half, _) = drawn.as_bytes().split_at(8);
    let number = half.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Ok(Epoch((number >> 2).max(1)))
}

/// Reads a row, or says why it cannot be read.
pub(super) fn read<T>(row: Result<T, Failure>) -> Result<T> {
    row.map_err(|failure| failure.to_error(CONTEXT))
}

pub(super) fn node_id(row: &PgRow, column: usize) -> Result<NodeId, Failure> {
    Ok(NodeId::from_bytes(rows::id(row, column)?))
}

pub(super) fn optional_node(row: &PgRow, column: usize) -> Result<Option<NodeId>, Failure> {
    let is_known = row.try_get::<Option<&[u8]>, _>(column)?.is_some();
    if is_known { node_id(row, column).map(Some) } else { Ok(None) }
}

fn node(row: &PgRow) -> Result<NodeRow, Failure> {
    let schema: i64 = row.try_get(4)?;
    let state = match row.try_get::<i16, _>(5)? {
        0 => NodeState::Active,
        1 => NodeState::Removed,
        code => return Err(Failure::Corrupt(format!("unknown node state {code}"))),
    };
    Ok(NodeRow {
        node: NewNode {
            id: node_id(row, 0)?,
            address: row.try_get(1)?,
            zone: row.try_get(2)?,
            version: row.try_get(3)?,
            schema: u32::try_from(schema).unwrap_or(u32::MAX),
        },
        state,
        beats: rows::unsigned(row, 6)?,
        oldest_read_ms: rows::unsigned(row, 7)?,
    })
}

fn node_drive(row: &PgRow) -> Result<NodeDrive, Failure> {
    Ok(NodeDrive { drive: rows::drive(row)?, node: optional_node(row, 4)? })
}

fn lease(row: &PgRow) -> Result<LeaseRow, Failure> {
    let (epoch, beats) = (Epoch(rows::unsigned(row, 1)?), rows::unsigned(row, 2)?);
    Ok(LeaseRow { holder: node_id(row, 0)?, epoch, beats })
}

fn drain(row: &PgRow) -> Result<Drain, Failure> {
    let has_target = row.try_get::<Option<&[u8]>, _>(1)?.is_some();
    Ok(Drain {
        drive: DriveId::from_bytes(rows::id(row, 0)?),
        target: if has_target { Some(DriveId::from_bytes(rows::id(row, 1)?)) } else { None },
        began: UnixMillis(row.try_get(2)?),
        shards: rows::unsigned(row, 3)?,
        length_bytes: rows::unsigned(row, 4)?,
    })
}

/// What leaves the store for good.
#[derive(Debug, Clone, Copy)]
enum Removal {
    Node(NodeId),
    Drive(DriveId),
}

/// Removes a node or a drive and retires the drives that go with it, in one transaction. `false` if it is not known.
async fn remove(session: &mut Session, removal: Removal) -> Result<bool, Failure> {
    session.run(sql::BEGIN).await?;
    match remove_inside(session, removal).await {
        Ok(known) => {
            session.run(sql::COMMIT).await.map_err(|_| Failure::Unknown)?;
            Ok(known)
        }
        Err(failure) => {
            // A connection on which this fails too is given up, and the transaction with it.
            session.run(sql::ROLLBACK).await.map_err(|_| Failure::Lost("a rollback failed".to_owned()))?;
            Err(failure)
        }
    }
}

async fn remove_inside(session: &mut Session, removal: Removal) -> Result<bool, Failure> {
    let mut known = match removal {
        Removal::Node(node) => {
            session.execute(sqlx::query(statements::REMOVE).bind(*node.as_bytes())).await? == 1
        }
        Removal::Drive(_) => false,
    };
    let drives = session.fetch(sqlx::query(statements::DRIVES)).await?;
    for row in &drives {
        let mut found = node_drive(row)?;
        let is_removed = match removal {
            Removal::Node(node) => found.node == Some(node),
            Removal::Drive(drive) => found.drive.id == drive,
        };
        if is_removed {
            known = true;
            found.drive.state = DriveState::Retired;
            drop(ops::put_drive(session, &found.drive, found.node).await?);
            session.execute(sqlx::query(statements::END_DRAIN).bind(*found.drive.id.as_bytes())).await?;
        }
    }
    Ok(known)
}

#[async_trait]
impl Membership for Members {
    async fn cluster(&self) -> Result<Option<ClusterId>> {
        let found = self.rows(|| sqlx::query(statements::STORE)).await?;
        found.first().map(|row| read(rows::id(row, 0)).map(ClusterId::from_bytes)).transpose()
    }

    async fn found(&self, cluster: ClusterId) -> Result<ClusterId> {
        self.change(move || sqlx::query(statements::FOUND).bind(*cluster.as_bytes())).await?;
        self.cluster().await?.ok_or_else(|| unavailable(CONTEXT, "the store's row is gone"))
    }

    async fn join(&self, node: NewNode) -> Result<bool> {
        let changed = self.change(move || {
            sqlx::query(statements::JOIN)
                .bind(*node.id.as_bytes())
                .bind(node.address)
                .bind(node.zone)
                .bind(node.version)
                .bind(i64::from(node.schema))
        });
        Ok(changed.await? == 1)
    }

    async fn beat(&self, node: NodeId, answered: u64, oldest_read_ms: u64) -> Result<Option<u64>> {
        let age = i64::try_from(oldest_read_ms).unwrap_or(i64::MAX);
        let beat = move || {
            let beat = sqlx::query(statements::BEAT).bind(*node.as_bytes());
            beat.bind(answered.cast_signed()).bind(age)
        };
        let found = self.rows(beat).await?;
        found.first().map(|row| read(rows::unsigned(row, 0))).transpose()
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>> {
        let found = self.rows(|| sqlx::query(statements::NODES)).await?;
        found.iter().map(|row| read(node(row))).collect()
    }

    async fn node_drives(&self) -> Result<Vec<NodeDrive>> {
        let found = self.rows(|| sqlx::query(statements::DRIVES)).await?;
        found.iter().map(|row| read(node_drive(row))).collect()
    }

    async fn remove_node(&self, node: NodeId) -> Result<bool> {
        self.call(Box::new(move |session| Box::pin(remove(session, Removal::Node(node))))).await
    }

    async fn open_volumes(&self) -> Result<Vec<(VolumeId, Option<NodeId>)>> {
        let found = self.rows(|| sqlx::query(statements::OPEN_VOLUMES)).await?;
        let volume = |row: &PgRow| Ok((VolumeId::from_bytes(rows::id(row, 0)?), optional_node(row, 1)?));
        found.iter().map(|row| read(volume(row))).collect()
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>> {
        let name = name.as_bytes().to_vec();
        let found = self.rows(move || sqlx::query(statements::LEASE).bind(name)).await?;
        found.first().map(|row| read(lease(row))).transpose()
    }

    async fn take_lease(&self, name: &str, holder: NodeId, seen: Option<LeaseRow>) -> Result<Option<Epoch>> {
        let name = name.as_bytes().to_vec();
        let (changed, epoch) = match seen {
            None => {
                let drawn = first_epoch()?;
                let first = move || {
                    let insert = sqlx::query(statements::FIRST_LEASE).bind(name).bind(*holder.as_bytes());
                    insert.bind(drawn.0.cast_signed())
                };
                (self.change(first).await?, drawn)
            }
            Some(seen) => {
                let take = move || {
                    sqlx::query(statements::TAKE_LEASE)
                        .bind(name)
                        .bind(*holder.as_bytes())
                        .bind(*seen.holder.as_bytes())
                        .bind(seen.epoch.0.cast_signed())
                        .bind(seen.beats.cast_signed())
                };
                (self.change(take).await?, Epoch(seen.epoch.0.saturating_add(1)))
            }
        };
        Ok((changed == 1).then_some(epoch))
    }

    async fn renew_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool> {
        let name = name.as_bytes().to_vec();
        let changed = self.change(move || {
            let renew = sqlx::query(statements::RENEW_LEASE).bind(name).bind(*holder.as_bytes());
            renew.bind(epoch.0.cast_signed())
        });
        Ok(changed.await? == 1)
    }

    async fn release_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool> {
        let name = name.as_bytes().to_vec();
        let changed = self.change(move || {
            let release = sqlx::query(statements::RELEASE_LEASE).bind(name).bind(*holder.as_bytes());
            release.bind(epoch.0.cast_signed())
        });
        Ok(changed.await? == 1)
    }

    async fn put_drain(&self, drain: Drain) -> Result<()> {
        let changed = self.change(move || {
            sqlx::query(statements::PUT_DRAIN)
                .bind(*drain.drive.as_bytes())
                .bind(drain.target.map(|target| *target.as_bytes()))
                .bind(drain.began.0)
                .bind(i64::try_from(drain.shards).unwrap_or(i64::MAX))
                .bind(i64::try_from(drain.length_bytes).unwrap_or(i64::MAX))
        });
        changed.await.map(drop)
    }

    async fn end_drain(&self, drive: DriveId) -> Result<bool> {
        let ended = self.change(move || sqlx::query(statements::END_DRAIN).bind(*drive.as_bytes()));
        Ok(ended.await? == 1)
    }

    async fn drains(&self) -> Result<Vec<Drain>> {
        let found = self.rows(|| sqlx::query(statements::DRAINS)).await?;
        found.iter().map(|row| read(drain(row))).collect()
    }

    async fn retire_drive(&self, drive: DriveId) -> Result<bool> {
        self.call(Box::new(move |session| Box::pin(remove(session, Removal::Drive(drive))))).await
    }
}
