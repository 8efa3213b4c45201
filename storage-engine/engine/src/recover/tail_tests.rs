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

/// (stripe, stamp in ms) of records of a volume that was opened at 1000 ms, and which of them were moved there.
fn moved(records: &[(u64, u64)]) -> Vec<bool> {
    let (stripes, records): (Vec<u64>, Vec<Record>) =
        records.iter().map(|(stripe, ms)| (*stripe, record(ms * 1000))).unzip();
    let novelties = novelties(UnixMillis(1000), &records, &stripes);
    novelties.into_iter().map(|novelty| novelty == Novelty::Moved).collect()
}

#[test]
fn what_is_older_than_the_volume_or_than_a_stripe_before_it_was_moved() {
    assert_eq!(moved(&[(1, 900), (1, 1000), (2, 1005)]), [true, false, false]);
    assert_eq!(
        moved(&[(1, 2000), (2, 1999), (2, 2001), (3, 2000), (3, 2002)]),
        [false, true, false, true, false]
    );
}

#[test]
fn within_a_stripe_the_order_of_columns_says_nothing() {
    assert_eq!(moved(&[(1, 2002), (1, 2001), (1, 2003), (2, 2010), (2, 2004)]), [false; 5]);
}
