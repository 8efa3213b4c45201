//! What operators ask for: drives to be emptied, to be replaced, to be removed. Shown before it is applied.

use std::collections::{BTreeMap, BTreeSet};

use granary_cluster::{degraded, for_drives};
use granary_metadata::{Drain, DriveState, Membership, NodeDrive, NodeState, VolumeRow, VolumeState};
use granary_types::{DriveClass, DriveId, NodeId, UnixMillis};

use super::board::left_on;
use super::plan::{Placement, Plan, PlanDrive, plan_drain};
use super::{is_in_use, plan_drives};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::nodes::Nodes;
use crate::tiers::{Tier, Tiers};
use crate::volume::all_rows;

/// So much of an id names a drive or a node, if no other begins with it.
const PREFIX_LENGTH_MIN: usize = 4;

/// What is said of a drive that is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: it is there, or is away and will come back.
    #[default]
    Unsaid,
    /// It is lost for good. What it held is rebuilt, and it never comes back.
    Lost,
}

/// What is to be emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// A drive, by its id or the beginning of it.
    Drive(String),
    /// All drives of a node, by its address, its id or the beginning of it.
    Node(String),
    /// A drive whose place another one takes.
    Replaced {
        /// The drive.
        old: String,
        /// The one that takes its place.
        new: String,
        /// Whether the old one is lost.
        fate: Fate,
    },
}

/// Shards that go from one drive to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveStep {
    /// From here.
    pub from: DriveId,
    /// To here.
    pub to: DriveId,
    /// How many.
    pub shards: u64,
    /// Their bytes.
    pub length_bytes: u64,
}

/// What emptying drives will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainPlan {
    /// The drives to be emptied.
    pub drives: Vec<DriveId>,
    /// What is copied.
    pub steps: Vec<MoveStep>,
    /// Volumes that are written again, as the drives that stay are too few for their code.
    pub rewrites: u64,
    /// What lives in these.
    pub rewrite_bytes: u64,
    /// Volumes that are still written and are sealed first.
    pub open: u64,
    /// Shards of a drive that is gone: they are rebuilt from the others.
    pub rebuilds: u64,
    /// The code of new volumes afterwards, `k+m`.
    pub erasure: String,
    /// Whether it was begun.
    pub is_applied: bool,
}

fn refused<T>(reason: impl Into<String>) -> Result<T> {
    Err(EngineError::Layout(reason.into()))
}

impl Engine {
    fn nodes(&self) -> Result<&Nodes> {
        match &self.inner.nodes {
            Some(nodes) => Ok(nodes),
            None => refused(
                "a store on one machine keeps its drives; to replace one, empty its directory and heal",
            ),
        }
    }

    /// Says what emptying these drives will do, and begins with it if `apply`.
    ///
    /// # Errors
    /// [`EngineError::Layout`] for drives that are not known or cannot leave without loss of redundancy.
    pub async fn drain(&self, leaving: &Leaving, apply: bool) -> Result<DrainPlan> {
        let nodes = self.nodes()?;
        nodes.beat_and_look(Some(&self.inner.reader.running)).await?;
        let (drives, heir) = self.chosen(nodes, leaving)?;
        let volumes = all_rows(self.inner.store.as_ref()).await?;
        let mut plan = self.plan(nodes, &volumes, &drives, heir)?;
        if let (Some(heir), true) = (heir, plan.rebuilds == 0) {
            self.check_heir(nodes, heir)?;
        }
        if apply {
            self.check_fate(leaving, &drives)?;
            self.begin(nodes.membership.as_ref(), &volumes, &drives, heir, plan.rebuilds > 0).await?;
            nodes.beat_and_look(Some(&self.inner.reader.running)).await?;
            plan.is_applied = true;
        }
        Ok(plan)
    }

    /// The drives that are to be emptied, and the one that takes their place.
    fn chosen(&self, nodes: &Nodes, leaving: &Leaving) -> Result<(Vec<DriveId>, Option<DriveId>)> {
        let listed = nodes.listed_drives();
        match leaving {
            Leaving::Drive(text) => Ok((vec![active_drive(&listed, text)?], None)),
            Leaving::Node(text) => {
                let node = named_node(nodes, text)?;
                let own =
                    |drive: &&NodeDrive| drive.node == Some(node) && drive.drive.state == DriveState::Active;
                let drives: Vec<DriveId> = listed.iter().filter(own).map(|drive| drive.drive.id).collect();
                if drives.is_empty() { refused("the node has no drives") } else { Ok((drives, None)) }
            }
            Leaving::Replaced { old, new, .. } => {
                let (old, new) = (named_drive(&listed, old)?, active_drive(&listed, new)?);
                if old == new {
                    return refused("a drive cannot take its own place");
                }
                self.check_heir(nodes, new)?;
                Ok((vec![old], Some(new)))
            }
        }
    }

    /// Refuses to give up a drive that is only away, unless it is said to be lost.
    fn check_fate(&self, leaving: &Leaving, drives: &[DriveId]) -> Result<()> {
        let Leaving::Replaced { fate: Fate::Unsaid, .. } = leaving else { return Ok(()) };
        match drives.iter().find(|drive| !self.inner.drives.can_read(**drive)) {
            Some(drive) => refused(format!(
                "drive {drive} cannot be read now and may only be away: give --lost if it is lost for good, and it is given up"
            )),
            None => Ok(()),
        }
    }

    fn check_heir(&self, nodes: &Nodes, heir: DriveId) -> Result<()> {
        if nodes.drains().iter().any(|drain| drain.drive == heir) {
            return refused(format!("drive {heir} is being emptied itself"));
        }
        let is_usable = self.inner.drives.get(heir).is_some_and(|drive| drive.is_usable());
        if is_usable { Ok(()) } else { refused(format!("drive {heir} cannot be written now")) }
    }

    fn plan(
        &self,
        nodes: &Nodes,
        volumes: &[VolumeRow],
        drives: &[DriveId],
        heir: Option<DriveId>,
    ) -> Result<DrainPlan> {
        let is_there = |id: &DriveId| self.inner.drives.can_read(*id);
        let gone: Vec<DriveId> = drives.iter().copied().filter(|id| !is_there(id)).collect();
        if let (Some(lost), None) = (gone.first(), heir) {
            return refused(format!(
                "drive {lost} cannot be read, so nothing can be copied off it: replace it, or remove its node"
            ));
        }
        self.check_rebuildable(volumes, &gone)?;
        let mut planned = plan_drives(&self.inner, nodes);
        for id in drives {
            if let Some(drive) = planned.get_mut(id) {
                (drive.takes_shards, drive.is_leaving) = (false, true);
            }
        }
        let tiers = &self.inner.pool.tiers;
        let kind = |id: &DriveId| tiers.is_tiered().then(|| self.inner.drives.class(*id));
        let kinds = kinds_left(&planned, drives.iter().map(kind).collect());
        let leaving: BTreeMap<DriveId, Option<DriveId>> =
            drives.iter().filter(|id| is_there(id)).map(|id| (*id, heir)).collect();
        let plan = plan_drain(&mut Placement::new(planned, volumes), volumes, &leaving);
        let mut code = None;
        for left in &kinds {
            code = self.code_for(left);
            let parity = code.map_or(0, |(_, parity)| parity);
            self.check_redundancy(volumes, &plan, drives, (left, parity))?;
        }
        let rebuilds = gone.iter().map(|id| left_on(volumes, *id).0).sum();
        Ok(DrainPlan {
            drives: drives.to_vec(),
            steps: steps(&plan),
            rewrites: plan.rewrites.len() as u64,
            rewrite_bytes: plan.rewrites.iter().map(|(_, bytes)| bytes).sum(),
            open: plan.open,
            rebuilds,
            erasure: code.map_or_else(String::new, |(data, parity)| format!("{data}+{parity}")),
            is_applied: false,
        })
    }

    /// Refuses to give up drives that hold what cannot be rebuilt from those that can be read now. They may only be away.
    fn check_rebuildable(&self, volumes: &[VolumeRow], gone: &[DriveId]) -> Result<()> {
        let needs = |row: &&VolumeRow| {
            row.state != VolumeState::Freed && row.volume.drives.iter().any(|drive| gone.contains(drive))
        };
        for row in volumes.iter().filter(needs) {
            let rest = row.volume.drives.iter().filter(|drive| !gone.contains(drive));
            let readable = rest.filter(|drive| self.inner.drives.can_read(**drive)).count();
            if readable < usize::from(row.volume.data_columns) {
                return refused(format!(
                    "volume {} could not be rebuilt: {readable} of the {} columns it takes can be read without the drive",
                    row.volume.id, row.volume.data_columns
                ));
            }
        }
        Ok(())
    }

    /// The code of volumes opened on what is left of a kind.
    fn code_for(&self, left: &Left) -> Option<(u8, u8)> {
        let asked =
            self.inner.options.erasure.filter(|asked| left.kind.is_none() || asked.columns() <= left.stay);
        let wanted = match asked {
            Some(profile) => {
                granary_cluster::Redundancy { data: profile.data_columns(), parity: profile.parity_columns() }
            }
            None => for_drives(left.stay),
        };
        degraded(wanted, left.takers).map(|code| (code.data, code.parity))
    }

    /// Refuses what would leave less redundancy than there is.
    fn check_redundancy(
        &self,
        volumes: &[VolumeRow],
        plan: &Plan,
        drives: &[DriveId],
        (left, parity): (&Left, u8),
    ) -> Result<()> {
        let is_of_kind = |row: &&VolumeRow| {
            left.kind.is_none()
                || row.volume.drives.iter().any(|id| Some(self.inner.drives.class(*id)) == left.kind)
        };
        let rewritten: BTreeSet<_> = plan.rewrites.iter().map(|(id, _)| *id).collect();
        let concerned = volumes.iter().filter(is_of_kind).filter(|row| {
            rewritten.contains(&row.volume.id)
                || (row.state == VolumeState::Open && row.volume.drives.iter().any(|id| drives.contains(id)))
        });
        let most = concerned.map(|row| row.volume.parity_columns).max().unwrap_or(0);
        let tiers = &self.inner.pool.tiers;
        let of_kind = |tier: &Tier| left.kind.is_none_or(|kind| Tiers::takes(*tier, kind));
        let now = tiers.all().into_iter().filter(of_kind).map(|tier| tiers.code(tier).parity).min();
        let wanted = now.unwrap_or(0).max(most);
        let stay = left.stay;
        if stay == 0 || parity < wanted {
            let of = left.kind.map(|kind| format!(" of class {kind}")).unwrap_or_default();
            return refused(format!(
                "the {stay} drives{of} that stay would bear the loss of {parity} and not of {wanted}: add drives first"
            ));
        }
        Ok(())
    }

    async fn begin(
        &self,
        membership: &dyn Membership,
        volumes: &[VolumeRow],
        drives: &[DriveId],
        heir: Option<DriveId>,
        is_gone: bool,
    ) -> Result<()> {
        for drive in drives {
            if is_gone {
                // Heals rebuild what lay on retired drives, and read this row to know where.
                membership.retire_drive(*drive).await?;
            }
            let (shards, length_bytes) = left_on(volumes, *drive);
            let began = UnixMillis::now();
            membership.put_drain(Drain { drive: *drive, target: heir, began, shards, length_bytes }).await?;
            tracing::info!(%drive, shards, length_bytes, "a drive is being emptied");
        }
        Ok(())
    }

    /// Ends the emptying of drives; what was moved stays where it is. Whether any was being emptied.
    ///
    /// # Errors
    /// [`EngineError::Layout`] for drives that are not known.
    pub async fn cancel_drain(&self, leaving: &Leaving) -> Result<bool> {
        let nodes = self.nodes()?;
        nodes.beat_and_look(Some(&self.inner.reader.running)).await?;
        let (drives, _) = self.chosen(nodes, leaving)?;
        let mut ended = false;
        for drive in drives {
            ended |= nodes.membership.end_drain(drive).await?;
        }
        nodes.beat_and_look(Some(&self.inner.reader.running)).await?;
        Ok(ended)
    }

    /// Retires a drive on which nothing is any more.
    ///
    /// # Errors
    /// [`EngineError::Layout`] when it is not known, or holds shards.
    pub async fn remove_drive(&self, text: &str) -> Result<()> {
        let nodes = self.nodes()?;
        nodes.beat_and_look(Some(&self.inner.reader.running)).await?;
        let drive = named_drive(&nodes.listed_drives(), text)?;
        let (shards, _) = left_on(&all_rows(self.inner.store.as_ref()).await?, drive);
        if shards > 0 {
            return refused(format!(
                "drive {drive} holds {shards} shards: drain it first, or replace it if it is lost"
            ));
        }
        if !nodes.drains().iter().any(|drain| drain.drive == drive) {
            return refused(format!("new shards may be placed on drive {drive}: drain it first"));
        }
        nodes.membership.retire_drive(drive).await?;
        nodes.beat_and_look(Some(&self.inner.reader.running)).await
    }

    /// Whether all drives of a node were emptied, so that it can go without any loss.
    pub(crate) async fn is_drained(&self, nodes: &Nodes, node: NodeId) -> Result<bool> {
        let drains = nodes.membership.drains().await?;
        let listed = nodes.membership.node_drives().await?;
        let volumes = all_rows(self.inner.store.as_ref()).await?;
        let own = |drive: &&NodeDrive| drive.node == Some(node) && drive.drive.state == DriveState::Active;
        Ok(listed.iter().filter(own).all(|drive| {
            let id = drive.drive.id;
            drains.iter().any(|drain| drain.drive == id) && !is_in_use(&volumes, id)
        }))
    }
}

/// What is left of a kind of drives when some leave.
struct Left {
    kind: Option<DriveClass>,
    stay: usize,
    /// As many of these can be written now.
    takers: usize,
}

/// What is left of each of these kinds.
fn kinds_left(planned: &BTreeMap<DriveId, PlanDrive>, kinds: BTreeSet<Option<DriveClass>>) -> Vec<Left> {
    let left = kinds.into_iter().map(|kind| {
        let of_kind = || planned.values().filter(move |drive| drive.kind == kind);
        Left {
            kind,
            stay: of_kind().filter(|drive| !drive.is_leaving).count(),
            takers: of_kind().filter(|drive| drive.takes_shards).count(),
        }
    });
    left.collect()
}

fn steps(plan: &Plan) -> Vec<MoveStep> {
    let mut steps: BTreeMap<(DriveId, DriveId), (u64, u64)> = BTreeMap::new();
    for planned in &plan.moves {
        let (shards, bytes) = steps.entry((planned.from, planned.to)).or_default();
        *shards += 1;
        *bytes += planned.length_bytes;
    }
    let step = |((from, to), (shards, length_bytes))| MoveStep { from, to, shards, length_bytes };
    steps.into_iter().map(step).collect()
}

fn active_drive(listed: &[NodeDrive], text: &str) -> Result<DriveId> {
    let id = named_drive(listed, text)?;
    let is_active = |drive: &NodeDrive| drive.drive.id == id && drive.drive.state == DriveState::Active;
    if listed.iter().any(is_active) { Ok(id) } else { refused(format!("drive {id} was retired")) }
}

fn named_drive(listed: &[NodeDrive], text: &str) -> Result<DriveId> {
    let ids: Vec<DriveId> = listed.iter().map(|drive| drive.drive.id).collect();
    one_of(&ids, "drive", text)
}

/// The node of that address or id.
pub(crate) fn named_node(nodes: &Nodes, text: &str) -> Result<NodeId> {
    let all = nodes.status();
    let active = all.iter().filter(|status| status.row.state == NodeState::Active);
    let mut at = active.filter(|status| status.row.node.address == text);
    if let (Some(status), None) = (at.next(), at.next()) {
        return Ok(status.row.node.id);
    }
    let ids: Vec<NodeId> = all.iter().map(|status| status.row.node.id).collect();
    one_of(&ids, "node", text)
}

fn one_of<T: Copy + std::fmt::Display>(ids: &[T], kind: &str, text: &str) -> Result<T> {
    let mut found = ids.iter().filter(|id| {
        let id = id.to_string();
        id == text || (text.len() >= PREFIX_LENGTH_MIN && id.starts_with(text))
    });
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (Some(_), Some(_)) => refused(format!("several {kind}s begin with {text}")),
        (None, _) => refused(format!("there is no {kind} {text}")),
    }
}
