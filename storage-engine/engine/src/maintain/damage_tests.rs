use super::*;

fn volume(n: u8) -> VolumeId {
    VolumeId::from_bytes([n; 16])
}

#[test]
fn what_could_not_be_healed_is_kept_until_a_node_is_back() {
    let log = DamageLog::default();
    log.report(volume(1), 3);
    log.report(volume(2), 0);
    assert_eq!(log.take_due().len(), 2);
    log.pause(volume(1), &[3]);
    log.finish(volume(2));
    assert!(log.take_due().is_empty());
    // Another reader meets the same.
    log.report(volume(1), 4);
    assert!(log.take_due().is_empty());
    log.resume();
    assert_eq!(log.take_due(), BTreeSet::from([(volume(1), 3), (volume(1), 4)]));
    assert!(log.take_due().is_empty());
}

#[test]
fn each_pause_is_longer_and_none_is_endless() {
    let log = DamageLog::default();
    let pause = |log: &DamageLog| log.state.lock().paused.get(&volume(1)).map(|paused| paused.pause);
    log.pause(volume(1), &[0]);
    assert_eq!(pause(&log), Some(PAUSE_MIN));
    log.pause(volume(1), &[0]);
    assert_eq!(pause(&log), Some(PAUSE_MIN * 2));
    (0..20).for_each(|_| log.pause(volume(1), &[0]));
    assert_eq!(pause(&log), Some(PAUSE_MAX));
}
