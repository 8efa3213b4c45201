use granary_metadata::Content;
use granary_types::{Attributes, Etag, StorageClass, UnixMillis, VersionId, VolumeId, WriteId};

use super::*;

const AT_MS: i64 = 1_000_000;

fn stamp(ms: i64) -> Stamp {
    Stamp { at_us: u64::try_from(ms).unwrap_or(0) * 1000, life: 1 }
}

fn object(write: u8, modified_ms: i64) -> NewObject {
    NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes([write; 16]),
        modified: UnixMillis(modified_ms),
        length_bytes: 5,
        etag: Etag::new(format!("etag-{write}")),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Packed(place(write)),
    }
}

fn place(n: u8) -> PackedLocation {
    PackedLocation {
        volume: VolumeId::from_bytes([n; 16]),
        stripe_offset: 4096,
        column: 0,
        offset: 5000,
        length_bytes: 5,
        hash: [0; 32],
    }
}

fn rows<'r>(current: Option<&'r NewObject>) -> Rows<'r> {
    Rows { current, same: current, is_undone: false }
}

fn none_match() -> WriteConditions {
    WriteConditions { if_none_match: Some(TagMatch::Any), ..WriteConditions::default() }
}

fn matching(write: u8) -> WriteConditions {
    let etag = Etag::new(format!("etag-{write}"));
    WriteConditions { if_match: Some(TagMatch::OneOf(vec![etag])), ..WriteConditions::default() }
}

#[test]
fn what_is_not_there_is_put_unless_somebody_else_puts_it() {
    let late = object(2, AT_MS - 50);
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(None)),
        Decision::Put(none_match())
    );
}

#[test]
fn what_replaced_an_older_one_replaces_it_again() {
    let older = object(1, AT_MS - 60_000);
    let late = object(2, AT_MS - 50);
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&older))),
        Decision::Put(matching(1))
    );
    // Of the same millisecond, the row is what was there before.
    let older = object(1, AT_MS);
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&older))),
        Decision::Put(matching(1))
    );
}

#[test]
fn what_a_client_wrote_after_the_fail_over_stays() {
    let newer = object(3, AT_MS + 60_000);
    let late = object(2, AT_MS - 50);
    assert_eq!(decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&newer))), Decision::Done);
    let close = object(3, AT_MS + 1_000);
    let refused = Decision::Refused(Refusal::Conflict);
    assert_eq!(decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&close))), refused);
}

#[test]
fn what_was_put_again_already_is_left() {
    let late = object(2, AT_MS - 50);
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&late.clone()))),
        Decision::Done
    );
}

#[test]
fn a_version_whose_bytes_had_moved_follows_them() {
    let mut late = object(2, AT_MS - 60_000);
    late.content = Content::Packed(place(9));
    let known = object(2, AT_MS - 60_000);
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), rows(Some(&known))),
        Decision::Move(place(2))
    );
}

/// Compaction packs what a delete overtakes; a delete that the standby had is none of what is read.
#[test]
fn what_was_deleted_before_it_was_moved_does_not_come_back() {
    let moved = object(2, AT_MS - 60_000);
    assert_eq!(decide_put(&moved, (None, Novelty::Moved), stamp(AT_MS), rows(None)), Decision::Done);
}

#[test]
fn a_condition_is_asked_again() {
    let older = object(1, AT_MS - 60_000);
    let late = object(2, AT_MS - 50);
    let decide = |conditions: &WriteConditions, rows| {
        decide_put(&late, (Some(conditions), Novelty::New), stamp(AT_MS), rows)
    };
    assert_eq!(decide(&matching(1), rows(Some(&older))), Decision::Put(matching(1)));
    assert_eq!(decide(&matching(7), rows(Some(&older))), Decision::Refused(Refusal::Condition));
    assert_eq!(decide(&none_match(), rows(Some(&older))), Decision::Refused(Refusal::Condition));
    assert_eq!(decide(&none_match(), rows(None)), Decision::Put(none_match()));
}

#[test]
fn a_condition_that_held_because_of_a_delete_that_is_undone_still_holds() {
    let older = object(1, AT_MS - 60_000);
    let late = object(2, AT_MS - 50);
    let undone = Rows { is_undone: true, ..rows(Some(&older)) };
    let decided = decide_put(&late, (Some(&none_match()), Novelty::New), stamp(AT_MS), undone);
    assert_eq!(decided, Decision::Put(matching(1)));
}

#[test]
fn a_version_that_would_come_on_top_of_a_newer_one_is_refused() {
    let mut late = object(2, AT_MS - 50);
    late.version = VersionId::from_bytes([5; 16]);
    let mut newer = object(3, AT_MS + 60_000);
    newer.version = VersionId::from_bytes([6; 16]);
    let covered = Rows { current: Some(&newer), same: None, is_undone: false };
    assert_eq!(
        decide_put(&late, (None, Novelty::New), stamp(AT_MS), covered),
        Decision::Refused(Refusal::Covered)
    );
}

#[test]
fn a_delete_is_undone_if_what_it_deleted_is_there() {
    assert!(is_undone(Some(&object(1, AT_MS - 1)), stamp(AT_MS)));
    assert!(!is_undone(Some(&object(1, AT_MS + 1)), stamp(AT_MS)));
    assert!(!is_undone(None, stamp(AT_MS)));
}
