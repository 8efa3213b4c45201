#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use granary_metadata::{Content, VersionKind};
use granary_types::{Attributes, Etag};

use super::*;

fn place(n: u64) -> Place {
    let key = ObjectKey::new(format!("k{n}")).unwrap();
    (BucketId::from_bytes([1; 16]), key, WriteId::from_bytes([2; 16]))
}

fn counts() -> ReadCounts {
    ReadCounts::new(&WarmOptions::default())
}

fn read(at: i64, is_let_in: bool) -> Read {
    Read { version: VersionId::NULL, reads: 1, at: UnixMillis(at), is_let_in }
}

#[test]
fn reads_are_added_up_and_taken_once() {
    let counts = counts();
    for at in [5, 7, 6] {
        counts.note(place(1), read(at, true));
    }
    counts.note(place(2), read(1, true));
    let taken = counts.take();
    assert_eq!((taken[&place(1)].reads, taken[&place(1)].last), (3, UnixMillis(7)));
    assert_eq!((taken.len(), counts.take().len()), (2, 0));
}

#[test]
fn however_much_is_read_the_counts_stay_bounded_and_let_others_in() {
    let counts = counts();
    for n in 0..1_000_000 {
        counts.note(place(n), read(1, true));
    }
    let taken = counts.take();
    assert_eq!(taken.len(), COUNTED_MAX);
    assert!((COUNTED_MAX as u64..).take(200_000).any(|n| taken.contains_key(&place(n))));
}

#[test]
fn one_scan_tells_nothing_and_many_reads_of_one_object_tell_once() {
    let counts = counts();
    for n in 0..10_000 {
        counts.note(place(n), read(1, false));
    }
    assert!(counts.take().is_empty(), "a scan stays at the door");
    for _ in 0..10_000 {
        counts.note(place(7), read(2, false));
    }
    let told = changes(counts.take(), 1_000);
    assert_eq!(told.len(), 1);
    let [Write::Warm(change)] = told.as_slice() else { panic!("{told:?}") };
    // The one at the door counts.
    assert_eq!(change.step, WarmStep::Read { reads: 10_001, at: UnixMillis(2), half_life_ms: 1_000 });
}

fn object(write: u8, length_bytes: u64) -> NewObject {
    NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes([write; 16]),
        modified: UnixMillis(0),
        length_bytes,
        etag: Etag::new("e"),
        storage_class: StorageClass::StandardIa,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Empty,
    }
}

#[test]
fn an_object_that_is_read_in_pieces_is_read_once() {
    for write in 0..50 {
        let object = object(write, 1_000_003);
        let pieces = (0..1_000_003).step_by(8_192);
        let pieces = pieces.map(|start| ByteRange { start, end: (start + 8_192).min(1_000_003) });
        assert_eq!(pieces.filter(|piece| holds_mark(&object, *piece)).count(), 1);
        assert!(holds_mark(&object, ByteRange { start: 0, end: 1_000_003 }));
    }
}

#[test]
fn classes_have_thresholds_and_kinds_of_their_own() {
    let options = WarmOptions { promote_reads: 3, cache_reads: 2, ..WarmOptions::default() };
    let kind = |class, heat| kind_for(&options, class, heat);
    assert_eq!(kind(StorageClass::IntelligentTiering, 2_000), None);
    assert_eq!(kind(StorageClass::IntelligentTiering, 2_990), Some(WarmKind::Promoted));
    assert_eq!(kind(StorageClass::StandardIa, 1_000), None);
    assert_eq!(kind(StorageClass::GlacierIr, 1_990), Some(WarmKind::Prefetched));
    assert_eq!(kind(StorageClass::Glacier, 9_000), None, "nobody can read it");
    let off = WarmOptions { cache_reads: 0, ..options };
    assert_eq!(kind_for(&off, StorageClass::StandardIa, 9_000), None);
}
