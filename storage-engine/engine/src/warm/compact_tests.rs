#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use granary_metadata::{BlobApart, NewBlob, Transition, TransitionApart, VolumeState};
use granary_types::{BlobId, VolumeId};

use super::*;
use crate::Engine;
use crate::api::ByteRange;
use crate::maintain::compact_volume;
use crate::rename::whole;
use crate::sample_store::{LARGE_BYTES, TIERED, make_warm, open, place};

/// Where the copy lies.
async fn copy_of(engine: &Engine, row: &ObjectRow) -> Vec<VolumeId> {
    let (bucket, key) = place();
    let id = engine.bucket(&bucket).await.unwrap().id;
    let found = engine.inner.store.object_warmth(id, &key, row.object.write).await.unwrap().unwrap();
    let place = found.place.unwrap();
    place.parts().iter().flatten().map(|extent| extent.volume).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_compacted_whose_version_refers_to_another_blob_since() {
    let dir = tempfile::tempdir().unwrap();
    let (bucket, key) = place();
    let engine = make_warm(dir.path()).await;
    let row = engine.open_object(&bucket, &key, None).await.unwrap().row.clone();
    let (object, from) = (&row.object, row.object.content.parts()[0].blob);
    let store = &engine.inner.store;
    let extents = store.blobs(&[from]).await.unwrap().remove(0).extents;
    let transition = Transition {
        bucket: engine.bucket(&bucket).await.unwrap().id,
        key: key.clone(),
        version: object.version,
        write: object.write,
        from: object.storage_class,
        to: object.storage_class,
        place: None,
        moves: Vec::new(),
    };
    // The same bytes under another id are enough here.
    let to = NewBlob { id: BlobId::random().unwrap(), extents };
    let apart = TransitionApart { transition, apart: vec![BlobApart { from, to }] };
    let writes = vec![Write::TransitionApart(Box::new(apart))];
    let outcome = store.commit(Commit { advances: Vec::new(), writes }).await.unwrap().remove(0);
    assert!(is_done(&outcome), "{outcome:?}");
    engine.close().await.unwrap();
    // Closed, the volumes take no more.
    let engine = open(dir.path(), &TIERED).await;
    let left = copy_of(&engine, &row).await;
    for id in &left {
        let volume = engine.inner.store.volume(*id).await.unwrap().unwrap();
        compact_volume(&engine.inner, &volume).await.unwrap();
        let now = engine.inner.store.volume(*id).await.unwrap().unwrap();
        assert_eq!((now.live_bytes, now.state), (0, VolumeState::Freed));
    }
    assert!(copy_of(&engine, &row).await.iter().all(|id| !left.contains(id)));
    let opened = engine.open_object(&bucket, &key, None).await.unwrap();
    let warm = opened.warm_read(ByteRange { start: 0, end: LARGE_BYTES as u64 }).await;
    assert!(warm.part(0).is_some());
    assert_eq!(whole(opened).await.unwrap(), vec![7; LARGE_BYTES]);
    engine.close().await.unwrap();
}
