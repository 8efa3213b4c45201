use granary_metadata::Versioning;
use granary_types::{BucketId, UnixMillis};

use super::*;

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
