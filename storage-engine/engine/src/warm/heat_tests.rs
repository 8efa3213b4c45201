#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

fn place(n: u64) -> Place {
    let key = ObjectKey::new(format!("k{n}")).unwrap();
    (BucketId::from_bytes([1; 16]), key, WriteId::from_bytes([2; 16]))
}

#[test]
fn reads_are_added_up_and_taken_once() {
    let counts = ReadCounts::default();
    for at in [5, 7, 6] {
        counts.note(place(1), VersionId::NULL, UnixMillis(at));
    }
    counts.note(place(2), VersionId::NULL, UnixMillis(1));
    let taken = counts.take();
    assert_eq!((taken[&place(1)].reads, taken[&place(1)].last), (3, UnixMillis(7)));
    assert_eq!((taken.len(), counts.take().len()), (2, 0));
}

#[test]
fn however_much_is_read_the_counts_stay_bounded_and_let_others_in() {
    let counts = ReadCounts::default();
    for n in 0..1_000_000 {
        counts.note(place(n), VersionId::NULL, UnixMillis(1));
    }
    let taken = counts.take();
    assert_eq!(taken.len(), COUNTED_MAX);
    assert!((COUNTED_MAX as u64..).take(200_000).any(|n| taken.contains_key(&place(n))));
}
