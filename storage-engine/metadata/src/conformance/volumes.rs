//! Volumes: ownership, committed ends, freeing; drives.

use granary_types::{DriveClass, DriveId, Epoch, UnixMillis, VolumeId};

use super::sample::{
    advance, blob_id, bucket, bucket_id, commit, delete, done, id, key, live, location, new_blob, one,
    open_written, put_blob, put_packed, put_part, upload, version_id, volume, volume_id, w,
};
use crate::error::MetadataError;
use crate::model::{
    BlobMove, Commit, DriveRow, DriveState, ObjectMove, Outcome, SealedEnd, ShardMove, VolumeAdvance,
    VolumeState, Write,
};
use crate::store::MetadataStore;

fn fenced<T>(result: Result<T, MetadataError>) -> bool {
    matches!(result.err(), Some(MetadataError::Fenced { .. }))
}

fn gone<T>(result: Result<T, MetadataError>) -> bool {
    matches!(result.err(), Some(MetadataError::VolumeGone(_)))
}

async fn advanced(store: &dyn MetadataStore, advance: VolumeAdvance) -> Result<Vec<Outcome>, MetadataError> {
    store.commit(Commit { advances: vec![advance], writes: Vec::new() }).await
}

/// Committed ends grow and never shrink; stored bytes add up.
pub async fn ends_are_monotonic(store: &dyn MetadataStore) {
    store.open_volume(volume(1)).await.unwrap();
    for (end, stored) in [(100, 150), (50, 10), (200, 1)] {
        advanced(store, advance(1, end, stored)).await.unwrap();
    }
    let row = store.volume(volume_id(1)).await.unwrap().unwrap();
    assert_eq!((row.committed_end, row.stored_bytes, row.state), (200, 161, VolumeState::Open));
    assert_eq!((row.volume, row.epoch), (volume(1), Epoch::FIRST));
    assert!(store.owns(volume_id(1), Epoch::FIRST).await.unwrap());
    assert_eq!(store.volume(volume_id(2)).await.unwrap(), None);
}

/// A sealed volume takes no more; a commit that advances it changes nothing at all.
pub async fn sealing_fences_the_owner(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    store.open_volume(volume(1)).await.unwrap();
    store.open_volume(volume(2)).await.unwrap();
    advanced(store, advance(1, 100, 100)).await.unwrap();
    let sealed = store.seal_volume(volume_id(1)).await.unwrap();
    assert_eq!(sealed, SealedEnd { epoch: Epoch(2), committed_end: 100 });
    let writes = vec![w(put_packed(1, "a", 1, 2, 10))];
    let both = Commit { advances: vec![advance(2, 5000, 10), advance(1, 200, 100)], writes };
    assert!(fenced(store.commit(both).await));
    assert_eq!(store.object(bucket_id(1), &key("a"), None).await.unwrap(), None);
    assert_eq!(store.volume(volume_id(2)).await.unwrap().unwrap().committed_end, 0);
    // Not even at the epoch that sealing gave: nobody owns a sealed volume.
    let new = VolumeAdvance { epoch: Epoch(2), ..advance(1, 200, 100) };
    assert!(fenced(advanced(store, new).await));
    assert!(fenced(advanced(store, advance(9, 1, 1)).await));
    assert!(!store.owns(volume_id(1), Epoch(2)).await.unwrap());
    let again = store.seal_volume(volume_id(1)).await.unwrap();
    assert_eq!(again, SealedEnd { epoch: Epoch(3), committed_end: 100 });
    assert!(gone(store.seal_volume(volume_id(9)).await));
}

/// A volume is freed only when sealed and empty, and forgotten only when freed.
pub async fn only_empty_sealed_volumes_are_freed(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    let free = async || store.free_volume(volume_id(1), UnixMillis(77)).await.unwrap();
    // An object without bytes still lives there.
    done(store, w(put_packed(1, "a", 1, 1, 0))).await;
    done(store, w(put_blob(1, "b", 2, 1, 0))).await;
    assert!(!free().await && !store.forget_volume(volume_id(1)).await.unwrap());
    store.seal_volume(volume_id(1)).await.unwrap();
    assert!(!free().await);
    done(store, Write::Delete(delete(1, "a"))).await;
    assert!(!free().await);
    done(store, Write::Delete(delete(1, "b"))).await;
    assert!(free().await);
    let row = store.volume(volume_id(1)).await.unwrap().unwrap();
    assert_eq!((row.state, row.freed), (VolumeState::Freed, Some(UnixMillis(77))));
    assert!(!free().await && gone(store.seal_volume(volume_id(1)).await));
    assert!(store.forget_volume(volume_id(1)).await.unwrap());
    assert_eq!(store.volume(volume_id(1)).await.unwrap(), None);
    assert!(!store.forget_volume(volume_id(1)).await.unwrap() && !free().await);
}

/// New content must not lie in a volume that is freed or unknown; such a commit changes nothing.
pub async fn content_needs_its_volumes(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=2 {
        store.open_volume(volume(n)).await.unwrap();
    }
    advanced(store, advance(1, 100_000, 1)).await.unwrap();
    store.seal_volume(volume_id(1)).await.unwrap();
    // A sealed volume is fine: large objects are committed when their last part is.
    done(store, w(put_packed(1, "s", 1, 1, 5))).await;
    done(store, Write::Delete(delete(1, "s"))).await;
    assert!(store.free_volume(volume_id(1), UnixMillis(1)).await.unwrap());
    for put in [put_packed(1, "a", 1, 1, 5), put_blob(1, "a", 2, 1, 5), put_packed(1, "a", 3, 99, 5)] {
        let writes = vec![w(put_packed(1, "first", 4, 2, 5)), w(put)];
        assert!(gone(store.commit(Commit { advances: vec![advance(2, 100_000, 9)], writes }).await));
    }
    assert_eq!(store.object(bucket_id(1), &key("first"), None).await.unwrap(), None);
    let row = store.volume(volume_id(2)).await.unwrap().unwrap();
    assert_eq!((row.committed_end, row.live_bytes), (0, 0));
}

fn beyond<T>(result: Result<T, MetadataError>) -> bool {
    matches!(result.err(), Some(MetadataError::BeyondEnd { .. }))
}

/// Content must end where its volume is committed, by this very commit at the latest; else nothing is applied.
pub async fn content_lies_below_the_committed_end(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    store.open_volume(volume(1)).await.unwrap();
    open_written(store, 2).await;
    done(store, Write::CreateUpload(Box::new(upload(1, "u", 9, 1)))).await;
    done(store, w(put_packed(1, "moved", 8, 2, 100))).await;
    done(store, w(put_blob(1, "blob", 7, 2, 100))).await;
    let packed = location(1, 4096, 100);
    let moved = ObjectMove {
        bucket: bucket_id(1),
        key: key("moved"),
        version: version_id(0),
        from: location(2, 8 * 4096, 100),
        to: packed.clone(),
    };
    let (from, to) = (new_blob(7, 2, 100).extents, new_blob(7, 1, 100).extents);
    let blob_move = BlobMove { blob: blob_id(7), from, to };
    // Each with the least end it can have: a blob's bytes are shared by two data columns.
    let cases = [
        (w(put_packed(1, "a", 2, 1, 100)), location(1, 2 * 4096, 100).offset + 100),
        (w(put_blob(1, "b", 3, 1, 100)), 3 * 8192 + 50),
        (Write::PutPart(Box::new(put_part(1, "u", 9, 1, (4, 1, 99)))), 4 * 8192 + 50),
        (Write::MoveBlob(Box::new(blob_move)), 7 * 8192 + 50),
    ];
    let moving = (Write::MoveObject(Box::new(moved)), packed.offset + 100);
    for (write, end) in std::iter::once(moving).chain(cases) {
        let before = store.volume(volume_id(1)).await.unwrap().unwrap();
        for advances in [vec![], vec![advance(1, end - 1, 5)], vec![advance(2, end, 5)]] {
            assert!(
                beyond(store.commit(Commit { advances, writes: vec![write.clone()] }).await),
                "{write:?}"
            );
        }
        assert_eq!(store.volume(volume_id(1)).await.unwrap().unwrap(), before);
        let accepted = Commit { advances: vec![advance(1, end, 5)], writes: vec![write] };
        assert!(matches!(store.commit(accepted).await.unwrap().as_slice(), [Outcome::Done { .. }]));
    }
    assert_eq!(store.recount().await.unwrap(), []);
}

/// What lies below the end stays acceptable when the volume is sealed; what lies beyond never is again.
pub async fn sealing_fixes_what_may_be_referred_to(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    store.open_volume(volume(1)).await.unwrap();
    advanced(store, advance(1, 10_000, 5)).await.unwrap();
    store.seal_volume(volume_id(1)).await.unwrap();
    done(store, w(put_packed(1, "below", 1, 1, 100))).await;
    let writes = vec![w(put_packed(1, "beyond", 3, 1, 100))];
    assert!(beyond(store.commit(Commit { advances: Vec::new(), writes: writes.clone() }).await));
    let advances = vec![advance(1, 20_000, 5)];
    assert!(fenced(store.commit(Commit { advances, writes }).await));
    assert_eq!(store.object(bucket_id(1), &key("beyond"), None).await.unwrap(), None);
}

/// Compaction moves a packed object only from where it says the object is.
pub async fn objects_are_moved_by_comparison(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=2 {
        open_written(store, n).await;
    }
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    let from = location(1, 4096, 100);
    let to = location(2, 0, 100);
    let moved = |k: &str, version: u64| {
        let (from, to) = (from.clone(), to.clone());
        let moved = ObjectMove { bucket: bucket_id(1), key: key(k), version: version_id(version), from, to };
        Write::MoveObject(Box::new(moved))
    };
    let before = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    let outcomes = commit(store, vec![moved("b", 0), moved("a", 7), moved("a", 0), moved("a", 0)]).await;
    let done_move = Outcome::Done { replaced: None, order: 0 };
    assert_eq!(outcomes, [Outcome::Moved, Outcome::Moved, done_move, Outcome::Moved]);
    let after = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((after.order, &after.object.write), (before.order, &before.object.write));
    assert_eq!(after.object.content, crate::model::Content::Packed(to.clone()));
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 100));
    done(store, w(put_packed(1, "a", 2, 1, 50))).await;
    assert_eq!(one(store, moved("a", 0)).await, Outcome::Moved);
    assert_eq!((live(store, 1).await, live(store, 2).await), (50, 0));
}

/// Heals move columns between drives by comparison.
pub async fn shards_move_between_drives(store: &dyn MetadataStore) {
    store.open_volume(volume(1)).await.unwrap();
    let drive = |n| DriveId::from_bytes(id(n));
    let shard =
        |column, from, to| ShardMove { volume: volume_id(1), column, from: drive(from), to: drive(to) };
    assert!(!store.move_shard(shard(0, 2, 9)).await.unwrap());
    assert!(!store.move_shard(shard(7, 2, 9)).await.unwrap());
    assert!(store.move_shard(shard(1, 2, 9)).await.unwrap());
    assert!(!store.move_shard(shard(1, 2, 9)).await.unwrap());
    let row = store.volume(volume_id(1)).await.unwrap().unwrap();
    assert_eq!(row.volume.drives, [drive(1), drive(9), drive(3)]);
}

/// A drive that was retired never comes back, and nothing is placed on it any more.
pub async fn a_retired_drive_stays_so_and_takes_nothing(store: &dyn MetadataStore) {
    let drive = |n| DriveId::from_bytes(id(n));
    let row =
        |n, state| DriveRow { id: drive(n), slot: 0, path: String::new(), state, class: DriveClass::Ssd };
    store.open_volume(volume(1)).await.unwrap();
    for n in [2, 9] {
        store.put_drive(row(n, DriveState::Active)).await.unwrap();
        store.put_drive(row(n, DriveState::Retired)).await.unwrap();
        store.put_drive(row(n, DriveState::Retired)).await.unwrap();
        let back = store.put_drive(row(n, DriveState::Active)).await.unwrap_err();
        assert!(matches!(back, MetadataError::DriveRetired(retired) if retired == drive(n)), "{back:?}");
    }
    let drives = store.drives().await.unwrap();
    assert!(drives.iter().all(|row| row.state == DriveState::Retired), "{drives:?}");
    let shard = |from, to| ShardMove { volume: volume_id(1), column: 1, from: drive(from), to: drive(to) };
    assert!(!store.move_shard(shard(2, 9)).await.unwrap(), "a shard was moved to a retired drive");
    assert!(store.move_shard(shard(2, 8)).await.unwrap(), "off one it goes");
    let opened = store.open_volume(volume(2)).await.unwrap_err();
    assert!(matches!(opened, MetadataError::DriveRetired(_)), "{opened:?}");
    assert_eq!(store.volume(volume_id(2)).await.unwrap(), None);
}

/// Volumes are listed by id in pages.
pub async fn listed_in_pages(store: &dyn MetadataStore) {
    for n in [3, 1, 2] {
        store.open_volume(volume(n)).await.unwrap();
    }
    let ids = async |after: Option<VolumeId>, limit| {
        let rows = store.volumes(after, limit).await.unwrap();
        rows.iter().map(|row| row.volume.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 10).await, [volume_id(1), volume_id(2), volume_id(3)]);
    assert_eq!(ids(None, 2).await, [volume_id(1), volume_id(2)]);
    assert_eq!(ids(Some(volume_id(2)), 2).await, [volume_id(3)]);
}

/// Drives are listed by slot, each with its class; a row is put again to change it.
pub async fn drives_by_slot(store: &dyn MetadataStore) {
    let drive = |n: u64, slot| DriveRow {
        id: DriveId::from_bytes(id(n)),
        slot,
        path: format!("/mnt/{n}"),
        state: DriveState::Active,
        class: if n == 2 { DriveClass::Hdd } else { DriveClass::Ssd },
    };
    for row in [drive(1, 2), drive(2, 0), drive(3, 1)] {
        store.put_drive(row).await.unwrap();
    }
    let retired = DriveRow { state: DriveState::Retired, ..drive(3, 1) };
    store.put_drive(retired.clone()).await.unwrap();
    assert_eq!(store.drives().await.unwrap(), [drive(2, 0), retired.clone(), drive(1, 2)]);
    let now_hdd = DriveRow { class: DriveClass::Hdd, ..drive(1, 2) };
    store.put_drive(now_hdd.clone()).await.unwrap();
    assert_eq!(store.drives().await.unwrap(), [drive(2, 0), retired, now_hdd]);
}
