//! The loop that follows fail-overs.

use std::collections::HashMap;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use granary_drive::{Drive, FileHeader, ShardName};
use granary_metadata::{
    Commit, FailOverStep, FailOvers, Loss, LossKind, Lost, LostChange, NodeHistory, NodeState, Timeline,
    VolumeState,
};
use granary_types::{BucketId, NodeId, ObjectKey, UnixMillis, VolumeId, crash_point};
use tokio::sync::Mutex;

use super::recommit::{Recommit, Recommitted};
use super::tails::{Tails, abandoned, seal, unknown};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::maintain::has_regressed;
use crate::nodes::Nodes;
use crate::recover::late_writes;
use crate::volume::all_rows;

/// How often it is looked whether there was a fail-over.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How many looks are between two counts of the losses.
const LOOKS_PER_COUNT: u64 = 60;
/// Losses that are stored at a time.
const LOSSES_PER_REPORT: usize = 500;

/// Looks after fail-overs; ends when it is aborted.
pub(crate) async fn follow_fail_overs(inner: Arc<Inner>) {
    let Some(known) = inner.fail_over.known.clone() else { return };
    let mut worker = Worker { inner, known, told: None, has_lost: None };
    for look in 0_u64.. {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if let Err(error) = worker.look(look.is_multiple_of(LOOKS_PER_COUNT)).await {
            tracing::warn!(%error, "what a fail-over lost could not be dealt with; it is tried again");
        }
    }
}

struct Worker {
    inner: Arc<Inner>,
    known: Arc<dyn FailOvers>,
    /// The fail-over that this node is at, and how far it is.
    told: Option<(Timeline, FailOverStep)>,
    /// The fail-over in which this node lost something.
    has_lost: Option<Timeline>,
}

impl Worker {
    async fn look(&mut self, counts: bool) -> Result<()> {
        let is_unsettled = self.inner.fail_over.is_unsettled();
        if is_unsettled || !self.known.lost().is_nothing() {
            // A commit makes the writer look whether the database knows its last batch.
            self.inner.store.commit(Commit::default()).await?;
            let lost = self.known.lost();
            if !lost.is_nothing() {
                self.note(&lost).await?;
                self.known.finish_lost(&lost);
                // The others are through without this node: what it lost is compared with what they have made of it.
                if !is_unsettled {
                    self.deal_with_tails(|_| false).await?;
                    self.settled().await?;
                }
            }
        }
        if is_unsettled {
            self.follow().await?;
        } else if counts {
            // A former life may have ended in the middle.
            self.deal_with_tails(|_| false).await?;
            self.count().await?;
        }
        Ok(())
    }

    async fn count(&self) -> Result<()> {
        metrics::gauge!("granary_metadata_losses").set(self.known.count_losses().await? as f64);
        Ok(())
    }

    /// Something that this process was answered for is lost: what no block tells of is reported.
    async fn note(&mut self, lost: &Lost) -> Result<()> {
        self.has_lost = self.known.newest();
        self.inner.fail_over.note_lost(true);
        let mut names = HashMap::new();
        let mut losses = Vec::with_capacity(lost.changes.len());
        for change in &lost.changes {
            losses.push(self.loss_of(change, &mut names).await?);
        }
        self.report(losses).await
    }

    /// Commits again what is in the tails that are this node's, or of nodes that `are_ours` too. All at once, so that what
    /// several nodes wrote to a key comes in the order in which they did.
    async fn deal_with_tails(&self, are_ours: impl Fn(NodeId) -> bool) -> Result<()> {
        let this = self.inner.nodes.as_ref().map(|nodes| nodes.id);
        let mut lost = self.known.tails().await?;
        lost.retain(|tail| tail.node == this || tail.node.is_some_and(&are_ours));
        let mut tails = Tails::default();
        for tail in &lost {
            tails.add(&self.inner, self.known.as_ref(), tail).await?;
        }
        if !lost.is_empty() {
            self.recommit(tails).await?;
        }
        for tail in &lost {
            self.known.finish_tail(tail).await?;
        }
        Ok(())
    }

    async fn recommit(&self, mut tails: Tails) -> Result<()> {
        let late = late_writes(std::mem::take(&mut tails.tails));
        let recommit =
            Recommit { inner: &self.inner, tails: Mutex::new(tails), timeline: self.known.newest() };
        let Recommitted { writes, losses } = recommit.all(late).await?;
        crash_point("fail_over.after_recommit");
        if writes > 0 {
            tracing::warn!(writes, "writes that the database had lost were committed again");
            metrics::counter!("granary_metadata_recommitted_total").increment(writes);
        }
        self.report(losses).await
    }

    async fn report(&self, losses: Vec<Loss>) -> Result<()> {
        if losses.is_empty() {
            return Ok(());
        }
        for loss in &losses {
            let key = loss.key.as_ref().map(ObjectKey::as_str).unwrap_or_default();
            tracing::error!(kind = ?loss.kind, bucket = loss.bucket, key, loss.detail, "lost in a fail-over");
        }
        for losses in losses.chunks(LOSSES_PER_REPORT) {
            self.known.report(losses.to_vec()).await?;
        }
        self.count().await
    }

    async fn loss_of(&self, change: &LostChange, names: &mut HashMap<BucketId, String>) -> Result<Loss> {
        let bucket = match change.bucket {
            None => String::new(),
            Some(id) => match names.get(&id) {
                Some(name) => name.clone(),
                None => names.entry(id).or_insert(self.name_of(id).await?).clone(),
            },
        };
        let key = ObjectKey::new(change.key.clone()).ok();
        Ok(Loss {
            kind: if change.what.starts_with("a part") { LossKind::Part } else { LossKind::Change },
            timeline: self.known.newest().map_or(0, |timeline| timeline.0),
            found: UnixMillis::now(),
            bucket,
            key,
            version: None,
            write: None,
            detail: change.what.to_owned(),
        })
    }

    async fn name_of(&self, id: BucketId) -> Result<String> {
        let found = self.inner.all_buckets().try_filter(|bucket| ready(bucket.id == id));
        let found = pin!(found).try_next().await?;
        Ok(found.map_or_else(|| id.to_string(), |bucket| bucket.name.to_string()))
    }

    /// Goes a step on in what a fail-over asks of all nodes.
    async fn follow(&mut self) -> Result<()> {
        let Some(timeline) = self.known.newest() else { return Ok(()) };
        if self.told.is_none_or(|(at, _)| at < timeline) {
            tracing::warn!(
                timeline = timeline.0,
                "the database failed over: nothing is freed until it is known what that lost"
            );
            metrics::counter!("granary_metadata_fail_overs_total").increment(1);
            self.own_former_volumes().await?;
            self.tell(timeline, FailOverStep::Heard).await?;
        }
        match self.inner.nodes.clone() {
            None => {
                self.search().await?;
                self.deal_with_tails(|_| true).await?;
                self.settle(timeline).await
            }
            Some(nodes) => self.follow_with(&nodes, timeline).await,
        }
    }

    async fn follow_with(&mut self, nodes: &Arc<Nodes>, timeline: Timeline) -> Result<()> {
        self.inner.fail_over.look().await?;
        if !self.inner.fail_over.is_unsettled() {
            return self.settled().await;
        }
        let told = self.known.told().await?;
        if told.iter().any(|told| told.timeline == timeline && told.has_lost) {
            self.inner.fail_over.note_lost(true);
        }
        let waits_for = |step| waited_for(nodes, &told, timeline, step);
        if self.told == Some((timeline, FailOverStep::Heard)) && waits_for(FailOverStep::Heard).is_empty() {
            self.search().await?;
            self.tell(timeline, FailOverStep::Searched).await?;
        } else if nodes.leads() && waits_for(FailOverStep::Searched).is_empty() {
            self.volumes_of_the_dead(nodes).await?;
            self.deal_with_tails(|_| true).await?;
            self.settle(timeline).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, timeline: Timeline, step: FailOverStep) -> Result<()> {
        if let Some(nodes) = &self.inner.nodes {
            let has_lost = self.has_lost == Some(timeline);
            self.known.tell(NodeHistory { node: nodes.id, timeline, step, has_lost }).await?;
        }
        self.told = Some((timeline, step));
        Ok(())
    }

    async fn settle(&mut self, timeline: Timeline) -> Result<()> {
        crash_point("fail_over.before_settle");
        self.known.settle(timeline).await?;
        self.inner.fail_over.look().await?;
        self.settled().await
    }

    async fn settled(&mut self) -> Result<()> {
        self.seal_own().await?;
        let drives = self.inner.drives.usable_local();
        if has_regressed(self.inner.store.as_ref(), &drives).await? {
            self.inner.note_regressed();
        } else {
            self.inner.fail_over.note_lost(false);
        }
        tracing::warn!("what the fail-over of the database lost is committed again or reported");
        self.count().await
    }

    /// Seals what this process does not write any more, and what former lives of it left open.
    async fn seal_own(&self) -> Result<()> {
        for id in self.own_open_volumes().await? {
            if !self.inner.pool.holds(id).await {
                seal(&self.inner, id).await?;
            }
        }
        Ok(())
    }

    /// What a former life of this process left open, across the fail-over.
    async fn own_former_volumes(&self) -> Result<()> {
        self.abandoned(self.own_open_volumes().await?).await
    }

    async fn own_open_volumes(&self) -> Result<Vec<VolumeId>> {
        let inner = &self.inner;
        Ok(match &inner.nodes {
            Some(nodes) => {
                let open = nodes.membership.open_volumes().await?.into_iter();
                open.filter(|(_, owner)| owner.is_none_or(|owner| owner == nodes.id))
                    .map(|(id, _)| id)
                    .collect()
            }
            None => {
                let rows = all_rows(inner.store.as_ref()).await?.into_iter();
                rows.filter(|row| row.state == VolumeState::Open).map(|row| row.volume.id).collect()
            }
        })
    }

    /// What nodes that are dead now had open.
    async fn volumes_of_the_dead(&self, nodes: &Nodes) -> Result<()> {
        let open = nodes.membership.open_volumes().await?.into_iter();
        let open = open.filter(|(_, owner)| owner.is_some_and(|owner| nodes.is_gone(owner)));
        self.abandoned(open.map(|(id, _)| id).collect()).await
    }

    async fn abandoned(&self, open: Vec<VolumeId>) -> Result<()> {
        for id in open {
            if self.inner.pool.holds(id).await {
                continue;
            }
            // Kept before the end is raised: whoever comes next must not take what lies below it for known.
            if let Some(tail) = abandoned(&self.inner, id).await? {
                self.known.put_tail(tail).await?;
                crash_point("fail_over.after_tail");
            }
        }
        Ok(())
    }

    /// Looks on the drives here for volumes that the metadata does not know any more.
    async fn search(&self) -> Result<()> {
        let mut files: HashMap<VolumeId, (Arc<Drive>, ShardName)> = HashMap::new();
        for drive in self.inner.drives.usable_local() {
            let counting = Arc::clone(&drive);
            let counted = tokio::task::spawn_blocking(move || counting.census()).await;
            let counted = match counted.map_err(|_| EngineError::Internal("counting files panicked"))? {
                Ok(counted) => counted,
                // The other columns of what is here are on other drives.
                Err(error) => {
                    tracing::error!(drive = %drive.directory().display(), %error, "a drive cannot be searched");
                    continue;
                }
            };
            let filled = counted.into_iter().filter(|(_, length)| *length > FileHeader::LENGTH_BYTES);
            files.extend(filled.map(|(name, _)| (name.volume, (Arc::clone(&drive), name))));
        }
        // Asked after the files were counted: a volume has its row before anything is written to it.
        for row in all_rows(self.inner.store.as_ref()).await? {
            files.remove(&row.volume.id);
        }
        let mut names = Vec::with_capacity(files.len());
        for (drive, name) in files.into_values() {
            let header = tokio::task::spawn_blocking(move || drive.shard_header(name)).await;
            match header.map_err(|_| EngineError::Internal("reading a header panicked"))? {
                Ok(header) => names.extend(header.map(|header| (name, header.profile))),
                Err(error) => tracing::error!(volume = %name.volume, %error, "a shard cannot be read"),
            }
        }
        for (name, codes) in names {
            if let Some(tail) = unknown(&self.inner, name, codes).await? {
                tracing::warn!(volume = %name.volume, "a volume that the database had lost was found");
                self.known.put_tail(tail).await?;
            }
        }
        Ok(())
    }
}

/// The nodes that live and have not come so far.
fn waited_for(nodes: &Nodes, told: &[NodeHistory], timeline: Timeline, step: FailOverStep) -> Vec<NodeId> {
    let has_come = |node: NodeId| {
        told.iter().any(|told| told.node == node && told.timeline >= timeline && told.step >= step)
    };
    let active = nodes.status().into_iter().filter(|status| status.row.state == NodeState::Active);
    let living = active.map(|status| status.row.node.id).filter(|id| !nodes.is_gone(*id));
    living.filter(|id| !has_come(*id)).collect()
}
