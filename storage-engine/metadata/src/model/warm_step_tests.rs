#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use granary_types::VolumeId;

use super::*;

fn change(step: WarmStep) -> WarmChange {
    let key = ObjectKey::new("k").unwrap();
    let (bucket, version, write) =
        (BucketId::from_bytes([1; 16]), VersionId::NULL, WriteId::from_bytes([2; 16]));
    WarmChange { bucket, key, version, write, step }
}

fn extents(length_bytes: u64) -> Vec<Extent> {
    vec![Extent { volume: VolumeId::from_bytes([3; 16]), offset: 0, length_bytes }]
}

/// What rows and logs of older releases hold is read as before: what was added to the enums came behind what they had.
#[test]
fn steps_and_places_keep_their_numbers() {
    let first = |bytes: Vec<u8>| bytes[0];
    let place = |place: WarmPlace| first(postcard::to_stdvec(&place).unwrap());
    assert_eq!([place(WarmPlace::Parts(Vec::new())), place(WarmPlace::Begun(Vec::new()))], [1, 2]);
    let step = |step: WarmStep| first(postcard::to_stdvec(&step).unwrap());
    let (kind, at) = (WarmKind::Read, UnixMillis(0));
    let steps = [
        WarmStep::Read { reads: 1, at, half_life_ms: 1 },
        WarmStep::Want { kind, at, days: 1 },
        WarmStep::Place { place: WarmPlace::Parts(Vec::new()), kind, at },
        WarmStep::Keep { from: kind, kind, at },
        WarmStep::Drop { kind, at },
        WarmStep::AddPart { index: 0, behind_bytes: 0, extents: Vec::new(), at },
        WarmStep::Finish { parts: 1, length_bytes: 1, kind, at },
        WarmStep::AddParts { index: 0, behind_bytes: 0, parts: Vec::new(), at },
    ];
    assert_eq!(steps.map(step), [0, 1, 2, 3, 6, 7, 8, 9]);
}

#[test]
fn a_copy_that_was_begun_keeps_what_was_known_of_reads() {
    let read = WarmStep::Read { reads: 2, at: UnixMillis(50), half_life_ms: 1_000 };
    let row = warmed(None, &change(read)).unwrap().row;
    let step = WarmStep::AddPart { index: 0, behind_bytes: 0, extents: extents(10), at: UnixMillis(20) };
    let Warmed { row, added, dropped } = warmed(row, &change(step)).unwrap();
    let row = row.unwrap();
    assert_eq!((row.heat.milli_reads, row.at), (2_000, UnixMillis(50)));
    assert_eq!((added, dropped), (vec![(VolumeId::from_bytes([3; 16]), 10)], Vec::new()));
    assert!(row.begun().is_some() && !row.has_copy());
}

#[test]
fn a_part_may_be_empty_and_is_told_once() {
    let step = |index| WarmStep::AddPart { index, behind_bytes: 0, extents: Vec::new(), at: UnixMillis(20) };
    let row = warmed(None, &change(step(0))).unwrap().row;
    assert_eq!(warmed(row.clone(), &change(step(0))), Err(Outcome::Moved));
    let row = warmed(row, &change(step(1))).unwrap().row;
    assert_eq!(row.unwrap().begun().map(<[_]>::len), Some(2));
}

#[test]
fn the_parts_of_a_piece_were_told_one_by_one_and_the_row_rewritten_for_each() {
    let add = |index, behind_bytes, lengths: &[u64]| {
        let parts: Vec<Vec<Extent>> = lengths.iter().map(|length_bytes| extents(*length_bytes)).collect();
        let step = WarmStep::AddParts { index, behind_bytes, parts, at: UnixMillis(20) };
        move |row| warmed(row, &change(step))
    };
    let first = add(0, 0, &[10, 20, 5])(None).unwrap();
    assert_eq!(first.added.iter().map(|(_, length_bytes)| length_bytes).sum::<u64>(), 35);
    let row = first.row;
    // The last part goes on, and others follow it.
    let whole = add(2, 35, &[15, 7])(row.clone()).unwrap().row.unwrap();
    let lengths = |row: &WarmRow| -> Vec<u64> {
        let parts = row.begun().unwrap().iter();
        parts.map(|part| part.iter().map(|extent| extent.length_bytes).sum()).collect()
    };
    assert_eq!(lengths(&whole), [10, 20, 20, 7]);
    for refused in [add(2, 34, &[15]), add(1, 35, &[15]), add(4, 35, &[15]), add(3, 35, &[])] {
        assert_eq!(refused(row.clone()), Err(Outcome::Moved));
    }
    let one = WarmStep::AddPart { index: 2, behind_bytes: 35, extents: extents(15), at: UnixMillis(20) };
    let by_one = warmed(row.clone(), &change(one)).unwrap();
    assert_eq!(by_one, add(2, 35, &[15])(row).unwrap(), "logs of older releases are read as before");
}
