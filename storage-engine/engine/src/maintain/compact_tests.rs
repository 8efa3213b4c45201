use super::*;

/// A volume on drives of both classes has no reserve to go to: while its tier was full, it was read through every 30 seconds for ever.
#[test]
fn a_volume_that_there_is_no_room_for_is_tried_less_and_less_often() {
    let (volume, other) = (VolumeId::from_bytes([1; 16]), VolumeId::from_bytes([2; 16]));
    let mut pauses = Pauses::default();
    let mut now = Instant::now();
    let mut lengths = Vec::new();
    for _ in 0..7 {
        pauses.begin(volume, Pause::Full, now);
        let (length, until) = pauses.0[&volume];
        assert!(pauses.rests(volume, now) && !pauses.rests(other, now));
        lengths.push(length.as_secs());
        // Other volumes may have had their turn before it.
        now = until + Duration::from_secs(20);
        pauses.forget_old(now);
        assert!(!pauses.rests(volume, now));
    }
    assert_eq!(lengths, [30, 60, 120, 240, 480, 600, 600]);
    // What is not tried again for long begins anew.
    now += COMPACT_PAUSE;
    pauses.forget_old(now);
    pauses.begin(volume, Pause::Full, now);
    assert_eq!(pauses.0[&volume].0, FULL_PAUSE);
    pauses.begin(other, Pause::Usual, now);
    assert_eq!(pauses.0[&other].0, COMPACT_PAUSE);
}
