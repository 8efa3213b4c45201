use super::*;

const SLOW: Duration = Duration::from_millis(16);
const QUICK: Duration = Duration::from_millis(4);

/// A group of so many requests that took so long, after which so many are queued.
fn group(gathering: &mut Gathering, length: usize, took: Duration, queued: usize) -> Option<Awaited> {
    let began = Instant::now();
    gathering.began(length, began);
    gathering.ended(queued, began + took)
}

#[test]
fn who_was_answered_is_waited_for_with_who_is_queued() {
    let mut gathering = Gathering::default();
    let began = Instant::now();
    gathering.began(3, began);
    let awaited = gathering.ended(2, began + SLOW).unwrap();
    assert_eq!(awaited, Awaited { length: 5, until: began + SLOW + SLOW / PATIENCE_DIVISOR });
    assert!(gathering.ended(2, began + SLOW).is_none(), "a group is waited for once");
}

#[test]
fn one_client_alone_and_quick_groups_are_not_waited_for() {
    let mut gathering = Gathering::default();
    assert!(gathering.ended(5, Instant::now()).is_none(), "nobody was answered");
    assert!(group(&mut gathering, 1, SLOW, 0).is_none());
    assert!(group(&mut gathering, 20, QUICK, 20).is_none());
    assert!(group(&mut gathering, 20, SLOW, 20).is_some());
}

#[test]
fn the_wait_is_bounded() {
    let mut gathering = Gathering::default();
    let before = Instant::now();
    let awaited = group(&mut gathering, 4, Duration::from_secs(30), 1).unwrap();
    let left = awaited.until.saturating_duration_since(before + Duration::from_secs(30));
    assert!(left <= PATIENCE_MAX + Duration::from_secs(1), "{left:?}");
}

#[test]
fn clients_that_do_not_come_back_are_waited_for_less_and_less() {
    let mut gathering = Gathering::default();
    let mut waits = 0_u32;
    for _ in 0..1_000 {
        if let Some(awaited) = group(&mut gathering, 4, SLOW, 1) {
            gathering.waited(awaited, 1, 1);
            waits += 1;
        }
    }
    assert!((MISSES_MAX..30).contains(&waits), "{waits} of a thousand");
    // As soon as they do, each group waits again.
    let awaited = std::iter::repeat_with(|| group(&mut gathering, 4, SLOW, 1)).take(100).find_map(|it| it);
    gathering.waited(awaited.unwrap(), 1, 4);
    for _ in 0..10 {
        let awaited = group(&mut gathering, 4, SLOW, 1).unwrap();
        gathering.waited(awaited, 1, 5);
    }
}
