#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn reads_count_half_after_each_half_life() {
    let heat = Heat::default().read(4, UnixMillis(1_000_000), 1_000);
    let at = |ms: i64| heat.at(UnixMillis(1_000_000 + ms), 1_000);
    assert_eq!((at(0), at(1_000), at(2_000), at(500)), (4_000, 2_000, 1_000, 3_000));
    assert_eq!((at(1_000_000), at(-5)), (0, 4_000), "long ago, and by a clock that went back");
    assert_eq!(heat.read(1, UnixMillis(1_001_000), 1_000).milli_reads, 3_000);
}

#[test]
fn a_read_that_is_told_late_does_not_make_the_last_one_earlier() {
    let heat = Heat::default().read(1, UnixMillis(5_000), 1_000).read(1, UnixMillis(4_000), 1_000);
    assert_eq!((heat.milli_reads, heat.at_ms), (2_000, 5_000));
}

#[test]
fn every_kind_has_a_number_of_its_own() {
    for kind in WarmKind::ALL {
        assert_eq!(WarmKind::of_code(i64::from(kind.code())), Some(kind));
    }
    assert_eq!(WarmKind::of_code(8), None);
}
