use granary_metadata::NewVolume;
use granary_types::{Epoch, NodeId, UnixMillis};

use super::*;

const CAPACITY: u64 = 1 << 40;

fn drive(n: u8) -> DriveId {
    DriveId::from_bytes([n; 16])
}

/// Drives 0.. by (node, zone), all of the same size.
fn drives(sites: &[(u8, &str)]) -> BTreeMap<DriveId, PlanDrive> {
    let drive_at = |(n, (node, zone)): (u8, &(u8, &str))| {
        let site = Site { node: Some(NodeId::from_bytes([*node; 16])), zone: (*zone).to_owned() };
        let planned = PlanDrive {
            site,
            capacity_bytes: CAPACITY,
            room_bytes: CAPACITY / 2,
            takes_shards: true,
            is_leaving: false,
            kind: None,
        };
        (drive(n), planned)
    };
    (0_u8..).zip(sites).map(drive_at).collect()
}

fn volume(n: u8, code: (u8, u8), on: &[u8], length_bytes: u64) -> VolumeRow {
    VolumeRow {
        volume: NewVolume {
            id: VolumeId::from_bytes([n; 16]),
            data_columns: code.0,
            parity_columns: code.1,
            drives: on.iter().map(|n| drive(*n)).collect(),
            opened: UnixMillis(0),
        },
        state: VolumeState::Sealed,
        epoch: Epoch(2),
        committed_end: length_bytes,
        live_bytes: length_bytes,
        stored_bytes: length_bytes,
        freed: None,
    }
}

fn leaving(drives: &[u8]) -> BTreeMap<DriveId, Option<DriveId>> {
    drives.iter().map(|n| (drive(*n), None)).collect()
}

fn without(mut all: BTreeMap<DriveId, PlanDrive>, gone: &[u8]) -> BTreeMap<DriveId, PlanDrive> {
    for n in gone {
        let gone = all.get_mut(&drive(*n)).unwrap();
        (gone.takes_shards, gone.is_leaving) = (false, true);
    }
    all
}

#[test]
fn a_drain_waits_for_a_free_drive_that_is_only_away() {
    let mut all = without(drives(&[(0, ""), (1, ""), (2, ""), (3, "")]), &[0]);
    all.get_mut(&drive(3)).unwrap().takes_shards = false;
    let volumes = [volume(1, (2, 1), &[0, 1, 2], 100)];
    let plan = plan_drain(&mut Placement::new(all.clone(), &volumes), &volumes, &leaving(&[0]));
    assert_eq!((plan.moves.len(), plan.rewrites.len(), plan.waiting), (0, 0, 1));
    // Removed for good, it is waited for no more.
    all.remove(&drive(3));
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &leaving(&[0]));
    assert_eq!((plan.rewrites.len(), plan.waiting), (1, 0));
}

#[test]
fn a_drained_node_leaves_no_node_with_more_columns_than_may_be_lost() {
    // Four nodes of three drives; 4+2 with at most two columns on a node.
    let sites: Vec<_> = (0..12_u8).map(|n| (n / 3, "")).collect();
    let all = without(drives(&sites), &[0, 1, 2]);
    let volumes: Vec<_> = (0..20).map(|n| volume(n, (4, 2), &[0, 1, 3, 4, 6, 9], 1 << 20)).collect();
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &leaving(&[0, 1, 2]));
    assert_eq!((plan.moves.len(), plan.rewrites.len(), plan.open), (40, 0, 0));
    for row in &volumes {
        let mut on: Vec<DriveId> = row.volume.drives.clone();
        for moved in plan.moves.iter().filter(|moved| moved.volume == row.volume.id) {
            on[usize::from(moved.column)] = moved.to;
        }
        let mut nodes: HashMap<u8, usize> = HashMap::new();
        for id in &on {
            *nodes.entry(id.as_bytes()[0] / 3).or_default() += 1;
        }
        assert_eq!(on.iter().collect::<HashSet<_>>().len(), 6);
        assert_eq!(nodes.get(&0), None);
        assert!(nodes.values().all(|count| *count <= 2), "{nodes:?}");
    }
}

#[test]
fn a_volume_too_wide_for_the_drives_that_stay_is_written_again() {
    let all = without(drives(&[(0, ""), (1, ""), (2, ""), (3, ""), (4, ""), (5, "")]), &[5]);
    let volumes = [volume(1, (4, 2), &[0, 1, 2, 3, 4, 5], 100), volume(2, (2, 2), &[5, 0, 1, 2], 100)];
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &leaving(&[5]));
    assert_eq!(plan.rewrites, [(volumes[0].volume.id, 100)]);
    assert_eq!(plan.moves.len(), 1);
    assert!([drive(3), drive(4)].contains(&plan.moves[0].to));
}

#[test]
fn a_heir_takes_what_it_may_and_zones_are_kept_apart() {
    let mut all = drives(&[(0, "a"), (1, "b"), (2, "c"), (3, "a"), (4, "c"), (5, "a")]);
    all = without(all, &[0]);
    let volumes = [volume(1, (2, 1), &[0, 1, 2], 100)];
    let plan = plan_drain(&mut Placement::new(all.clone(), &volumes), &volumes, &leaving(&[0]));
    assert!([drive(3), drive(5)].contains(&plan.moves[0].to), "{plan:?}");
    let heir = BTreeMap::from([(drive(0), Some(drive(5)))]);
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &heir);
    assert_eq!(plan.moves[0].to, drive(5));
}

#[test]
fn a_full_drive_takes_nothing() {
    let mut all = without(drives(&[(0, ""), (1, ""), (2, ""), (3, "")]), &[0]);
    all.get_mut(&drive(3)).unwrap().room_bytes = 50;
    let volumes = [volume(1, (2, 1), &[0, 1, 2], 100)];
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &leaving(&[0]));
    assert_eq!((plan.moves.len(), plan.rewrites.len()), (0, 1));
}

fn loads(placement: &Placement, count: u8) -> Vec<u64> {
    (0..count).map(|n| placement.load(drive(n))).collect()
}

#[test]
fn a_new_drive_gets_its_share_and_then_nothing_moves_any_more() {
    let sites: Vec<_> = (0..7_u8).map(|n| (n, "")).collect();
    let mut volumes: Vec<_> = (0..70).map(|n| volume(n, (4, 2), &[0, 1, 2, 3, 4, 5], 100)).collect();
    let mut placement = Placement::new(drives(&sites), &volumes);
    let moves = plan_rebalance(&mut placement, &volumes, 100, 1000);
    // 420 shards over seven drives: sixty each, and a tenth of that is even enough.
    assert!((50..=60).contains(&moves.len()), "{}", moves.len());
    assert!(moves.iter().all(|moved| moved.to == drive(6)));
    assert!(
        loads(&placement, 7).iter().all(|load| (5000..=6600).contains(load)),
        "{:?}",
        loads(&placement, 7)
    );
    for moved in &moves {
        let row = volumes.iter_mut().find(|row| row.volume.id == moved.volume).unwrap();
        row.volume.drives[usize::from(moved.column)] = moved.to;
    }
    let again = plan_rebalance(&mut Placement::new(drives(&sites), &volumes), &volumes, 100, 1000);
    assert_eq!(again, []);
}

#[test]
fn a_drive_of_twice_the_size_gets_twice_as_much() {
    let mut all = drives(&[(0, ""), (1, ""), (2, ""), (3, "")]);
    all.get_mut(&drive(3)).unwrap().capacity_bytes = 2 * CAPACITY;
    let volumes: Vec<_> = (0..100).map(|n| volume(n, (1, 1), &[n % 3, (n + 1) % 3], 100)).collect();
    let mut placement = Placement::new(all, &volumes);
    plan_rebalance(&mut placement, &volumes, 100, 1000);
    let loads = loads(&placement, 4);
    // 200 shards over five parts.
    assert!((7000..=8000).contains(&loads[3]), "{loads:?}");
    assert!(loads[..3].iter().all(|load| (3600..=4500).contains(load)), "{loads:?}");
}

#[test]
fn small_differences_and_a_drive_that_can_go_nowhere_move_nothing() {
    let sites = [(0, ""), (1, ""), (2, "")];
    // One volume more on two of the drives than on the third: within the slack.
    let volumes = [volume(1, (1, 1), &[0, 1], 100), volume(2, (1, 1), &[0, 2], 100)];
    assert_eq!(plan_rebalance(&mut Placement::new(drives(&sites), &volumes), &volumes, 100, 9), []);
    // All on all: nothing can move.
    let volumes: Vec<_> = (0..50).map(|n| volume(n, (2, 1), &[0, 1, 2], 100)).collect();
    assert_eq!(plan_rebalance(&mut Placement::new(drives(&sites), &volumes), &volumes, 0, 9), []);
}

/// Three drives of one kind, and three of another.
fn two_kinds() -> BTreeMap<DriveId, PlanDrive> {
    let mut all = drives(&[(0, ""), (1, ""), (2, ""), (3, ""), (4, ""), (5, "")]);
    for (n, drive) in (0..).zip(all.values_mut()) {
        drive.kind = Some(if n < 3 { DriveClass::Ssd } else { DriveClass::Hdd });
    }
    all
}

#[test]
fn shards_stay_on_their_kind_of_drives() {
    let volumes = [volume(1, (1, 1), &[0, 1], 100), volume(2, (2, 1), &[3, 4, 5], 100)];
    let all = without(two_kinds(), &[0, 3]);
    let plan = plan_drain(&mut Placement::new(all, &volumes), &volumes, &leaving(&[0, 3]));
    assert_eq!(plan.moves.len(), 1);
    assert_eq!((plan.moves[0].from, plan.moves[0].to), (drive(0), drive(2)));
    assert_eq!(plan.rewrites, [(volumes[1].volume.id, volumes[1].live_bytes)], "no other disk is left");
    // Only the first kind is uneven, and only within it anything moves.
    let volumes: Vec<_> = (0..30).map(|n| volume(n, (1, 1), &[0, 1], 100)).collect();
    let moves = plan_rebalance(&mut Placement::new(two_kinds(), &volumes), &volumes, 100, 1000);
    assert!(!moves.is_empty() && moves.iter().all(|moved| moved.to == drive(2)), "{moves:?}");
}
