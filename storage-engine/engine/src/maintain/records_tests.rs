use granary_metadata::conformance::sample;
use granary_metadata::{Content, PartRef};
use granary_types::StorageClass;

use super::*;

/// What a write that names these blobs is, or is told to be.
fn version(write: u64, storage_class: StorageClass, blobs: &[u64]) -> NewObject {
    let part = |(n, blob): (u32, &u64)| PartRef {
        number: sample::number(n),
        blob: sample::blob_id(*blob),
        length_bytes: 10,
        checksum: None,
    };
    let content = match blobs {
        [] => Content::Empty,
        blobs => Content::Blobs { parts: (1..).zip(blobs).map(part).collect(), multipart: true },
    };
    NewObject { storage_class, ..sample::object(write, content, 10) }
}

#[test]
fn what_was_told_of_a_version_later_is_kept_while_its_class_or_its_blobs_are_those() {
    let (ia, glacier) = (StorageClass::StandardIa, StorageClass::Glacier);
    let is = version(1, glacier, &[1, 2, 3]);
    assert!(still_has(&is, &version(1, glacier, &[])));
    assert!(!still_has(&is, &version(1, ia, &[])));
    // Told when it moved for the first time, and in force since. A piece tells some of them.
    assert!(still_has(&is, &version(1, ia, &[2, 3])));
    assert!(!still_has(&is, &version(1, ia, &[2, 9])));
    assert!(!still_has(&is, &version(2, glacier, &[1, 2, 3])));
}
