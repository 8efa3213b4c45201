use super::*;

fn volume(n: u8) -> VolumeId {
    VolumeId::from_bytes([n; 16])
}

fn sorted(mut volumes: Vec<VolumeId>) -> Vec<VolumeId> {
    volumes.sort_unstable();
    volumes
}

#[test]
fn what_could_not_be_healed_is_kept_until_a_node_is_back() {
    let log = DamageLog::default();
    log.report(volume(1), 3, None);
    log.report(volume(2), 0, None);
    assert_eq!(sorted(log.due()), [volume(1), volume(2)]);
    let taken = log.take(volume(1));
    assert_eq!((&taken, log.take(volume(2)).len()), (&BTreeSet::from([3]), 1));
    assert!(log.due().is_empty() && log.count() == 0);
    log.keep(volume(1), &taken);
    log.pause(volume(1));
    log.finish(volume(2));
    assert!(log.due().is_empty());
    // Another reader meets the same.
    log.report(volume(1), 4, None);
    assert!(log.due().is_empty());
    log.resume();
    assert_eq!(log.due(), [volume(1)]);
    assert_eq!(log.take(volume(1)), BTreeSet::from([3, 4]));
    assert!(log.due().is_empty());
}

#[test]
fn what_is_least_safe_comes_first() {
    let log = DamageLog::default();
    for (number, column) in [(1, 0), (2, 0), (2, 5), (3, 1)] {
        log.report(volume(number), column, None);
    }
    let due = log.due();
    assert_eq!((due.first(), sorted(due.clone())), (Some(&volume(2)), [1, 2, 3].map(volume).to_vec()));
    log.forget(volume(1));
    assert_eq!(sorted(log.due()), [volume(2), volume(3)]);
}

#[test]
fn what_is_reported_while_a_volume_is_healed_is_kept_but_for_the_columns_written_anew() {
    let log = DamageLog::default();
    log.report(volume(1), 0, None);
    log.report(volume(1), 1, None);
    assert_eq!(log.take(volume(1)).len(), 2);
    (0..4).for_each(|column| log.report(volume(1), column, None));
    log.healed(volume(1), 0);
    log.healed(volume(1), 1);
    log.finish(volume(1));
    assert_eq!(log.columns(volume(1)), BTreeSet::from([2, 3]));
}

#[tokio::test]
async fn what_a_round_left_is_gone_on_with_at_once() {
    let log = DamageLog::default();
    log.report(volume(1), 0, None);
    log.reported().await;
    log.remind();
    log.reported().await;
    assert_eq!(log.due(), [volume(1)]);
}

#[test]
fn each_pause_is_longer_and_none_is_endless() {
    let log = DamageLog::default();
    let pause = |log: &DamageLog| log.state.lock().paused.get(&volume(1)).map(|paused| paused.pause);
    log.pause(volume(1));
    assert_eq!(pause(&log), Some(PAUSE_MIN));
    log.pause(volume(1));
    assert_eq!(pause(&log), Some(PAUSE_MIN * 2));
    (0..20).for_each(|_| log.pause(volume(1)));
    assert_eq!(pause(&log), Some(PAUSE_MAX));
}

/// A volume that another node moved or healed was left damaged for longer each time, up to an hour.
#[test]
fn meeting_another_node_at_work_doubled_the_pause_as_a_heal_that_failed() {
    let log = DamageLog::default();
    log.report(volume(1), 0, None);
    let paused = |log: &DamageLog| log.state.lock().paused.get(&volume(1)).map(|it| (it.rest, it.pause));
    (0..20).for_each(|_| log.leave_to_others(volume(1)));
    assert_eq!(paused(&log), Some((OTHERS_PAUSE, Duration::ZERO)));
    assert!(log.due().is_empty());
    log.pause(volume(1));
    log.leave_to_others(volume(1));
    assert_eq!(paused(&log), Some((OTHERS_PAUSE, PAUSE_MIN)));
    log.pause(volume(1));
    assert_eq!(paused(&log), Some((PAUSE_MIN * 2, PAUSE_MIN * 2)));
    log.finish(volume(1));
    assert_eq!(log.due(), [volume(1)]);
}

/// Of what several nodes had reported, each healed all: it read the volume, and wrote a column anew that another node had put on another
/// drive meanwhile.
#[test]
fn what_another_node_had_healed_was_healed_again() {
    let log = DamageLog::default();
    let drive = |n: u8| DriveId::from_bytes([n; 16]);
    log.report(volume(1), 0, Some(drive(1)));
    log.report(volume(1), 1, Some(drive(2)));
    log.report(volume(1), 2, None);
    log.report(volume(2), 0, Some(drive(1)));
    // One was reported of the old drive, and is damaged on the new one as well.
    log.report(volume(1), 3, Some(drive(4)));
    log.report(volume(1), 3, Some(drive(8)));
    log.learn(volume(1), &[drive(9), drive(2), drive(3), drive(8)]);
    assert_eq!(log.columns(volume(1)), BTreeSet::from([1, 2, 3]));
    assert_eq!(log.columns(volume(2)), BTreeSet::from([0]));
}

/// Every node knows of what a lost one had. They would get in each other's way if all began with the same volume.
#[test]
fn nodes_begin_in_different_places() {
    let logs: Vec<DamageLog> = (0..3).map(|_| DamageLog::default()).collect();
    for log in &logs {
        (0..100).for_each(|number| log.report(volume(number), 0, None));
    }
    let orders: BTreeSet<Vec<VolumeId>> = logs.iter().map(DamageLog::due).collect();
    assert_eq!(orders.len(), 3);
    assert_eq!(logs.iter().map(|log| sorted(log.due())).collect::<BTreeSet<_>>().len(), 1);
}
