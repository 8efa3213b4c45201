//! Which shards go where: to empty drives, and to make all drives equally full. Pure arithmetic over what the metadata and
//! the drives say, so that it can be shown before anything is done, and is found again after a crash.
//!
//! A shard goes to a drive without a column of its volume, of a node and a zone that then hold no more of the volume's
//! columns than may be lost, or no more than those it leaves; among those, to where the volume is spread best, and then to
//! the drive that is the least full for its size. A volume that no drive can take a column of is written again with a code
//! for the drives that stay.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use granary_cluster::Site;
use granary_metadata::{VolumeRow, VolumeState};
use granary_types::{DriveClass, DriveId, VolumeId};

/// A drive as planning sees it.
#[derive(Debug, Clone)]
pub(crate) struct PlanDrive {
    pub site: Site,
    pub capacity_bytes: u64,
    /// What may be written to it.
    pub room_bytes: u64,
    /// Whether shards may be placed on it.
    pub takes_shards: bool,
    /// Whether it is being emptied.
    pub is_leaving: bool,
    /// Shards go to drives of the same kind only; all drives of a store that is not tiered are of one.
    pub kind: Option<DriveClass>,
}

/// One shard to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlannedMove {
    pub volume: VolumeId,
    pub column: u8,
    pub from: DriveId,
    pub to: DriveId,
    pub length_bytes: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub moves: Vec<PlannedMove>,
    /// Volumes to be written again, and what lives in them.
    pub rewrites: Vec<(VolumeId, u64)>,
    /// Volumes that are still written; they are sealed first.
    pub open: u64,
    /// Volumes that wait for a drive that is only away.
    pub waiting: u64,
}

/// Where everything is, as it will be once the moves planned so far are done.
pub(crate) struct Placement {
    drives: BTreeMap<DriveId, PlanDrive>,
    load_bytes: HashMap<DriveId, u64>,
}

impl Placement {
    pub(crate) fn new(drives: BTreeMap<DriveId, PlanDrive>, volumes: &[VolumeRow]) -> Self {
        let mut load_bytes: HashMap<DriveId, u64> = HashMap::new();
        for row in volumes.iter().filter(|row| row.state != VolumeState::Freed) {
            for drive in &row.volume.drives {
                *load_bytes.entry(*drive).or_default() += row.committed_end;
            }
        }
        Self { drives, load_bytes }
    }

    /// Committed bytes of shards on a drive.
    pub(crate) fn load(&self, drive: DriveId) -> u64 {
        self.load_bytes.get(&drive).copied().unwrap_or(0)
    }

    /// How full a drive is with `more` bytes, in parts of its size.
    fn fill(&self, id: DriveId, more: u64) -> u128 {
        let capacity = self.drives.get(&id).map_or(1, |drive| drive.capacity_bytes.max(1));
        (u128::from(self.load(id).saturating_add(more)) << 40) / u128::from(capacity)
    }

    fn apply(&mut self, moved: &PlannedMove) {
        *self.load_bytes.entry(moved.to).or_default() += moved.length_bytes;
        if let Some(from) = self.load_bytes.get_mut(&moved.from) {
            *from = from.saturating_sub(moved.length_bytes);
        }
        if let Some(to) = self.drives.get_mut(&moved.to) {
            to.room_bytes = to.room_bytes.saturating_sub(moved.length_bytes);
        }
    }

    /// How well a column would lie on a drive, the lowest the best; `None` if it must not.
    fn rank(&self, row: &VolumeRow, column: usize, to: DriveId) -> Option<(bool, usize, usize)> {
        let drive = self.drives.get(&to).filter(|drive| drive.takes_shards)?;
        if row.volume.drives.contains(&to) || drive.room_bytes < row.committed_end {
            return None;
        }
        let from = *row.volume.drives.get(column)?;
        if self.drives.get(&from).is_some_and(|from| from.kind != drive.kind) {
            return None;
        }
        let bound = usize::from(row.volume.parity_columns).max(1);
        let others = |matches: &dyn Fn(&Site) -> bool| {
            let others = row.volume.drives.iter().enumerate().filter(|(other, _)| *other != column);
            others
                .filter(|(_, drive)| self.drives.get(drive).is_some_and(|drive| matches(&drive.site)))
                .count()
        };
        let at_node = |site: &Site| others(&|other| other.node == site.node);
        let in_zone = |site: &Site| others(&|other| other.zone == site.zone);
        let before = self.drives.get(&from).map(|drive| (at_node(&drive.site), in_zone(&drive.site)));
        let (node, zone) = (at_node(&drive.site), in_zone(&drive.site));
        let fits =
            |now: usize, before: Option<usize>| now < bound || before.is_some_and(|before| now <= before);
        if !fits(node, before.map(|(node, _)| node)) {
            return None;
        }
        // Of zones there may be fewer than it takes; their rule gives way first, as it does for new volumes.
        let zone_suffers = !fits(zone, before.map(|(_, zone)| zone));
        Some((zone_suffers, node, zone))
    }

    /// Whether a drive that is away may take a column of the volume when it is back. If it never is, it is removed, and
    /// waited for no more.
    fn may_wait(&self, row: &VolumeRow) -> bool {
        let kinds: HashSet<_> =
            row.volume.drives.iter().filter_map(|id| Some(self.drives.get(id)?.kind)).collect();
        let is_away =
            |drive: &PlanDrive| !drive.takes_shards && !drive.is_leaving && kinds.contains(&drive.kind);
        self.drives.iter().any(|(id, drive)| is_away(drive) && !row.volume.drives.contains(id))
    }

    /// The best drive for a column that leaves its own.
    fn target(&self, row: &VolumeRow, column: usize, wanted: Option<DriveId>) -> Option<DriveId> {
        if let Some(wanted) = wanted.filter(|wanted| self.rank(row, column, *wanted).is_some()) {
            return Some(wanted);
        }
        let ranked = self.drives.keys().filter_map(|id| Some((self.rank(row, column, *id)?, *id)));
        ranked.min_by_key(|(rank, id)| (*rank, self.fill(*id, row.committed_end), *id)).map(|(_, id)| id)
    }
}

/// What empties the drives in `leaving`, each onto the drive named beside it, or onto any.
pub(crate) fn plan_drain(
    placement: &mut Placement,
    volumes: &[VolumeRow],
    leaving: &BTreeMap<DriveId, Option<DriveId>>,
) -> Plan {
    let mut plan = Plan::default();
    for row in volumes.iter().filter(|row| row.volume.drives.iter().any(|drive| leaving.contains_key(drive)))
    {
        match row.state {
            VolumeState::Freed => {}
            VolumeState::Open => plan.open += 1,
            VolumeState::Sealed => match moves_of(placement, row, leaving) {
                Some(moves) => plan.moves.extend(moves),
                None if placement.may_wait(row) => plan.waiting += 1,
                None => plan.rewrites.push((row.volume.id, row.live_bytes)),
            },
        }
    }
    plan
}

/// The moves that take a volume off the drives; `None` if one of its columns can go nowhere.
fn moves_of(
    placement: &mut Placement,
    row: &VolumeRow,
    leaving: &BTreeMap<DriveId, Option<DriveId>>,
) -> Option<Vec<PlannedMove>> {
    let mut now = row.clone();
    let mut moves = Vec::new();
    for (column, from) in (0_u8..).zip(&row.volume.drives) {
        let Some(wanted) = leaving.get(from) else { continue };
        let to = placement.target(&now, usize::from(column), *wanted)?;
        *now.volume.drives.get_mut(usize::from(column))? = to;
        moves.push(PlannedMove {
            volume: row.volume.id,
            column,
            from: *from,
            to,
            length_bytes: row.committed_end,
        });
    }
    for moved in &moves {
        placement.apply(moved);
    }
    Some(moves)
}

/// Moves that make the drives of each kind equally full for their sizes, the fullest first. A drive within `slack_bytes`, or a tenth of
/// what it should hold, of its share is even; a move that would not make the two drives more alike is not made.
pub(crate) fn plan_rebalance(
    placement: &mut Placement,
    volumes: &[VolumeRow],
    slack_bytes: u64,
    moves_max: usize,
) -> Vec<PlannedMove> {
    let kinds: BTreeSet<_> = placement.drives.values().map(|drive| drive.kind).collect();
    let mut moves = Vec::new();
    for kind in kinds {
        let takers = placement.drives.iter().filter(|(_, drive)| drive.takes_shards && drive.kind == kind);
        let takers: Vec<DriveId> = takers.map(|(id, _)| *id).collect();
        let left = moves_max.saturating_sub(moves.len());
        moves.extend(rebalance_kind(placement, volumes, &takers, slack_bytes, left));
    }
    moves
}

fn rebalance_kind(
    placement: &mut Placement,
    volumes: &[VolumeRow],
    takers: &[DriveId],
    slack_bytes: u64,
    moves_max: usize,
) -> Vec<PlannedMove> {
    let capacity: u128 = takers.iter().map(|id| capacity_of(placement, *id)).sum();
    let load: u128 = takers.iter().map(|id| u128::from(placement.load(*id))).sum();
    let share = |placement: &Placement, id: DriveId| {
        u64::try_from(load * capacity_of(placement, id) / capacity.max(1)).unwrap_or(u64::MAX)
    };
    let mut moved: HashSet<VolumeId> = HashSet::new();
    let mut stuck: HashSet<DriveId> = HashSet::new();
    let mut moves = Vec::new();
    while moves.len() < moves_max {
        let is_uneven = takers.iter().any(|id| {
            let share = share(placement, *id);
            placement.load(*id).abs_diff(share) > slack_bytes.max(share / 10)
        });
        let over =
            takers.iter().filter(|id| !stuck.contains(id) && placement.load(**id) > share(placement, **id));
        let fullest = over.max_by_key(|id| placement.fill(**id, 0)).copied();
        let Some(from) = fullest.filter(|_| is_uneven) else { break };
        let under: Vec<DriveId> =
            takers.iter().copied().filter(|id| placement.load(*id) < share(placement, *id)).collect();
        let Some(planned) = best_move(placement, volumes, from, &under, &moved) else {
            stuck.insert(from);
            continue;
        };
        placement.apply(&planned);
        moved.insert(planned.volume);
        moves.push(planned);
    }
    moves
}

fn capacity_of(placement: &Placement, id: DriveId) -> u128 {
    placement.drives.get(&id).map_or(0, |drive| u128::from(drive.capacity_bytes))
}

/// The move off a drive to one of those below their share that makes the two most alike.
fn best_move(
    placement: &Placement,
    volumes: &[VolumeRow],
    from: DriveId,
    under: &[DriveId],
    moved: &HashSet<VolumeId>,
) -> Option<PlannedMove> {
    let mut best: Option<(u128, PlannedMove)> = None;
    let sealed = volumes.iter().filter(|row| row.state == VolumeState::Sealed && row.live_bytes > 0);
    for row in sealed.filter(|row| !moved.contains(&row.volume.id)) {
        let Some(column) = row.volume.drives.iter().position(|drive| *drive == from) else { continue };
        let length_bytes = row.committed_end;
        let fits = under.iter().copied().filter(|to| {
            placement.rank(row, column, *to).is_some_and(|(zone_suffers, _, _)| !zone_suffers)
                && placement.fill(*to, length_bytes) < placement.fill(from, 0)
        });
        let Some(to) = fits.min_by_key(|to| placement.fill(*to, 0)) else { continue };
        let gap = placement.fill(from, 0).saturating_sub(placement.fill(to, length_bytes));
        let planned =
            PlannedMove { volume: row.volume.id, column: u8::try_from(column).ok()?, from, to, length_bytes };
        if best.as_ref().is_none_or(|(known, _)| gap > *known) {
            best = Some((gap, planned));
        }
    }
    best.map(|(_, planned)| planned)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
