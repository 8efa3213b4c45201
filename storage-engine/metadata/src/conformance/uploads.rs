//! Multipart uploads, their parts and the blobs behind them.

use super::sample::{
    self, advance, blob_id, bucket, bucket_id, commit, complete, delete, done, etag, key, live, new_blob,
    number, object, one, open_written, put, put_blob, put_empty, put_part, upload, upload_id, volume_id, w,
};
use crate::model::{
    BlobMove, Commit, Content, Outcome, PartQuery, PartRow, PutPart, ReferPart, TagMatch, Write,
};
use crate::store::MetadataStore;

async fn begin(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    open_written(store, 2).await;
    done(store, Write::CreateUpload(Box::new(upload(1, "a", 1, 5)))).await;
}

fn part(number: u32, tag: u64, length_bytes: u64) -> Write {
    Write::PutPart(Box::new(put_part(1, "a", 1, number, (tag, 1, length_bytes))))
}

async fn references(store: &dyn MetadataStore, blobs: &[u64]) -> Vec<u32> {
    let mut found = Vec::new();
    for n in blobs {
        found.push(sample::references(store, *n).await.unwrap_or(0));
    }
    found
}

async fn parts(store: &dyn MetadataStore, after: u16, limit: u32) -> (Vec<(u16, u64)>, bool) {
    let query = PartQuery { bucket: bucket_id(1), key: key("a"), upload: upload_id(1), after, limit };
    let page = store.list_parts(query).await.unwrap();
    (page.parts.iter().map(|part| (part.number.get(), part.length_bytes)).collect(), page.more)
}

/// Parts are stored, replaced, listed in pages, and dropped with an abort.
pub async fn parts_come_and_go(store: &dyn MetadataStore) {
    begin(store).await;
    commit(store, vec![part(3, 103, 30), part(1, 101, 10), part(2, 102, 20)]).await;
    assert_eq!(parts(store, 0, 10).await, (vec![(1, 10), (2, 20), (3, 30)], false));
    assert_eq!(parts(store, 0, 2).await, (vec![(1, 10), (2, 20)], true));
    assert_eq!(parts(store, 1, 2).await, (vec![(2, 20), (3, 30)], false));
    assert_eq!(live(store, 1).await, 60);
    done(store, part(2, 112, 25)).await;
    assert_eq!(live(store, 1).await, 65);
    assert_eq!(references(store, &[101, 102, 112, 103]).await, [1, 0, 1, 1]);
    // The same write again (its answer was lost) changes nothing.
    done(store, part(2, 112, 25)).await;
    assert_eq!((live(store, 1).await, references(store, &[112]).await), (65, vec![1]));
    let abort = Write::AbortUpload { bucket: bucket_id(1), key: key("a"), upload: upload_id(1) };
    done(store, abort.clone()).await;
    assert_eq!((live(store, 1).await, parts(store, 0, 10).await), (0, (vec![], false)));
    assert_eq!(one(store, abort).await, Outcome::NoSuchUpload);
    assert_eq!(one(store, part(1, 120, 1)).await, Outcome::NoSuchUpload);
    assert_eq!(live(store, 1).await, 0);
}

/// A part may refer to a blob that something else refers to, and keeps it; one that nothing refers to any more is not brought back.
pub async fn parts_refer_to_blobs_that_are_there(store: &dyn MetadataStore) {
    begin(store).await;
    let refer = |n: u32, tag: u64, blob: u64| {
        let part = PartRow { blob: blob_id(blob), ..put_part(1, "a", 1, n, (tag, 1, 70)).row() };
        let (bucket, upload) = (bucket_id(1), upload_id(1));
        Write::ReferPart(Box::new(ReferPart { bucket, key: key("a"), upload, part }))
    };
    done(store, w(put_blob(1, "source", 50, 1, 70))).await;
    done(store, refer(1, 101, 50)).await;
    done(store, refer(2, 102, 50)).await;
    // The same write again (its answer was lost) changes nothing.
    done(store, refer(2, 102, 50)).await;
    assert_eq!(parts(store, 0, 10).await, (vec![(1, 70), (2, 70)], false));
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![3], 70));
    done(store, Write::Delete(delete(1, "source"))).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![2], 70));
    // In place of a part with bytes of its own, and the other way round.
    done(store, part(2, 112, 25)).await;
    assert_eq!((references(store, &[50, 112]).await, live(store, 1).await), (vec![1, 1], 95));
    done(store, refer(2, 122, 50)).await;
    assert_eq!((references(store, &[50, 112]).await, live(store, 1).await), (vec![2, 0], 70));
    assert_eq!(one(store, refer(3, 103, 112)).await, Outcome::Moved);
    let mut complete = complete(1, "a", 1, 200, &[(1, 101, 70), (2, 122, 70)]);
    let Content::Blobs { parts: refs, .. } = &mut complete.object.content else { unreachable!() };
    refs.iter_mut().for_each(|part| part.blob = blob_id(50));
    done(store, Write::CompleteUpload(Box::new(complete))).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![2], 70));
    assert_eq!(one(store, refer(1, 104, 50)).await, Outcome::NoSuchUpload);
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![0], 0));
}

/// An upload belongs to its key and bucket.
pub async fn uploads_belong_to_their_key(store: &dyn MetadataStore) {
    begin(store).await;
    store.create_bucket(bucket(2)).await.unwrap();
    let find = async |b, k: &str| store.upload(bucket_id(b), &key(k), upload_id(1)).await.unwrap();
    assert_eq!(find(1, "a").await, Some(upload(1, "a", 1, 5)));
    assert_eq!((find(1, "b").await, find(2, "a").await), (None, None));
    for (b, k) in [(1, "b"), (2, "a")] {
        let stray: PutPart = put_part(b, k, 1, 1, (9, 1, 5));
        assert_eq!(one(store, Write::PutPart(Box::new(stray))).await, Outcome::NoSuchUpload);
        let stray = complete(b, k, 1, 9, &[]);
        assert_eq!(one(store, Write::CompleteUpload(Box::new(stray))).await, Outcome::NoSuchUpload);
    }
}

/// A completion makes the object of the named parts, drops the others, and ends the upload.
pub async fn completion_hands_the_parts_over(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_blob(1, "a", 50, 1, 7))).await;
    commit(store, vec![part(1, 101, 10), part(2, 102, 20), part(5, 105, 50)]).await;
    let complete = complete(1, "a", 1, 200, &[(1, 101, 10), (5, 105, 50)]);
    let write = Write::CompleteUpload(Box::new(complete.clone()));
    assert_eq!(done(store, write.clone()).await, (Some(etag(50)), 2));
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object, complete.object);
    assert_eq!(references(store, &[101, 102, 105, 50]).await, [1, 0, 1, 0]);
    assert_eq!(live(store, 1).await, 60);
    assert_eq!(one(store, write).await, Outcome::NoSuchUpload);
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!((live(store, 1).await, references(store, &[101, 105]).await), (0, vec![0, 0]));
}

/// A completion that names what is not there, or meets a condition, leaves the upload as it was.
pub async fn refused_completions_change_nothing(store: &dyn MetadataStore) {
    begin(store).await;
    commit(store, vec![part(1, 101, 10), part(2, 102, 20)]).await;
    let complete = |parts: &[(u32, u64, u64)]| complete(1, "a", 1, 200, parts);
    let refused = async |complete| one(store, Write::CompleteUpload(Box::new(complete))).await;
    assert_eq!(refused(complete(&[(1, 101, 10), (3, 103, 1)])).await, Outcome::InvalidPart(number(3)));
    assert_eq!(refused(complete(&[(1, 101, 10), (2, 99, 20)])).await, Outcome::InvalidPart(number(2)));
    assert_eq!(refused(complete(&[(1, 101, 10), (1, 101, 10)])).await, Outcome::InvalidPart(number(1)));
    let mut conditional = complete(&[(1, 101, 10)]);
    conditional.conditions.if_match = Some(TagMatch::Any);
    assert_eq!(refused(conditional).await, Outcome::NoSuchKey);
    done(store, w(put_empty(1, "a", 1))).await;
    let mut conditional = complete(&[(1, 101, 10)]);
    conditional.conditions.if_none_match = Some(TagMatch::Any);
    assert_eq!(refused(conditional).await, Outcome::PreconditionFailed);
    assert_eq!(parts(store, 0, 10).await.0.len(), 2);
    assert_eq!(live(store, 1).await, 30);
    done(store, Write::CompleteUpload(Box::new(complete(&[(1, 101, 10), (2, 102, 20)])))).await;
}

/// A blob lives as long as anything refers to it, also when an object is copied onto itself.
pub async fn blobs_live_with_their_references(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_blob(1, "a", 50, 1, 7))).await;
    let content = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap().object.content;
    let copy = |to: &str, tag| w(put(1, to, object(tag, content.clone(), 7)));
    done(store, copy("b", 51)).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![2], 7));
    done(store, copy("a", 52)).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![2], 7));
    done(store, Write::Delete(delete(1, "b"))).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![1], 7));
    done(store, w(put_empty(1, "a", 53))).await;
    assert_eq!((references(store, &[50]).await, live(store, 1).await), (vec![0], 0));
    // The blob is gone: a copy that comes too late is told so.
    assert_eq!(one(store, copy("c", 54)).await, Outcome::Moved);
    assert_eq!(store.object(bucket_id(1), &key("c"), None).await.unwrap(), None);
}

/// Compaction moves a blob only from where it says the blob is.
pub async fn blobs_are_moved_by_comparison(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_blob(1, "a", 50, 1, 7))).await;
    let moved = |from: u64, to: u64| {
        let (from, to) = (new_blob(50, from, 7).extents, new_blob(50, to, 7).extents);
        Write::MoveBlob(Box::new(BlobMove { blob: blob_id(50), from, to }))
    };
    assert_eq!(one(store, moved(2, 1)).await, Outcome::Moved);
    done(store, moved(1, 2)).await;
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 7));
    assert_eq!(one(store, moved(1, 2)).await, Outcome::Moved);
    assert_eq!(store.blobs(&[blob_id(50)]).await.unwrap()[0].extents, new_blob(50, 2, 7).extents);
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(one(store, moved(2, 1)).await, Outcome::Moved);
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 0));
}

/// As many parts as S3 allows, each as long as it allows, in one completion: the largest object there is.
pub async fn ten_thousand_parts(store: &dyn MetadataStore) {
    const PART_BYTES: u64 = 5 << 30;
    const OBJECT_BYTES: u64 = 10_000 * PART_BYTES;
    begin(store).await;
    let numbers: Vec<u32> = (1..=10_000).collect();
    for chunk in numbers.chunks(1000) {
        let writes = chunk.iter().map(|n| part(*n, u64::from(*n) + 1000, PART_BYTES)).collect();
        store.commit(Commit { advances: vec![advance(1, 1, 1)], writes }).await.unwrap();
    }
    let named: Vec<_> = numbers.iter().map(|n| (*n, u64::from(*n) + 1000, PART_BYTES)).collect();
    done(store, Write::CompleteUpload(Box::new(complete(1, "a", 1, 9, &named)))).await;
    assert_eq!(live(store, 1).await, OBJECT_BYTES);
    assert_eq!(store.bucket_usage(bucket_id(1)).await.unwrap().bytes, OBJECT_BYTES);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    let Content::Blobs { parts, .. } = row.object.content else { panic!("a completed upload has blobs") };
    assert_eq!(row.object.length_bytes, OBJECT_BYTES);
    assert!(parts.iter().all(|part| part.length_bytes == PART_BYTES));
    let ids: Vec<_> = parts.iter().map(|part| part.blob).collect();
    assert_eq!(store.blobs(&ids).await.unwrap().len(), 10_000);
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(store.volume(volume_id(1)).await.unwrap().unwrap().live_bytes, 0);
}
