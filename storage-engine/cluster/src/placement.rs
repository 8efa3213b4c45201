//! Which drives a new volume goes to.

use granary_types::DriveId;

/// A drive that could take a column.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The drive.
    pub drive: DriveId,
    /// Its free bytes.
    pub free_bytes: u64,
}

/// Chooses `count` distinct drives, those with the most room first. `turn` (any number that changes from volume to
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
    let mut chosen: Vec<DriveId> = candidates.iter().take(count).map(|candidate| candidate.drive).collect();
    chosen.rotate_left(usize::try_from(turn % count as u64).unwrap_or(0));
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn candidates(count: u8, free_bytes: u64) -> Vec<Candidate> {
        (0..count).map(|i| Candidate { drive: DriveId::from_bytes([i; 16]), free_bytes }).collect()
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
