//! Which drives a new volume goes to.

use std::collections::{HashMap, HashSet};

use granary_types::{DriveId, NodeId};

/// What fails together with a drive. On one machine nothing is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// The node that has it.
    pub node: Option<NodeId>,
    /// The node's zone.
    pub zone: String,
}

/// A drive that could take a column.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The drive.
    pub drive: DriveId,
    /// Its free bytes.
    pub free_bytes: u64,
    /// Where it is.
    pub site: Site,
}

/// Chooses `count` distinct drives, those with the most room first, spread as evenly over nodes and zones as the drives
/// allow: with enough nodes, none gets more columns than may be lost. `turn` (any number that changes from volume to
/// volume) rotates the columns over them, so that parity and the first data column do not always hit the
/// same drive. `None` if there are fewer candidates.
#[must_use]
pub fn place(mut candidates: Vec<Candidate>, count: usize, turn: u64) -> Option<Vec<DriveId>> {
    if count == 0 || candidates.len() < count {
        return None;
    }
    // Room is compared in coarse steps: tiny differences must not pin all volumes to the same drives.
    const STEP_BYTES: u64 = 1 << 30;
    let shift = usize::try_from(turn % candidates.len() as u64).unwrap_or(0);
    candidates.rotate_left(shift);
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.free_bytes / STEP_BYTES));
    let nodes: HashSet<_> = candidates.iter().map(|candidate| candidate.site.node).collect();
    let zones: HashSet<_> = candidates.iter().map(|candidate| candidate.site.zone.as_str()).collect();
    // The node counts more than the zone: the limit on zones gives way first.
    let mut chosen = None;
    'limits: for per_node in count.div_ceil(nodes.len().max(1))..=count {
        for per_zone in count.div_ceil(zones.len().max(1))..=count {
            chosen = choose(&candidates, count, per_node, per_zone);
            if chosen.is_some() {
                break 'limits;
            }
        }
    }
    let mut chosen = chosen?;
    chosen.rotate_left(usize::try_from(turn % count as u64).unwrap_or(0));
    Some(chosen)
}

/// The first `count` candidates with at most so many of one node and one zone.
fn choose(candidates: &[Candidate], count: usize, per_node: usize, per_zone: usize) -> Option<Vec<DriveId>> {
    let (mut nodes, mut zones) = (HashMap::new(), HashMap::new());
    let mut chosen = Vec::with_capacity(count);
    for candidate in candidates {
        let node: &mut usize = nodes.entry(candidate.site.node).or_default();
        let zone: &mut usize = zones.entry(candidate.site.zone.as_str()).or_default();
        if *node < per_node && *zone < per_zone {
            *node += 1;
            *zone += 1;
            chosen.push(candidate.drive);
            if chosen.len() == count {
                return Some(chosen);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(count: u8, free_bytes: u64) -> Vec<Candidate> {
        let site = Site::default();
        let candidate = |i| Candidate { drive: DriveId::from_bytes([i; 16]), free_bytes, site: site.clone() };
        (0..count).map(candidate).collect()
    }

    /// Drives by (node, zone).
    fn spread(sites: &[(u8, &str)]) -> Vec<Candidate> {
        let mut all = candidates(u8::try_from(sites.len()).unwrap(), 1 << 40);
        for (candidate, (node, zone)) in all.iter_mut().zip(sites) {
            candidate.site = Site { node: Some(NodeId::from_bytes([*node; 16])), zone: (*zone).to_owned() };
        }
        all
    }

    fn most_of_one<K: std::hash::Hash + Eq>(
        all: &[Candidate],
        chosen: &[DriveId],
        key: impl Fn(&Candidate) -> K,
    ) -> usize {
        let mut counts = HashMap::new();
        for drive in chosen {
            let candidate = all.iter().find(|candidate| candidate.drive == *drive).unwrap();
            *counts.entry(key(candidate)).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap()
    }

    #[test]
    fn columns_are_spread_over_nodes_and_zones() {
        let three_nodes: Vec<_> = (0..12_u8).map(|i| (i / 4, "")).collect();
        let two_zones: Vec<_> = (0..8_u8).map(|i| (i, if i < 5 { "a" } else { "b" })).collect();
        for turn in 0..24 {
            let all = spread(&three_nodes);
            assert_eq!(most_of_one(&all, &place(all.clone(), 6, turn).unwrap(), |c| c.site.node), 2);
            let all = spread(&two_zones);
            let chosen = place(all.clone(), 6, turn).unwrap();
            assert_eq!(most_of_one(&all, &chosen, |c| c.site.zone.clone()), 3);
            assert_eq!(most_of_one(&all, &chosen, |c| c.site.node), 1);
        }
    }

    #[test]
    fn too_few_nodes_take_more_columns_each() {
        let all = spread(&[(0, ""), (0, ""), (0, ""), (0, ""), (1, ""), (2, "")]);
        for turn in 0..6 {
            assert_eq!(most_of_one(&all, &place(all.clone(), 6, turn).unwrap(), |c| c.site.node), 4);
            assert_eq!(most_of_one(&all, &place(all.clone(), 4, turn).unwrap(), |c| c.site.node), 2);
        }
    }

    #[test]
    fn columns_never_share_a_drive_and_rotate() {
        let mut first = HashSet::new();
        for turn in 0..12 {
            let chosen = place(candidates(6, 1 << 40), 6, turn).unwrap();
            assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), 6);
            first.insert(chosen[0]);
        }
        assert!(first.len() >= 3, "{first:?}");
        assert_eq!(place(candidates(5, 1), 6, 0), None);
    }

    #[test]
    fn drives_with_room_come_first() {
        let mut all = candidates(6, 1 << 30);
        all[3].free_bytes = 1 << 40;
        for turn in 0..6 {
            assert!(place(all.clone(), 1, turn).unwrap() == [all[3].drive]);
        }
    }
}
