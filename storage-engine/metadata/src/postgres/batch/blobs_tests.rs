use std::collections::BTreeMap;

use granary_types::BlobId;

use super::super::{BlobState, Presence};
use super::*;

const BLOB: BlobId = BlobId::from_bytes([7; 16]);

fn referrer(n: u8) -> Referrer {
    [n; 20]
}

/// A batch that holds two references to a blob that has so many in all.
fn holding_two_of(references: i64) -> Batch {
    let held = [(BLOB, referrer(1)), (BLOB, referrer(2))];
    let limit = countable(&held)[&BLOB];
    let mut batch = Batch::default();
    let state = BlobState { found: true, extents: Some(Vec::new()), ..BlobState::default() };
    batch.blobs.insert(BLOB, BlobState { references: references.min(limit), ..state });
    batch.references.extend(held.map(|place| (place, Presence { found: true, wanted: true })));
    batch
}

/// Whether the blob is left when the batch added a reference, handed one over, and dropped all but `left` of its three.
fn outlives(mut batch: Batch, left: usize) -> bool {
    batch.add_reference(BLOB, referrer(3));
    batch.move_reference(BLOB, referrer(1), referrer(4));
    for n in [2, 3, 4].into_iter().skip(left) {
        batch.drop_reference(BLOB, referrer(n));
    }
    batch.blob_exists(BLOB)
}

#[test]
fn references_are_counted_to_one_more_than_are_held() {
    let other = BlobId::from_bytes([8; 16]);
    let held = [(BLOB, referrer(1)), (other, referrer(1)), (BLOB, referrer(2))];
    assert_eq!(countable(&held), BTreeMap::from([(BLOB, 3), (other, 2)]));
}

#[test]
fn a_blob_outlives_a_batch_that_drops_all_it_holds_if_and_only_if_others_refer_to_it() {
    assert!(!outlives(holding_two_of(2), 0));
    assert!(outlives(holding_two_of(2), 1));
    for others in [3, 4, 1_000_000] {
        assert!(outlives(holding_two_of(others), 0), "{others} references");
    }
}
