use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_metadata::conformance::sample;
use granary_metadata::{PartRef, VolumeRow, VolumeState};
use granary_types::{BucketName, DriveClass, ObjectKey};

use super::*;
use crate::api::PutOptions;
use crate::maintain::compact_volume;
use crate::sample_body::SampleBody;
use crate::{Engine, EngineOptions};

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

/// The blob was taken for where it had lain when the object was looked at: the move began again on another day.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_moved_that_was_compacted_since_the_object_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let data = [dir.path().join("d0"), dir.path().join("d1")];
    let mut options = EngineOptions::new(data.to_vec());
    options.drive_classes = data.into_iter().zip([DriveClass::Ssd, DriveClass::Hdd]).collect();
    options.maintenance_interval = Duration::from_hours(1);
    let engine = Engine::open(options).await.unwrap();
    let (bucket, key) = (BucketName::new("bucket").unwrap(), ObjectKey::new("k").unwrap());
    engine.create_bucket(&bucket, "us-east-1", "root").await.unwrap();
    let mut body = SampleBody(Some(Bytes::from(vec![7; 300_000])));
    engine.put_object(&bucket, &key, PutOptions::default(), &mut body).await.unwrap();
    let (inner, pool) = (&engine.inner, &engine.inner.pool);
    let id = engine.bucket(&bucket).await.unwrap().id;
    let content = inner.store.object(id, &key, None).await.unwrap().unwrap().object.content;
    let tier = pool.tiers.for_writing(StorageClass::StandardIa).unwrap();
    let (record, copies, named) = (Vec::new(), &Copies::default(), named(&content));
    let mut apart = Apart { inner, tier, record, copies, named, volumes: HashMap::new() };
    let (own, shared) = apart.out_of_place(&content).await.unwrap();
    assert!(own.len() == 1 && shared.is_empty());
    let volume = sealed(&engine, own[0].extents[0].volume).await;
    compact_volume(inner, &volume).await.unwrap();
    assert_ne!(apart.now(own[0].id).await.unwrap().unwrap().extents, own[0].extents);

    let outcome = apart.move_own(own[0].id, &mut Throttle::new(inner)).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(apart.out_of_place(&content).await.unwrap().0.is_empty(), "it lies on the disk");
    engine.close().await.unwrap();
}
