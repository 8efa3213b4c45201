use bytes::Bytes;
use granary_types::{BucketName, Etag, ObjectKey, PartNumber};

use super::*;
use crate::api::{ByteRange, CompleteOptions, UploadOptions};
use crate::sample_body::SampleBody;
use crate::{Engine, EngineOptions, ObjectHandle};

const PARTS: u32 = 5;

/// A store with an object of many parts, opened.
async fn opened(dir: &std::path::Path) -> (Engine, ObjectHandle) {
    let engine = Engine::open(EngineOptions::new(vec![dir.join("d0")])).await.unwrap();
    let (bucket, key) = (BucketName::new("bucket").unwrap(), ObjectKey::new("parts").unwrap());
    engine.create_bucket(&bucket, "us-east-1", "root").await.unwrap();
    let (upload, _) = engine.create_upload(&bucket, &key, UploadOptions::default()).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=PARTS {
        let number = PartNumber::new(number).unwrap();
        let mut body = SampleBody(Some(Bytes::from(vec![7; 200_000])));
        parts.push(engine.put_part(&bucket, &key, (upload, number), None, &mut body).await.unwrap());
    }
    let options =
        CompleteOptions { parts, etag: Etag::new("etag-5"), checksum: None, conditions: Default::default() };
    engine.complete_upload(&bucket, &key, upload, options).await.unwrap();
    let object = engine.open_object(&bucket, &key, None).await.unwrap();
    (engine, object)
}

/// Two parts are looked up at once.
fn by_twos() -> Places {
    Places { parts_ahead: 2, ..Places::default() }
}

async fn until_looked_up(places: &Places) {
    let begun = Instant::now();
    while !places.coming.as_ref().unwrap().looking.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is looked up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_away_at_the_end_of_what_was_looked_up_cut_the_read_off() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, object) = opened(dir.path()).await;
    let (reader, parts) = (&object.reader, object.row.object.content.parts());
    let warm = object.warm_read(ByteRange { start: 0, end: 1 }).await;
    let mut places = by_twos();
    let mut seen = vec![places.of_part(reader, (parts, 0), &warm).await.unwrap()];
    assert!(places.coming.is_none(), "that is early");
    seen.push(places.of_part(reader, (parts, 1), &warm).await.unwrap());
    until_looked_up(&places).await;
    // Nothing can be asked from here on.
    engine.inner.store.close().await.unwrap();
    for index in [2, 3] {
        seen.push(places.of_part(reader, (parts, index), &warm).await.unwrap());
    }
    assert!(seen.iter().all(|extents| !extents.is_empty()));
    assert!((1..seen.len()).all(|index| seen[index] != seen[index - 1]), "{seen:?}");
    assert!(places.is_coming(4) && !places.is_coming(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_copy_whose_later_part_could_not_be_read_asked_a_database_that_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, object) = opened(dir.path()).await;
    let (reader, parts) = (&object.reader, object.row.object.content.parts());
    let warm = object.warm_read(ByteRange { start: 0, end: 1 }).await;
    let mut places = by_twos();
    // As when the first three parts come from the copy.
    for index in 0..2 {
        places.look_ahead(reader, (parts, index), &warm).await;
        until_looked_up(&places).await;
    }
    places.look_ahead(reader, (parts, 2), &warm).await;
    engine.inner.store.close().await.unwrap();
    assert!(!places.of_part(reader, (parts, 3), &warm).await.unwrap().is_empty());
}
