use granary_metadata::Versioning;
use granary_types::{BucketId, UnixMillis};

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

fn bucket() -> Bucket {
    Bucket {
        id: BucketId::from_bytes([1; 16]),
        name: BucketName::new("bucket").unwrap(),
        created: UnixMillis(5),
        region: "us-east-1".to_owned(),
        owner: "root".to_owned(),
        settings: BucketSettings { versioning: Versioning::Enabled, lock: None },
    }
}

#[test]
fn what_is_told_comes_back_with_its_stamp_and_records_may_tell_nothing() {
    let told = Told { tags: vec![("a".to_owned(), "b".to_owned())], ..Told::put(&bucket()) };
    let mut record = told.append_to(b"record".to_vec()).unwrap();
    let stamp = Stamp { at_us: 7, life: u64::MAX };
    stamp.write(&mut record);
    let (read, at) = Told::read(&record[6..]).unwrap().unwrap();
    assert_eq!((read, at), (told, stamp));
    assert!(Told::read(&[]).unwrap().is_none());
    assert!(Told::read(&record[6..12]).is_err(), "what is cut off is not taken for nothing");
}

#[test]
fn a_later_release_may_tell_more() {
    let mut record = Told::of(&bucket(), Deed::BucketGone).append_to(Vec::new()).unwrap();
    let at = record.len() - Stamp::LENGTH_BYTES;
    record.splice(at..at, *b"more");
    let stamp = Stamp { at_us: 1, life: 2 };
    stamp.write(&mut record);
    assert_eq!(Told::read(&record).unwrap().unwrap().1, stamp);
}

#[test]
fn stamps_go_up_whatever_the_clock_does() {
    let mut stamps = Stamps::new(9);
    let given: Vec<u64> = [5, 5, 4, 6].into_iter().map(|now| stamps.next(now).at_us).collect();
    assert_eq!(given, [5000, 5001, 5002, 6000]);
}

#[test]
fn stamps_come_after_those_that_another_process_gave_before() {
    let (mut here, mut there) = (Stamps::new(1), Stamps::new(2));
    // The other clock is a minute ahead.
    let first = there.next(NOW_MS + 60_000);
    here.raise(first.at_us, NOW_MS);
    let second = here.next(NOW_MS + 1);
    assert!(second > first);
    there.raise(second.at_us, NOW_MS + 60_001);
    assert!(there.next(NOW_MS + 60_000) > second);
    // What is behind changes nothing, and what is of no time at all no more than clocks may differ.
    here.raise(5, NOW_MS);
    assert!(here.next(NOW_MS) > second);
    here.raise(u64::MAX, NOW_MS);
    assert_eq!(here.last_us(), NOW_MS.unsigned_abs() * 1000 + STAMP_AHEAD_US_MAX);
}

#[test]
fn what_is_stamped_elsewhere_is_later_than_the_time_here() {
    let mut here = Stamps::new(1);
    let mut elsewhere = Stamps::new(2);
    // Its clock is ten seconds behind.
    let (now, behind) = (1_000_000, 990_000);
    elsewhere.raise(here.reached_us(now), behind);
    assert!(elsewhere.next(behind).at_us > 1_000_000_000);
    let last = here.next(now + 5);
    assert_eq!(here.reached_us(now), last.at_us, "a clock that goes back");
}
