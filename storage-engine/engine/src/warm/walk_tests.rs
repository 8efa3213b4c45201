#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::pins::{Pin, set};
use super::super::room::drop_copies;
use super::*;
use crate::sample_store::{LARGE_BYTES, make_warm, place};

/// While a walk lists, what it copies makes room; a copy that had to go between being found and being kept counted as there.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_evicted_while_it_was_to_be_kept_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (name, key) = place();
    let engine = make_warm(dir.path()).await;
    let object = engine.open_object(&name, &key, None).await.unwrap().row.clone();
    let (bucket, write) = (engine.bucket(&name).await.unwrap().id, object.object.write);
    let row = engine.inner.store.object_warmth(bucket, &key, write).await.unwrap().unwrap();
    assert!(row.has_copy());

    for is_evicted in [false, true] {
        if is_evicted {
            let version = WarmVersion { bucket, key: key.clone(), write, row: row.clone() };
            drop_copies(&engine.inner, &[version], "room").await.unwrap();
        }
        let (_, job) = WarmJobs::default().begin(WarmJobKind::Prefetch, name.clone(), String::new());
        let (pace, kind) = (Pace::Urgent, WarmJobKind::Prefetch);
        let walk = Walk { inner: &engine.inner, bucket, prefix: "", kind, pace, job: &job };
        let mut wishes = Vec::new();
        let kept = vec![(key.clone(), object.clone(), row.clone())];
        walk.keep(kept, row.at, &mut wishes).await.unwrap();
        assert_eq!(wishes.len(), usize::from(is_evicted));
        let mut told = (0, 0);
        job.change(|job| told = (job.warm, job.left_bytes));
        assert_eq!(told, if is_evicted { (0, LARGE_BYTES as u64) } else { (1, 0) });
    }
    engine.close().await.unwrap();
}

/// A pin went on to copy for hours after it was unpinned.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_went_on_after_it_was_unpinned() {
    let dir = tempfile::tempdir().unwrap();
    let (name, key) = place();
    let engine = make_warm(dir.path()).await;
    let inner = &engine.inner;
    let object = engine.open_object(&name, &key, None).await.unwrap().row.clone();
    let (bucket, write) = (engine.bucket(&name).await.unwrap().id, object.object.write);
    let row = inner.store.object_warmth(bucket, &key, write).await.unwrap().unwrap();
    drop_copies(inner, &[WarmVersion { bucket, key: key.clone(), write, row }], "room").await.unwrap();

    let walked_when = async |pin| {
        set(inner, bucket, "", pin).await.unwrap();
        let (_, job) = WarmJobs::default().begin(WarmJobKind::Pin, name.clone(), String::new());
        let (pace, kind) = (Pace::Urgent, WarmJobKind::Pin);
        let walk = Walk { inner, bucket, prefix: "", kind, pace, job: &job };
        (walk.run().await.unwrap(), job.shown().copied)
    };
    assert_eq!(walked_when(Pin::Unpinned).await, (Walked::Unpinned, 0));
    assert_eq!(walked_when(Pin::Pinned).await, (Walked::Whole, 1));
    // What the last batch made is let go of by who made it, if it was not there when the prefix was unpinned.
    assert_eq!(walked_when(Pin::Unpinned).await, (Walked::Unpinned, 0));
    let row = inner.store.object_warmth(bucket, &key, write).await.unwrap().unwrap();
    assert_eq!(row.kind, WarmKind::Prefetched);
    engine.close().await.unwrap();
}
