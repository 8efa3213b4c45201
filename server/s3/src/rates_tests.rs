use super::*;

fn per_second(requests: u32) -> NonZeroU32 {
    NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN)
}

#[test]
fn a_second_holds_so_many_requests_and_the_next_as_many() {
    let rates = Rates::default();
    let start = Instant::now();
    let taken = |from_ms: u64, to_ms: u64, limit: u32| {
        let times = from_ms..to_ms;
        times.filter(|ms| rates.take("a", per_second(limit), start + Duration::from_millis(*ms))).count()
    };
    assert_eq!(taken(0, 1, 3), 1);
    assert_eq!(taken(1, 1000, 3), 2 + 2);
    assert_eq!(taken(1000, 11_000, 3), 30);
    // After a pause the burst is that of one second.
    let later = start + Duration::from_secs(100);
    assert_eq!((0..50).filter(|_| rates.take("a", per_second(3), later)).count(), 3);
}

#[test]
fn fast_requests_do_not_lose_what_they_gain() {
    let rates = Rates::default();
    let start = Instant::now();
    let at = |us: u64| start + Duration::from_micros(us);
    let taken = (0..2_000_000).step_by(100).filter(|us| rates.take("a", per_second(1), at(*us))).count();
    assert_eq!(taken, 2);
}

#[test]
fn subjects_are_apart_and_bounded() {
    let rates = Rates::default();
    let now = Instant::now();
    assert!(rates.take("a", per_second(1), now) && rates.take("b", per_second(1), now));
    assert!(!rates.take("a", per_second(1), now));
    for number in 0..3 * SUBJECTS_MAX {
        rates.take(&number.to_string(), per_second(1), now);
    }
    assert!(rates.0.lock().len() <= SUBJECTS_MAX);
}
