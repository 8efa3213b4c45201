//! One group of small objects, from packed to answered.
//!
//! Its blocks are flushed and its statements committed, in this order. Both take about as long, so the metadata gets the
//! statements when the blocks are on their way and their places known: it has them applied, neither durable nor visible,
//! by the time the drives say that they have flushed. Where drives take long, nothing is applied before: the
//! metadata would wait for them with everybody else's writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_metadata::{
    Commit, MetadataError, MetadataStore, Outcome, PackedLocation, VolumeAdvance, Write, durable,
};
use granary_types::crash_point;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::lay::{Laying, Proof, lay};
use super::manifest::Recorded;
use super::pack::{ENTRY_OVERHEAD_BYTES, Item};
use super::pack_write::PackWrite;
use crate::error::{EngineError, Result};
use crate::tiers::Tier;
use crate::volume::{OpenVolume, VolumePool};
use crate::waits::Waits;

const ATTEMPTS_MAX: usize = 3;
/// A drive that flushed the last group in less is quick enough for the metadata to wait for it.
const QUICK_FLUSH_MAX: Duration = Duration::from_millis(4);

/// Gets the outcomes of a request's writes, and what they were waited for.
pub(super) type Reply = oneshot::Sender<Result<(Vec<Outcome>, Waits), NotStored>>;

/// Why a request has no outcome. Nodes tell each other: the order of the variants is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NotStored {
    /// Nothing of it was committed: the drives have no room.
    NoSpace,
    /// Nothing of it was committed: it could not be written to drives.
    Drives,
    /// It may have been committed.
    Unknown,
}

impl From<NotStored> for EngineError {
    fn from(why: NotStored) -> Self {
        match why {
            NotStored::NoSpace => Self::NoSpace,
            NotStored::Drives => Self::Unavailable { context: "writing to the drives" },
            NotStored::Unknown => Self::Unavailable { context: "committing" },
        }
    }
}

/// Requests that are packed together.
#[derive(Default)]
pub(super) struct Group {
    items: Vec<Item>,
    /// Each with how many of the items are its own; the last of these has the place that it is about.
    writes: Vec<(usize, PackWrite)>,
    /// One for each write.
    replies: Vec<Reply>,
}

/// What a group commits, now that the places of its items are known.
#[derive(Default)]
pub(super) struct Committing {
    pub(super) advances: Vec<VolumeAdvance>,
    pub(super) writes: Vec<Write>,
    /// Keeps the volumes from being sealed before the commit.
    pub(super) volumes: Vec<Arc<OpenVolume>>,
    /// How the request of each place in the group is answered.
    shares: Vec<Share>,
}

/// What of a commit is a request's.
enum Share {
    /// So many of its writes.
    Of(usize),
    /// It depends on volumes of its own, whose refusal must not be that of the group.
    Apart(Recorded),
}

/// A group that has landed.
struct Landed {
    committed: Result<Vec<Outcome>, MetadataError>,
    shares: Vec<Share>,
    waits: Waits,
}

/// One queue's way to the drives.
pub(super) struct Line {
    pub(super) pool: Arc<VolumePool>,
    pub(super) store: Arc<dyn MetadataStore>,
    pub(super) tier: Tier,
    /// Which column gets the first item, so that all get as many.
    pub(super) turn: usize,
    /// How long the drives took for the last group.
    pub(super) last_flush: Option<Duration>,
}

impl Group {
    pub(super) fn of(requests: impl Iterator<Item = (Vec<Item>, PackWrite, Reply)>) -> Self {
        let mut group = Self::default();
        for (items, write, reply) in requests {
            group.writes.push((items.len(), write));
            group.items.extend(items);
            group.replies.push(reply);
        }
        group
    }

    /// Whether something of it moves between tiers.
    pub(super) fn moves(&self) -> bool {
        self.writes.iter().any(|(_, write)| write.is_transition())
    }

    fn proof(&self) -> Proof {
        if self.moves() { Proof::ReadBack } else { Proof::Flushed }
    }

    /// What it commits with its items at these places.
    fn committing(&self, locations: &[PackedLocation], volume: &Arc<OpenVolume>) -> Committing {
        let mut committing = Committing { volumes: vec![Arc::clone(volume)], ..Committing::default() };
        let mut locations = locations.iter();
        let is_alone = self.writes.len() == 1;
        for (items, write) in &self.writes {
            let location = locations.by_ref().take(*items).last().cloned();
            let before = committing.writes.len();
            let share = match write {
                PackWrite::Recorded(recorded) if !is_alone && !recorded.advances.is_empty() => {
                    Share::Apart(recorded.clone())
                }
                write => {
                    write.clone().at(location, &mut committing);
                    Share::Of(committing.writes.len() - before)
                }
            };
            committing.shares.push(share);
        }
        committing
    }

    /// Remembers how many bytes of the volume are records that nothing refers to.
    fn note_records(&self, pool: &VolumePool, volume: &OpenVolume) {
        let mut items = self.items.iter();
        let mut bytes = 0;
        for (count, write) in &self.writes {
            let lengths =
                items.by_ref().take(*count).map(|item| (item.record.len() + ENTRY_OVERHEAD_BYTES) as u64);
            let length: u64 = lengths.sum();
            bytes += if write.is_record() { length } else { 0 };
        }
        if bytes > 0 {
            pool.records.add(volume.id, bytes);
        }
    }

    /// Answers all of them that the group could not be written.
    fn refuse(self, failure: &EngineError, (pool, tier): (&VolumePool, Tier)) {
        let full = matches!(failure, EngineError::NoSpace) || is_full(failure);
        tracing::error!(error = %failure, objects = self.replies.len(), "a group of small objects could not be written");
        if full {
            pool.note_refused(tier, self.writes.iter().filter(|(_, write)| write.is_new()).count() as u64);
        }
        for reply in self.replies {
            let _gone = reply.send(Err(if full { NotStored::NoSpace } else { NotStored::Drives }));
        }
    }
}

/// Whether a drive refused for want of room what was laid down.
fn is_full(error: &EngineError) -> bool {
    matches!(error, EngineError::Drive(error) if error.is_no_space())
}

impl Line {
    /// Makes a group durable and true, in another volume if one fails; answers its requests.
    pub(super) async fn store_group(&mut self, group: Group) {
        let (mut tier, mut attempts) = (self.tier, ATTEMPTS_MAX);
        let failure = loop {
            let laid = lay(&group.items, &self.pool, tier, &mut self.turn, group.proof()).await;
            let result = match laid {
                Ok(laying) => self.commit(&group, laying).await,
                Err(error) => Err(error),
            };
            attempts -= 1;
            let error = match result {
                Ok(landed) => return self.answer(landed, group.replies).await,
                Err(error) => error,
            };
            // What a drive told of its room may be older than this: if the bytes may go elsewhere, its tier is not asked again.
            let elsewhere = if is_full(&error) { self.pool.spill(tier) } else { None };
            if let Some(elsewhere) = elsewhere {
                tier = elsewhere;
                attempts = attempts.max(1);
            } else if attempts == 0 || matches!(error, EngineError::NoSpace | EngineError::Metadata(_)) {
                // Another volume helps against a drive. For a database that is away, whoever opened it has waited long enough.
                break error;
            }
        };
        group.refuse(&failure, (&self.pool, self.tier));
    }

    /// Commits a group once its items have landed. Fails if they do not; then nothing of it is committed. Otherwise gives
    /// back what became of the commit.
    async fn commit(&mut self, group: &Group, mut laying: Laying) -> Result<Landed> {
        let started = Instant::now();
        let is_quick = self.last_flush.take().is_some_and(|took| took < QUICK_FLUSH_MAX);
        let foreseen = if is_quick && group.proof() == Proof::Flushed { laying.foresee() } else { None };
        let Committing { mut advances, writes, volumes, shares } =
            group.committing(&laying.locations, &laying.volume);
        let committed = if let Some(foreseen) = foreseen {
            advances.push(foreseen.clone());
            let (promise, durable) = durable();
            let landing = async {
                let landed = self.landed(group, &mut laying, started).await;
                if landed.is_ok() {
                    promise.keep();
                }
                landed
            };
            let commit = self.store.commit_once_durable(Commit { advances, writes }, durable);
            let (landed, committed) = tokio::join!(landing, commit);
            let (advance, flushed_in) = landed?;
            debug_assert_eq!(advance, foreseen, "what was committed is what was written");
            self.last_flush = Some(flushed_in);
            committed
        } else {
            let (advance, flushed_in) = self.landed(group, &mut laying, started).await?;
            advances.push(advance);
            self.last_flush = Some(flushed_in);
            self.store.commit(Commit { advances, writes }).await
        };
        let flush = self.last_flush.unwrap_or_default();
        let waits = Waits { flush, metadata: started.elapsed().saturating_sub(flush) };
        metrics::histogram!("granary_phase_seconds", "phase" => "metadata")
            .record(waits.metadata.as_secs_f64());
        crash_point("group.after_commit_before_ack");
        drop(volumes);
        Ok(Landed { committed, shares, waits })
    }

    /// Waits until the group is durable on the drives; gives back what commits it and how long they took.
    async fn landed(
        &self,
        group: &Group,
        laying: &mut Laying,
        started: Instant,
    ) -> Result<(VolumeAdvance, Duration)> {
        let advance = laying.landed().await?;
        let took = started.elapsed();
        metrics::histogram!("granary_phase_seconds", "phase" => "flush").record(took.as_secs_f64());
        crash_point("drive.after_flush_before_commit");
        group.note_records(&self.pool, &laying.volume);
        Ok((advance, took))
    }

    async fn answer(&self, Landed { committed, shares, waits }: Landed, replies: Vec<Reply>) {
        let mut outcomes = match committed {
            Ok(outcomes) => outcomes.into_iter(),
            Err(error) => {
                tracing::error!(%error, objects = replies.len(), "a group of small objects could not be committed");
                self.pool.leave_fenced(&error).await;
                for reply in replies {
                    let _gone = reply.send(Err(NotStored::Unknown));
                }
                return;
            }
        };
        for (share, reply) in shares.into_iter().zip(replies) {
            match share {
                Share::Of(count) => {
                    let _gone = reply.send(Ok((outcomes.by_ref().take(count).collect(), waits)));
                }
                Share::Apart(recorded) => {
                    let (pool, store) = (Arc::clone(&self.pool), Arc::clone(&self.store));
                    tokio::spawn(commit_apart(recorded, (reply, waits), pool, store));
                }
            }
        }
    }
}

/// Commits what was recorded in a group and depends on other volumes than the group's. Beside the next group: many of
/// these may wait for one transaction of the metadata together.
async fn commit_apart(
    recorded: Recorded,
    (reply, waits): (Reply, Waits),
    pool: Arc<VolumePool>,
    store: Arc<dyn MetadataStore>,
) {
    let Recorded { writes, advances, volumes: _held, .. } = recorded;
    let started = Instant::now();
    let result = store.commit(Commit { advances, writes }).await;
    let waits = Waits { metadata: waits.metadata + started.elapsed(), ..waits };
    crash_point("group.after_commit_apart_before_ack");
    let answer = match result {
        Ok(outcomes) => Ok((outcomes, waits)),
        Err(error) => {
            tracing::error!(%error, "what was recorded could not be committed");
            pool.leave_fenced(&error).await;
            Err(NotStored::Unknown)
        }
    };
    let _gone = reply.send(answer);
}
