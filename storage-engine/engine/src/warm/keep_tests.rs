#![allow(clippy::unwrap_used, reason = "tests")]

use granary_metadata::{Commit, RestoreChange, Write};
use granary_types::{DriveClass, StorageClass};

use super::*;
use crate::Engine;
use crate::api::Urgency;
use crate::sample_store::{LARGE_BYTES, make, place, put_large};

async fn restored(engine: &Engine) -> (u64, u64) {
    engine.warm_status().await.unwrap().restored
}

async fn sweep(engine: &Engine) {
    Keeper::default().sweep(&engine.inner, UnixMillis::now()).await.unwrap();
}

/// Releases before let the copy be when a move to another archive ended the restore: there are stores that have such copies.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_goes_whose_restore_was_ended_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = make(dir.path(), &[DriveClass::Ssd, DriveClass::Hdd]).await;
    put_large(&engine, StorageClass::DeepArchive).await;
    let (bucket, key) = place();
    engine.restore_object(&bucket, &key, None, (900, Urgency::Expedited)).await.unwrap();
    let (begun, whole) = (Instant::now(), (1, LARGE_BYTES as u64));
    while restored(&engine).await != whole {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is not restored");
        engine.inner.warm.wake();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sweep(&engine).await;
    assert_eq!(restored(&engine).await, whole, "its restore is there");
    let id = engine.bucket(&bucket).await.unwrap().id;
    let object = engine.open_object(&bucket, &key, None).await.unwrap().row.object.clone();
    let (version, write) = (object.version, object.write);
    let ended = RestoreChange { bucket: id, key, version, write, restored: None };
    let writes = vec![Write::Restore(Box::new(ended))];
    engine.inner.store.commit(Commit { advances: Vec::new(), writes }).await.unwrap();
    sweep(&engine).await;
    assert_eq!(restored(&engine).await, (0, 0));
    engine.close().await.unwrap();
}
