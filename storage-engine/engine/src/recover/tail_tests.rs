use granary_metadata::{Content, VersionKind};
use granary_types::{Attributes, Etag, StorageClass};

use super::super::replay::Standing;
use super::*;
use crate::record::Piece;

fn record(at_us: u64) -> Record {
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes([1; 16]),
        modified: UnixMillis(0),
        length_bytes: 0,
        etag: Etag::new("x"),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes::default(),
        content: Content::Empty,
    };
    Record {
        bucket: BucketId::from_bytes([2; 16]),
        key: ObjectKey::new("k").unwrap_or_else(|error| unreachable!("{error}")),
        object,
        piece: Piece { index: 0, of: 1 },
        told: None,
        stamp: Stamp { at_us, life: 1 },
        place: None,
        standing: Standing::Before,
        columns: 3,
    }
}

/// (stripe, stamp in minutes) of records of a volume that was opened after 100 minutes, and which of them were moved there.
fn moved(records: &[(u64, u64)]) -> Vec<bool> {
    let (stripes, records): (Vec<u64>, Vec<Record>) =
        records.iter().map(|(stripe, minutes)| (*stripe, record(minutes * 60_000_000))).unzip();
    let novelties = novelties(UnixMillis(100 * 60_000), &records, &stripes);
    novelties.into_iter().map(|novelty| novelty == Novelty::Moved).collect()
}

#[test]
fn what_is_much_older_than_the_volume_or_than_a_stripe_before_it_was_moved() {
    assert_eq!(moved(&[(1, 80), (1, 100), (2, 101)]), [true, false, false]);
    assert_eq!(moved(&[(1, 200), (2, 189), (2, 201), (3, 190), (3, 202)]), [false, true, false, true, false]);
}

/// The first group of a volume is stamped before the volume is opened for it.
#[test]
fn the_first_records_of_a_volume_are_new() {
    assert_eq!(moved(&[(1, 99), (1, 100)]), [false; 2]);
}

#[test]
fn within_a_stripe_the_order_of_columns_says_nothing() {
    assert_eq!(moved(&[(1, 220), (1, 205), (1, 221), (2, 240), (2, 230)]), [false; 5]);
}
