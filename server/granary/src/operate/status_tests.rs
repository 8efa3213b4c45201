#![allow(clippy::unwrap_used, reason = "tests")]

use granary_admin::{LossReport, TaskId, TaskKind, TaskState, WarmReport};
use granary_types::DriveClass;

use super::*;

fn drive(path: &str, state: DriveState) -> DriveReport {
    DriveReport {
        node: None,
        node_address: Some("n1:9100".to_owned()),
        zone: String::new(),
        draining: false,
        slot: 0,
        id: None,
        path: path.to_owned(),
        state,
        capacity_bytes: Some(100),
        free_bytes: Some(50),
        detail: Some("why".to_owned()),
        class: DriveClass::Ssd,
    }
}

pub(in super::super) fn tier(class: DriveClass, full: bool, spills: bool) -> TierReport {
    TierReport {
        class: Some(class),
        drives: 3,
        capacity_bytes: 100,
        free_bytes: 4,
        volumes: 1,
        stored_bytes: 2,
        live_bytes: 1,
        live_fraction: None,
        full,
        spills,
    }
}

fn told() -> Told {
    Told {
        nodes: Vec::new(),
        drives: vec![drive("/d1", DriveState::Online), drive("/old", DriveState::Removed)],
        tiers: TierList {
            tiered: true,
            classes: Vec::new(),
            tiers: vec![tier(DriveClass::Ssd, false, false), tier(DriveClass::Hdd, false, false)],
            warm: WarmReport::default(),
            spilled: 0,
            refused: 0,
        },
        moves: MoveReport {
            drains: Vec::new(),
            rebalance_moves_left: 0,
            rebalance_bytes_left: 0,
            tasks: Vec::new(),
            damaged: 0,
        },
        losses: LossList::default(),
    }
}

#[test]
fn a_store_that_is_well_says_so_and_how_full_it_is() {
    let status = Status::of(&told());
    assert!(status.well);
    assert_eq!(text(&status), "well\nssd: 3 drives, 96 % used\nhdd: 3 drives, 96 % used");
}

#[test]
fn what_is_wrong_is_told_and_what_is_under_way_is_not_wrong() {
    let mut told = told();
    told.moves.tasks.push(TaskProgress {
        task: TaskId("1".to_owned()),
        kind: TaskKind::Heal,
        state: TaskState::Running,
        done: 3,
        total: 10,
        bytes: 0,
        findings: 0,
        repaired: 2,
        unrepairable: 1,
    });
    told.tiers.warm.restoring = 4;
    let status = Status::of(&told);
    let expected = [
        "heal: 3 of 10 volumes, 2 repaired, 1 cannot be repaired now",
        "4 archived objects are being restored",
    ];
    assert_eq!((status.well, status.under_way), (true, expected.map(str::to_owned).to_vec()));
    told.drives.push(drive("/d2", DriveState::Missing));
    told.losses.copies_missing = 2;
    told.losses.losses.push(LossReport {
        kind: "delete".to_owned(),
        timeline: 2,
        found_ms: 0,
        bucket: "b".to_owned(),
        key: None,
        version: None,
        write: None,
        detail: String::new(),
    });
    let status = Status::of(&told);
    let expected = [
        "drive /d2 of n1:9100 is missing: why",
        "a fail-over lost 1 changes; `granary metadata losses` shows them",
        "2 copies of the metadata are missing",
    ];
    assert_eq!((status.well, status.problems), (false, expected.map(str::to_owned).to_vec()));
}

#[test]
fn full_drives_are_wrong_unless_their_writes_go_elsewhere() {
    let mut told = told();
    told.tiers.tiers = vec![tier(DriveClass::Ssd, true, false)];
    told.tiers.refused = 5;
    let status = Status::of(&told);
    assert!(!status.well);
    assert!(
        text(&status).contains("ssd: 3 drives, 96 % used, full: writes are refused\n5 writes were refused")
    );
    told.tiers.tiers = vec![tier(DriveClass::Ssd, true, true)];
    told.tiers.spilled = 6;
    let status = Status::of(&told);
    assert!(status.well);
    assert!(
        text(&status)
            .contains("full: writes spill to the disks\nthe disks were written in place of the SSDs 6 times")
    );
}
