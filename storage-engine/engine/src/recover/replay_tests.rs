use granary_metadata::{Bucket, BucketSettings, ObjectRow};
use granary_types::{Attributes, BucketName, Etag, StorageClass, UnixMillis, VolumeId};

use super::*;

const LIFE: u64 = 7;

fn bucket() -> Bucket {
    Bucket {
        id: BucketId::from_bytes([1; 16]),
        name: BucketName::new("bucket").unwrap(),
        created: UnixMillis(0),
        region: String::new(),
        owner: String::new(),
        settings: BucketSettings::default(),
    }
}

fn object(write: u8, version: u8) -> NewObject {
    NewObject {
        version: VersionId::from_bytes([version; 16]),
        kind: VersionKind::Object,
        write: WriteId::from_bytes([write; 16]),
        modified: UnixMillis(i64::from(write)),
        length_bytes: 5,
        etag: Etag::new(format!("etag-{write}")),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Empty,
    }
}

fn place(write: u8) -> PackedLocation {
    let volume = VolumeId::from_bytes([write; 16]);
    PackedLocation { volume, stripe_offset: 4096, column: 0, offset: 5000, length_bytes: 5, hash: [0; 32] }
}

/// A record of a packed object, written `at_s` seconds after 1970.
fn record(write: u8, version: u8, at_s: u64) -> Record {
    Record {
        bucket: bucket().id,
        key: ObjectKey::new("k").unwrap(),
        object: object(write, version),
        piece: Piece { index: 0, of: 1 },
        told: Some(Told::put(&bucket())),
        stamp: Stamp { at_us: at_s * 1_000_000, life: LIFE },
        place: Some(place(write)),
        standing: Standing::Before,
        columns: 6,
    }
}

fn deed(write: u8, version: u8, at_s: u64, deed: Deed) -> Record {
    let told = Some(Told { deed, ..Told::put(&bucket()) });
    Record { told, place: None, ..record(write, version, at_s) }
}

fn base(write: u8, version: u8, order: u64) -> Item {
    let object = NewObject { content: Content::Packed(place(99)), ..object(write, version) };
    let row = ObjectRow { order, object, tag_count: 0, lock: ObjectLock::default() };
    Item::Base(VersionEntry::found(bucket().id, ObjectKey::new("k").unwrap(), row, order, 0))
}

fn run_with(items: Vec<Item>, backup_s: Option<i64>, candidates: Candidates) -> Replayed {
    let decisions = HashMap::new();
    let rules = Rules {
        backup_ms: backup_s.map(|at| at * 1000),
        candidates,
        decisions: &decisions,
        has_blob: &|_, _| true,
    };
    replay(bucket().id, &ObjectKey::new("k").unwrap(), items, &rules)
}

fn run(records: Vec<Record>) -> Replayed {
    run_with(records.into_iter().map(Item::Record).collect(), None, Candidates::Undecided)
}

/// The write and order of each version, the oldest first.
fn versions(replayed: &Replayed) -> Vec<(u8, u64)> {
    replayed.versions.iter().map(|version| (version.object.write.as_bytes()[0], version.order)).collect()
}

fn kinds(replayed: &Replayed) -> Vec<FindingKind> {
    replayed.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn the_last_null_version_is_the_only_one_and_versions_keep_their_order() {
    assert_eq!(versions(&run(vec![record(2, 0, 20), record(3, 0, 30), record(1, 0, 10)])), [(3, 1)]);
    let kept = run(vec![record(2, 2, 20), record(1, 0, 10), record(3, 3, 30)]);
    assert_eq!(versions(&kept), [(1, 1), (2, 2), (3, 3)]);
}

#[test]
fn deletes_take_away_what_was_there_and_nothing_newer() {
    let gone = run(vec![record(1, 0, 10), deed(2, 0, 20, Deed::Erased)]);
    assert_eq!((versions(&gone), gone.gone), (vec![], 1));
    assert_eq!(versions(&run(vec![deed(2, 0, 20, Deed::Erased), record(3, 0, 30)])), [(3, 1)]);
    let one = run(vec![record(1, 1, 10), record(2, 2, 20), deed(9, 1, 30, Deed::Erased)]);
    assert_eq!(versions(&one), [(2, 1)]);
}

#[test]
fn a_refused_write_does_not_come_back_but_its_later_try_does() {
    let refused = |at| deed(8, 0, at, Deed::Refused(WriteId::from_bytes([2; 16])));
    assert_eq!(versions(&run(vec![record(1, 0, 10), record(2, 0, 20), refused(21)])), [(1, 1)]);
    // The first try was refused, as the bucket's versioning had changed; the second has another version.
    let again = run(vec![record(2, 0, 20), record(2, 5, 22), refused(21)]);
    assert_eq!(versions(&again), [(2, 1)]);
    assert_eq!(again.versions[0].object.version, VersionId::from_bytes([5; 16]));
}

#[test]
fn what_moved_is_found_where_most_columns_are() {
    let moved = Record { place: Some(place(50)), columns: 5, ..record(1, 0, 10) };
    let found = run(vec![moved, record(1, 0, 10)]);
    assert_eq!(found.versions[0].object.content, Content::Packed(place(1)));
}

#[test]
fn a_backup_shows_what_was_deleted_before_it() {
    let (hour, day) = (3_600, 86_400);
    // Written long before the backup and not in it.
    let old = vec![base(1, 0, 4), Item::Record(record(1, 0, 10)), Item::Record(record(2, 3, 20))];
    let replayed = run_with(old, Some(day), Candidates::Undecided);
    assert_eq!((versions(&replayed), replayed.outdated), (vec![(1, 4)], 1));
    assert_eq!(replayed.versions[0].object.content, Content::Packed(place(1)), "it was moved since");
    // Newer than the backup: on top, in the orders that follow.
    let at = u64::try_from(day + hour).unwrap();
    let newer = vec![base(1, 1, 4), Item::Record(record(1, 1, 10)), Item::Record(record(2, 2, at))];
    assert_eq!(versions(&run_with(newer, Some(day), Candidates::Undecided)), [(1, 4), (2, 5)]);
    let erased =
        vec![base(1, 1, 4), Item::Record(record(1, 1, 10)), Item::Record(deed(2, 1, at, Deed::Erased))];
    assert_eq!(versions(&run_with(erased, Some(day), Candidates::Undecided)), []);
    // Its bytes are nowhere, and nothing says that it was deleted.
    let lost = run_with(vec![base(1, 1, 4)], Some(day), Candidates::Undecided);
    assert_eq!((versions(&lost), kinds(&lost)), (vec![], vec![FindingKind::Lost]));
    let replaced = vec![base(1, 0, 4), Item::Record(record(2, 0, at))];
    assert_eq!(versions(&run_with(replaced, Some(day), Candidates::Undecided)), [(2, 5)]);
}

#[test]
fn an_older_version_does_not_come_back_for_one_whose_bytes_are_lost() {
    let lost = Record { place: None, ..record(2, 0, 20) };
    let replayed = run(vec![record(1, 0, 10), lost]);
    assert_eq!((versions(&replayed), kinds(&replayed)), (vec![], vec![FindingKind::Lost]));
}

#[test]
fn conditions_are_looked_at_in_the_order_of_the_writes() {
    let none = WriteConditions { if_none_match: Some(TagMatch::Any), ..WriteConditions::default() };
    let first = WriteConditions {
        if_match: Some(TagMatch::OneOf(vec![Etag::new("etag-1")])),
        ..WriteConditions::default()
    };
    let under = |conditions: &WriteConditions, record: Record| {
        let told = Some(Told { conditions: Some(conditions.clone()), ..Told::put(&bucket()) });
        Record { told, ..record }
    };
    let chain = vec![under(&none, record(1, 0, 10)), under(&first, record(2, 0, 20))];
    let held = run(chain.clone());
    assert_eq!((versions(&held), held.undecided), (vec![(2, 1)], 0));
    let mut more = chain;
    more.push(under(&first, record(3, 0, 30)));
    let replayed = run(more.clone());
    assert_eq!((versions(&replayed), kinds(&replayed)), (vec![(2, 1)], vec![FindingKind::Condition]));
    assert_eq!(replayed.findings[0].suggested, Some(Verdict::Exclude));
    let all = run_with(more.into_iter().map(Item::Record).collect(), None, Candidates::All);
    assert_eq!(versions(&all), [(3, 1)]);
}

#[test]
fn what_is_not_known_to_be_committed_and_what_clocks_do_not_order_is_a_candidate() {
    let behind = run(vec![Record { standing: Standing::Behind, ..record(1, 0, 10) }]);
    assert_eq!((kinds(&behind), behind.undecided), (vec![FindingKind::Unconfirmed], 1));
    assert_eq!(versions(&behind), [(1, 1)], "it is suggested");
    let none = vec![Item::Record(Record { standing: Standing::Behind, ..record(1, 0, 10) })];
    assert_eq!(versions(&run_with(none, None, Candidates::None)), []);
    let other = Stamp { at_us: 12_000_000, life: LIFE + 1 };
    let conflict = run(vec![record(1, 0, 10), Record { stamp: other, ..record(2, 0, 12) }]);
    assert_eq!((versions(&conflict), kinds(&conflict)), (vec![(2, 1)], vec![FindingKind::Conflict]));
    let apart = Stamp { at_us: 60_000_000, life: LIFE + 1 };
    assert_eq!(kinds(&run(vec![record(1, 0, 10), Record { stamp: apart, ..record(2, 0, 60) }])), []);
}

#[test]
fn a_manifest_that_lacks_a_piece_is_lost() {
    let piece = |index| Record { piece: Piece { index, of: 2 }, place: None, ..record(1, 0, 10) };
    let of = |records: Vec<Record>| {
        let blobs = |record: Record| {
            let content = Content::Blobs { parts: Vec::new(), multipart: true };
            Record { object: NewObject { content, ..record.object.clone() }, ..record }
        };
        run(records.into_iter().map(blobs).collect())
    };
    assert_eq!(versions(&of(vec![piece(1), piece(0), piece(0)])), [(1, 1)]);
    assert_eq!(kinds(&of(vec![piece(1)])), [FindingKind::Lost]);
}

/// A record that write `write` has that class, told `at_s` seconds after 1970.
fn retiered(write: u8, at_s: u64, storage_class: StorageClass) -> Record {
    let record = deed(write, 0, at_s, Deed::Retiered);
    Record { object: NewObject { storage_class, ..record.object.clone() }, ..record }
}

#[test]
fn a_moved_version_has_its_last_class_and_its_first_place_in_the_order() {
    let classes = |replayed: &Replayed| -> Vec<StorageClass> {
        replayed.versions.iter().map(|version| version.object.storage_class).collect()
    };
    let (ia, glacier) = (StorageClass::StandardIa, StorageClass::Glacier);
    // The older of two versions moves twice, told in any order: it stays the older one.
    let mut older = [retiered(1, 40, glacier), retiered(1, 30, ia)];
    older.iter_mut().for_each(|record| record.object.version = VersionId::from_bytes([1; 16]));
    let [last, first] = older;
    let two = run(vec![last, record(1, 1, 10), record(2, 2, 20), first]);
    assert_eq!(
        (versions(&two), classes(&two)),
        (vec![(1, 1), (2, 2)], vec![glacier, StorageClass::Standard])
    );
    assert!(kinds(&two).is_empty());
    // What was overwritten since takes its class along.
    assert_eq!(
        classes(&run(vec![record(1, 0, 10), retiered(1, 20, ia), record(2, 0, 30)])),
        [StorageClass::Standard]
    );
    // A class alone is no version.
    assert!(run(vec![retiered(1, 20, ia)]).versions.is_empty());
    let known = vec![base(1, 0, 4), Item::Record(record(1, 0, 10)), Item::Record(retiered(1, 20, glacier))];
    assert_eq!(classes(&run_with(known, Some(15), Candidates::Undecided)), [glacier]);
}
