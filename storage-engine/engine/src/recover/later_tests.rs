use std::collections::HashMap;

use granary_metadata::{Bucket, BucketSettings, NewObject, PartRef, VersionKind};
use granary_types::{
    Attributes, BlobId, BucketId, BucketName, Etag, ObjectKey, PartNumber, UnixMillis, VersionId, WriteId,
};

use super::super::Candidates;
use super::super::replay::Standing;
use super::*;
use crate::record::Piece;
use crate::told::{Deed, Told};

fn blobs(blobs: &[u8]) -> Content {
    let part = |(n, blob): (u32, &u8)| PartRef {
        number: PartNumber::new(n).unwrap(),
        blob: BlobId::from_bytes([*blob; 16]),
        length_bytes: 10,
        checksum: None,
    };
    Content::Blobs { parts: (1..).zip(blobs).map(part).collect(), multipart: true }
}

/// The first of `of` pieces that tell of a class and of these blobs.
fn told(at_us: u64, storage_class: StorageClass, content: Content, of: u32) -> Record {
    let bucket = Bucket {
        id: BucketId::from_bytes([1; 16]),
        name: BucketName::new("bucket").unwrap(),
        created: UnixMillis(0),
        region: String::new(),
        owner: String::new(),
        settings: BucketSettings::default(),
    };
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::from_bytes([1; 16]),
        modified: UnixMillis(0),
        length_bytes: 20,
        etag: Etag::new("etag"),
        storage_class,
        checksum: None,
        attributes: Attributes::default(),
        content,
    };
    Record {
        bucket: bucket.id,
        key: ObjectKey::new("k").unwrap(),
        object,
        piece: Piece { index: 0, of },
        told: Some(Told::of(&bucket, Deed::Retiered)),
        stamp: Stamp { at_us, life: 7 },
        place: None,
        standing: Standing::Before,
        columns: 6,
    }
}

/// What a version is told to have that was told with blobs 1 and 2 when it had `class`, if the bytes of `lost` are missing.
fn content(records: Vec<Record>, class: StorageClass, lost: &[u8]) -> Option<Content> {
    let mut later = Later::default();
    records.into_iter().for_each(|record| later.learn(record));
    let decisions = HashMap::new();
    let has_blob = |blob: BlobId, _| !lost.contains(&blob.as_bytes()[0]);
    let rules = Rules {
        backup_ms: None,
        candidates: Candidates::Undecided,
        decisions: &decisions,
        has_blob: &has_blob,
    };
    later.content(&blobs(&[1, 2]), class, &rules)
}

#[test]
fn the_last_blobs_that_were_told_count_and_others_if_bytes_are_missing() {
    let (standard, ia, glacier) = (StorageClass::Standard, StorageClass::StandardIa, StorageClass::Glacier);
    let steps = || {
        vec![
            told(30, ia, blobs(&[3, 4]), 1),
            told(20, standard, blobs(&[3, 2]), 1),
            told(40, glacier, Content::Empty, 1),
        ]
    };
    assert_eq!(content(steps(), standard, &[]), Some(blobs(&[3, 4])));
    assert_eq!(content(steps(), standard, &[4]), Some(blobs(&[3, 2])));
    assert_eq!(content(steps(), standard, &[3]), None, "its own are there");
    // A backup that tells a colder class is newer than what was told before it.
    assert_eq!(content(steps(), glacier, &[]), None);
    assert_eq!(content(steps(), glacier, &[1]), Some(blobs(&[3, 4])));
    assert_eq!(content(steps(), standard, &[1, 3]), None, "nothing is there");
}

#[test]
fn what_is_not_whole_or_of_another_shape_does_not_count() {
    let ia = StorageClass::StandardIa;
    assert_eq!(content(vec![told(20, ia, blobs(&[3, 4]), 2)], StorageClass::Standard, &[1]), None);
    assert_eq!(content(vec![told(20, ia, blobs(&[3]), 1)], StorageClass::Standard, &[1]), None);
    let first = told(20, ia, blobs(&[3]), 2);
    let second = Record { piece: Piece { index: 1, of: 2 }, ..told(20, ia, blobs(&[4]), 2) };
    let Some(Content::Blobs { parts, .. }) = content(vec![second, first], StorageClass::Standard, &[]) else {
        panic!("both pieces are there");
    };
    assert_eq!(parts.iter().map(|part| part.blob.as_bytes()[0]).collect::<Vec<_>>(), [3, 4]);
}
