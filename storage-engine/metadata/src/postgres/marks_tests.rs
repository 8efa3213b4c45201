use granary_types::{BucketId, DriveId, Epoch, ObjectKey, UnixMillis, WriteId};

use super::*;
use crate::model::{Tagging, VolumeAdvance};
use crate::sqlite::op::Reply;

fn volume(n: u8) -> NewVolume {
    NewVolume {
        id: VolumeId::from_bytes([n; 16]),
        data_columns: 1,
        parity_columns: 1,
        drives: vec![DriveId::from_bytes([1; 16]), DriveId::from_bytes([2; 16])],
        opened: UnixMillis(0),
    }
}

fn advance(n: u8, end: u64) -> Op {
    let advance = VolumeAdvance { volume: volume(n).id, epoch: Epoch::FIRST, end, stored_bytes: 1 };
    Op::Commit(Commit { advances: vec![advance], writes: Vec::new() })
}

fn tag() -> Op {
    let tagging = Tagging {
        bucket: BucketId::from_bytes([7; 16]),
        key: ObjectKey::new("k").unwrap_or_else(|error| unreachable!("{error}")),
        version: granary_types::VersionId::NULL,
        write: WriteId::from_bytes([9; 16]),
        tags: Vec::new(),
    };
    Op::Commit(Commit { advances: Vec::new(), writes: vec![Write::Tag(Box::new(tagging))] })
}

fn note(marks: &mut Marks, batch: u64, ops: &[Op]) {
    let answers: Vec<Answer> = ops.iter().map(|_| Ok(Reply::Done)).collect();
    marks.note(batch, ops, &answers);
}

/// Three batches, of which a volume opened in the first has come to 100, 200 and 300.
fn three() -> Marks {
    let mut marks = Marks::default();
    note(&mut marks, 1, &[Op::OpenVolume(volume(1))]);
    note(&mut marks, 2, &[advance(1, 100)]);
    note(&mut marks, 3, &[advance(1, 200), tag()]);
    note(&mut marks, 4, &[Op::OpenVolume(volume(2)), advance(2, 50), advance(1, 300)]);
    marks
}

fn ends(known: &[(u8, u64)]) -> HashMap<VolumeId, u64> {
    known.iter().map(|(n, end)| (volume(*n).id, *end)).collect()
}

#[test]
fn a_database_that_knows_the_last_batch_has_lost_nothing() {
    assert!(!Marks::default().are_beyond(None));
    assert!(!three().are_beyond(Some(4)));
    // A batch whose answer was lost is one that the database may know.
    assert!(!three().are_beyond(Some(5)));
}

#[test]
fn what_came_after_the_batch_that_the_database_names_is_lost() {
    let marks = three();
    assert!(marks.are_beyond(Some(3)) && marks.are_beyond(None));
    let (lost, mut tails) = marks.lost(Some(2), &ends(&[(1, 100)]), None);
    assert_eq!(lost.batches, 2);
    tails.sort_by_key(|tail| tail.volume.id);
    let tail =
        |n, known_end, answered_end| LostTail { volume: volume(n), known_end, answered_end, node: None };
    assert_eq!(tails, [tail(1, 100, 300), tail(2, 0, 50)]);
    assert_eq!(lost.changes.len(), 1, "{:?}", lost.changes);
    assert_eq!(marks.lost(Some(3), &ends(&[(1, 200)]), None).0.changes, []);
}

#[test]
fn a_volume_that_was_removed_long_ago_is_not_taken_for_a_lost_one() {
    let mut marks = three();
    note(&mut marks, 5, &[advance(2, 60)]);
    let (_, tails) = marks.lost(Some(4), &ends(&[(2, 50)]), None);
    assert_eq!(tails.len(), 1, "{tails:?}");
}

#[test]
fn what_was_lost_is_told_once_also_when_the_next_connection_comes_before_the_next_batch() {
    let mut marks = three();
    marks.accept(Some(2));
    assert!(!marks.are_beyond(Some(2)));
    // What was committed again and lost again is lost all the same.
    note(&mut marks, 5, &[advance(1, 300)]);
    assert!(marks.are_beyond(Some(2)));
    assert_eq!(marks.lost(Some(2), &ends(&[(1, 100), (2, 0)]), None).1.len(), 2);
}

#[test]
fn a_refused_commit_marks_nothing() {
    let mut marks = three();
    let refused = crate::error::MetadataError::VolumeGone(volume(1).id);
    marks.note(5, &[advance(1, 900)], &[Err(refused)]);
    let (lost, tails) = marks.lost(Some(4), &ends(&[(1, 300), (2, 50)]), None);
    assert_eq!((lost.batches, tails.len()), (1, 0));
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_forgotten_is_told() {
    let mut marks = Marks::default();
    for batch in 1..=(CHANGES_MAX as u64 + 10) {
        note(&mut marks, batch, &[tag()]);
    }
    let (lost, _) = marks.lost(Some(5), &HashMap::new(), None);
    assert_eq!(lost.changes.len(), CHANGES_MAX + 1);
    for number in 0..=VOLUMES_MAX as u64 {
        let mut opened = volume(0);
        opened.id = VolumeId::from_bytes(
            [&number.to_be_bytes()[..], &[1; 8]].concat().try_into().unwrap_or_default(),
        );
        note(&mut marks, 20_000 + number, &[Op::OpenVolume(opened)]);
    }
    assert_eq!(marks.volumes().count(), VOLUMES_MAX);
}
