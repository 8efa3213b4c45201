use super::*;

/// Each attempt counted, every half a minute: one object that could not be read was a hundred failures after an hour.
#[test]
fn what_fails_again_and_again_is_one_failure_until_it_is_restored() {
    let kind = WarmKind::WantedStandard;
    let place = |key: &str| {
        (BucketId::from_bytes([1; 16]), ObjectKey::new(key).unwrap(), WriteId::from_bytes([2; 16]))
    };
    let (mut failed, told) = (Failed::default(), NotRestored::default());
    let fail = |failed: &mut Failed, key: &str| {
        told.add(kind, format!("{key}: why"));
        failed.0.insert(place(key), (kind, Instant::now()));
    };
    let look_again = |failed: &mut Failed| {
        failed.rested();
        told.set(kind, failed.count(kind));
        (told.of(kind).count, told.of(kind).last)
    };
    let rest = |failed: &mut Failed| {
        let before = Instant::now().checked_sub(FAILED_PAUSE).unwrap();
        failed.0.values_mut().for_each(|(_, since)| *since = before);
    };
    fail(&mut failed, "a");
    fail(&mut failed, "b");
    let b = Some("b: why".to_owned());
    assert_eq!(look_again(&mut failed), (2, b.clone()));
    assert_eq!(failed.count(WarmKind::WantedBulk), 0);
    rest(&mut failed);
    fail(&mut failed, "b");
    assert_eq!(look_again(&mut failed), (1, b), "the other one was restored");
    rest(&mut failed);
    assert_eq!(look_again(&mut failed), (0, None));
}
