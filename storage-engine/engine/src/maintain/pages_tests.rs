use std::collections::BTreeSet;

use granary_metadata::{NewVolume, VolumeState};
use granary_types::{Epoch, UnixMillis};

use super::*;

fn row(n: u32) -> VolumeRow {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let volume = NewVolume {
        id: VolumeId::from_bytes(id),
        data_columns: 4,
        parity_columns: 2,
        drives: Vec::new(),
        opened: UnixMillis(0),
    };
    VolumeRow {
        volume,
        state: VolumeState::Sealed,
        epoch: Epoch::FIRST,
        committed_end: 1,
        live_bytes: 1,
        stored_bytes: 1,
        freed: None,
    }
}

/// The page that a store of these rows answers with.
fn ask(rows: &[VolumeRow], after: Option<VolumeId>) -> Vec<VolumeRow> {
    let behind = rows.iter().filter(|row| after.is_none_or(|after| row.volume.id > after));
    behind.take(PAGE_ROWS as usize).cloned().collect()
}

#[test]
fn a_round_reads_no_more_of_many_volumes_than_a_page() {
    let rows: Vec<VolumeRow> = (0..10_500).map(row).collect();
    let mut pages = Pages::default();
    for turn in 0..2 {
        let mut seen = BTreeSet::new();
        for round in 0..11 {
            let page = pages.take(ask(&rows, pages.after));
            assert!(page.rows.len() <= 1000, "{}", page.rows.len());
            assert_eq!((page.is_first, page.is_last), (round == 0, round == 10), "turn {turn} round {round}");
            seen.extend(page.rows.iter().map(|row| row.volume.id));
        }
        assert_eq!(seen.len(), rows.len(), "turn {turn}");
    }
}

#[test]
fn few_volumes_are_seen_whole_in_every_round() {
    let rows: Vec<VolumeRow> = (0..999).map(row).collect();
    let mut pages = Pages::default();
    for _ in 0..3 {
        let page = pages.take(ask(&rows, pages.after));
        assert!(page.is_first && page.is_last && page.rows == rows);
    }
    // As many as a page has: that none follow is learned in the next round.
    let rows: Vec<VolumeRow> = (0..1000).map(row).collect();
    let page = pages.take(ask(&rows, pages.after));
    assert!(page.is_first && !page.is_last);
    let page = pages.take(ask(&rows, pages.after));
    assert!(!page.is_first && page.is_last && page.rows.is_empty());
}
