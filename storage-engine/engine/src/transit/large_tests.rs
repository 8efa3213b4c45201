use std::time::{Duration, Instant};

use granary_metadata::conformance::sample;
use granary_metadata::{PartRef, VolumeRow, VolumeState};
use granary_types::{Etag, PartNumber};

use super::*;
use crate::Engine;
use crate::api::{CompleteOptions, UploadOptions};
use crate::maintain::{compact_volume, destination};
use crate::sample_store::{TIERED, large_body, make, place, put_large};

#[test]
fn parts_of_encrypted_uploads_are_bound_to_their_blobs_and_others_are_not() {
    let part = |n: u32, blob: u64| PartRef {
        number: sample::number(n),
        blob: sample::blob_id(blob),
        length_bytes: 10,
        checksum: None,
    };
    let of = |multipart| Content::Blobs { parts: vec![part(1, 7), part(2, 8), part(3, 7)], multipart };
    let twice_and_once = HashMap::from([(sample::blob_id(7), 2), (sample::blob_id(8), 1)]);
    for free in [of(true), of(false), of(false).sealed(sample::seal(1))] {
        assert_eq!(named(&free), twice_and_once, "{free:?}");
    }
    assert!(named(&of(true).sealed(sample::seal(1))).is_empty());
}

/// A volume that takes no more: whoever wrote to it may hold it a moment longer.
async fn sealed(engine: &Engine, id: VolumeId) -> VolumeRow {
    let (pool, begun) = (&engine.inner.pool, Instant::now());
    pool.retire_all().await;
    loop {
        pool.seal_retired().await.unwrap();
        let row = engine.inner.store.volume(id).await.unwrap().unwrap();
        if row.state == VolumeState::Sealed {
            return row;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "it stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn apart<'a>(inner: &'a Arc<Inner>, record: Vec<u8>, content: &Content, copies: &'a Copies) -> Apart<'a> {
    let tier = inner.pool.tiers.for_writing(StorageClass::StandardIa).unwrap();
    let named = named(content);
    Apart { inner, tier, record, copies, named, volumes: HashMap::new(), in_place: HashMap::new() }
}

/// Writes what lives in a blob's volume elsewhere, and frees it.
async fn compact_around(engine: &Engine, apart: &Apart<'_>, blob: BlobId) {
    let before = apart.now(blob).await.unwrap().unwrap().extents;
    let volume = sealed(engine, before[0].volume).await;
    compact_volume(&engine.inner, &volume).await.unwrap();
    assert_ne!(apart.now(blob).await.unwrap().unwrap().extents, before);
}

/// The blob was taken for where it had lain when the object was looked at: the move began again on another day.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_moved_that_was_compacted_since_the_object_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let engine = make(dir.path(), &TIERED).await;
    put_large(&engine, StorageClass::Standard).await;
    let (name, key) = place();
    let (inner, copies) = (&engine.inner, Copies::default());
    let id = engine.bucket(&name).await.unwrap().id;
    let content = inner.store.object(id, &key, None).await.unwrap().unwrap().object.content;
    let mut apart = apart(inner, Vec::new(), &content, &copies);
    let (own, shared) = apart.out_of_place(&content).await.unwrap();
    assert!(own.len() == 1 && shared.is_empty());
    compact_around(&engine, &apart, own[0].id).await;

    let outcome = apart.move_own(own[0].id, &mut Throttle::new(inner)).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(apart.out_of_place(&content).await.unwrap().0.is_empty(), "it lies on the disk");
    engine.close().await.unwrap();
}

/// Compaction put the part that had moved back to where the object's class was, and then the object got its new one: its bytes
/// stayed on the SSDs for good.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_gets_no_class_where_a_part_of_it_was_compacted_back() {
    let dir = tempfile::tempdir().unwrap();
    let engine = make(dir.path(), &TIERED).await;
    let (name, key) = place();
    let (upload, _) = engine.create_upload(&name, &key, UploadOptions::default()).await.unwrap();
    let mut parts = Vec::new();
    for number in [1, 2] {
        let part = (upload, PartNumber::new(number).unwrap());
        parts.push(engine.put_part(&name, &key, part, None, &mut large_body()).await.unwrap());
    }
    let options =
        CompleteOptions { parts, etag: Etag::new("x-2"), checksum: None, conditions: Default::default() };
    engine.complete_upload(&name, &key, upload, options).await.unwrap();
    let (inner, copies) = (&engine.inner, Copies::default());
    let bucket = engine.bucket(&name).await.unwrap();
    let object = inner.store.object(bucket.id, &key, None).await.unwrap().unwrap().object;
    let tells = BlobRecord { bucket: bucket.id, key: key.clone(), version: object.version, part: None }
        .encode()
        .unwrap();
    let mut apart = apart(inner, tells, &object.content, &copies);
    let (own, _) = apart.out_of_place(&object.content).await.unwrap();
    assert!(own.len() == 2 && apart.in_place.is_empty());
    for blob in &own {
        apart.move_own(blob.id, &mut Throttle::new(inner)).await.unwrap();
    }
    // Compaction that asked for the class only now, and is slow.
    let volume = inner.store.volume(apart.now(own[0].id).await.unwrap().unwrap().extents[0].volume);
    let (_, owner) =
        destination(inner, own[0].id, &volume.await.unwrap().unwrap(), &apart.record).await.unwrap();
    let transition = |moves| Transition {
        bucket: bucket.id,
        key: key.clone(),
        version: object.version,
        write: object.write,
        from: object.storage_class,
        to: StorageClass::StandardIa,
        place: None,
        moves,
    };
    let record = ObjectRecord::of_class(&bucket, &key, &object, StorageClass::StandardIa).unwrap();
    let moves: Vec<BlobMove> = apart.stays().collect();
    assert_eq!(moves.len(), 2);
    compact_around(&engine, &apart, own[0].id).await;
    let writes = vec![Write::Transition(Box::new(transition(moves)))];
    let recorded = Recorded { writes, ..Recorded::default() };
    assert_eq!(inner.commit_recorded(record.clone(), recorded).await.unwrap(), [Outcome::Moved]);
    assert_eq!(apart.out_of_place(&object.content).await.unwrap().0.len(), 2, "both are on the SSD again");

    // It is looked at again.
    let told = Told { record, transition: transition(Vec::new()), events: Vec::new() };
    let large = Large { object: object.clone(), told, tier: apart.tier };
    let moved = super::super::move_one_large(inner, &bucket, large, &copies).await;
    assert_eq!(moved.done, 1, "{moved:?}");
    apart.volumes.clear();
    assert!(apart.out_of_place(&object.content).await.unwrap().0.is_empty(), "it lies on the disk");
    let late = Transition { moves: apart.stays().collect(), ..owner.unwrap() };
    let outcome =
        inner.commit_one(Commit { advances: Vec::new(), writes: vec![Write::Transition(Box::new(late))] });
    assert_eq!(outcome.await.unwrap(), Outcome::Moved, "it has another class by now");
    engine.close().await.unwrap();
}
