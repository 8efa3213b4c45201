#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn what_is_cached_gives_way_when_the_ssds_fill_up() {
    let share = WarmOptions::default();
    let ssds = |free_bytes| Ssds { capacity_bytes: 1_000, free_bytes };
    assert_eq!(ssds(900).limit_bytes(&share, 0), 200, "a fifth");
    assert_eq!(ssds(150).limit_bytes(&share, 100), 150, "a tenth is left free");
    assert_eq!(ssds(50).limit_bytes(&share, 20), 0);
    let said = WarmOptions { bytes_max: Some(300), ..WarmOptions::default() };
    assert_eq!((ssds(900).limit_bytes(&said, 0), Ssds::default().limit_bytes(&said, 0)), (300, 0));
}

#[test]
fn what_was_prefetched_and_not_read_yet_is_as_hot_as_what_the_cache_takes_in() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let options = WarmOptions::default();
    let row = |at, heat| WarmRow {
        version: granary_types::VersionId::NULL,
        kind: WarmKind::Prefetched,
        at: UnixMillis(at),
        place: None,
        heat,
        days: 0,
    };
    let unread = row(0, Heat::default());
    let at = |row: &WarmRow, day: i64| warmth(row, UnixMillis(day * DAY_MS), &options);
    assert_eq!((at(&unread, 0), at(&unread, 1), at(&unread, 2)), (2_000, 1_000, 500));
    let read = row(DAY_MS, Heat { milli_reads: 6_000, at_ms: DAY_MS });
    assert_eq!((at(&read, 1), at(&read, 2)), (6_000, 3_000));
}

#[test]
fn what_is_shorter_than_a_copy_too_long_for_the_cache_is_not_given_up_with_it() {
    let room = Room { bytes: 10, attainable_bytes: 40 };
    assert_eq!(room.next_bytes_max(41), 40, "for these room was not made");
    assert_eq!(room.next_bytes_max(40), 10, "there was no more room to be had");
}
