#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn the_second_read_is_let_in_unless_it_comes_too_late() {
    let mut door = Door::new(1_000);
    assert!(!door.was_here(&"a", UnixMillis(10_000)));
    assert!(door.was_here(&"a", UnixMillis(10_001)) && !door.was_here(&"b", UnixMillis(10_002)));
    // In the next half window, and in the one after that.
    assert!(door.was_here(&"a", UnixMillis(10_600)));
    assert!(!door.was_here(&"b", UnixMillis(11_200)), "nobody asked for it meanwhile");
    assert!(door.was_here(&"a", UnixMillis(11_201)));
    // After a long pause nothing is known.
    assert!(!door.was_here(&"a", UnixMillis(20_000)));
}

#[test]
fn of_more_than_can_be_remembered_the_same_part_is_every_time() {
    const MAX: usize = 1_000;
    let hashes = RandomState::new();
    let mut scans = Vec::new();
    for _ in 0..2 {
        let mut generation = Generation::default();
        for n in 0..50_000_u64 {
            generation.remember(hashes.hash_one(n), MAX);
            assert!(generation.hashes.len() <= MAX);
        }
        assert!(generation.hashes.len() > MAX / 4, "{}", generation.hashes.len());
        scans.push(generation.hashes);
    }
    assert_eq!(scans[0], scans[1]);
}
