//! Other storage classes for versions, and the reading of archived ones.

use granary_types::{BlobId, StorageClass, UnixMillis, WriteId};

use super::sample::{
    self, blob_id, bucket, bucket_id, commit, delete, done, id, key, live, location, new_blob, number,
    object, one, open_written, put, put_blob, put_empty, put_packed, version_id, w,
};
use crate::error::MetadataError;
use crate::model::{
    BlobApart, BlobMove, Commit, Content, DeleteObject, Outcome, PackedLocation, PartRef, PutObject,
    RestoreChange, Restored, Transition, TransitionApart, Write,
};
use crate::store::MetadataStore;

const DONE: Outcome = Outcome::Done { replaced: None, order: 0 };

/// The transition to `to` of what write `tag` put as key `k`.
fn transition(k: &str, version: u64, tag: u64, to: StorageClass) -> Transition {
    Transition {
        bucket: bucket_id(1),
        key: key(k),
        version: version_id(version),
        write: WriteId::from_bytes(id(tag)),
        from: StorageClass::StandardIa,
        to,
        place: None,
        moves: Vec::new(),
    }
}

fn write(transition: &Transition) -> Write {
    Write::Transition(Box::new(transition.clone()))
}

async fn begin(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=2 {
        open_written(store, n).await;
    }
}

/// A packed object changes its class and its place at once, and nothing else; whatever is another version stays.
pub async fn packed_objects_change_class_and_place(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    let before = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    let to: PackedLocation = location(2, 0, 100);
    let wanted = Transition { place: Some(to.clone()), ..transition("a", 0, 1, StorageClass::Glacier) };
    let others = [
        Transition { key: key("b"), ..wanted.clone() },
        Transition { version: version_id(7), ..wanted.clone() },
        Transition { write: WriteId::from_bytes(id(9)), ..wanted.clone() },
        Transition { from: StorageClass::Standard, ..wanted.clone() },
    ];
    for other in others {
        assert_eq!(one(store, write(&other)).await, Outcome::Moved, "{other:?}");
    }
    assert_eq!((live(store, 1).await, live(store, 2).await), (100, 0));
    assert_eq!(commit(store, vec![write(&wanted), write(&wanted)]).await, [DONE, Outcome::Moved]);
    let after = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    let mut expected = before;
    expected.object.storage_class = StorageClass::Glacier;
    expected.object.content = Content::Packed(to);
    assert_eq!(after, expected);
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 100));
    done(store, w(put_packed(1, "a", 2, 1, 50))).await;
    assert_eq!(one(store, write(&wanted)).await, Outcome::Moved, "it was overwritten");
    assert_eq!((live(store, 1).await, live(store, 2).await), (50, 0));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// A large object changes its class together with the places of its blobs, if all of them are where they were.
pub async fn large_objects_change_class_with_their_blobs(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_blob(1, "a", 7, 1, 100))).await;
    let moved =
        BlobMove { blob: blob_id(7), from: new_blob(7, 1, 100).extents, to: new_blob(7, 2, 100).extents };
    let wanted =
        Transition { moves: vec![moved.clone()], ..transition("a", 0, 7, StorageClass::DeepArchive) };
    let elsewhere = BlobMove { from: new_blob(8, 1, 100).extents, ..moved.clone() };
    let late = Transition { moves: vec![elsewhere], ..wanted.clone() };
    assert_eq!(one(store, write(&late)).await, Outcome::Moved);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object.storage_class, StorageClass::StandardIa);
    // What only has to be where it is stays there.
    let held = BlobMove { to: moved.from.clone(), ..moved.clone() };
    let holding = Transition { moves: vec![held], ..transition("a", 0, 7, StorageClass::StandardIa) };
    assert_eq!(one(store, write(&holding)).await, DONE);
    assert_eq!((live(store, 1).await, live(store, 2).await), (100, 0));
    assert_eq!(store.recount().await.unwrap(), []);
    assert_eq!(one(store, write(&wanted)).await, DONE);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.object.storage_class, row.order), (StorageClass::DeepArchive, 1));
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 100));
    let late = Transition { from: StorageClass::DeepArchive, ..holding };
    assert_eq!(one(store, write(&late)).await, Outcome::Moved, "it lies elsewhere");
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 0));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// Older versions and objects without bytes change their class where they are.
pub async fn older_versions_change_class(store: &dyn MetadataStore) {
    begin(store).await;
    for n in 1..=2 {
        let mut versioned = put(1, "a", object(n, Content::Empty, 0));
        versioned.object.version = version_id(n);
        done(store, w(versioned)).await;
    }
    assert_eq!(one(store, write(&transition("a", 1, 1, StorageClass::Glacier))).await, DONE);
    let class = async |version| {
        let row = store.object(bucket_id(1), &key("a"), Some(version_id(version))).await.unwrap().unwrap();
        (row.order, row.object.storage_class)
    };
    assert_eq!(class(1).await, (1, StorageClass::Glacier));
    assert_eq!(class(2).await, (2, StorageClass::StandardIa));
}

/// A version is restored for a while, and that ends with it and with its class.
pub async fn restores_live_with_their_version(store: &dyn MetadataStore) {
    begin(store).await;
    let restored = |at| Restored { requested: UnixMillis(at), expires: UnixMillis(at + 1) };
    let restore = |tag: u64, restored: Option<Restored>| {
        Write::Restore(Box::new(RestoreChange {
            bucket: bucket_id(1),
            key: key("a"),
            version: version_id(0),
            write: WriteId::from_bytes(id(tag)),
            restored,
        }))
    };
    let read = async |tag| {
        store.object_restore(bucket_id(1), &key("a"), WriteId::from_bytes(id(tag))).await.unwrap()
    };
    assert_eq!(one(store, restore(1, Some(restored(1)))).await, Outcome::NoSuchKey);
    done(store, w(put_empty(1, "a", 1))).await;
    done(store, write(&transition("a", 0, 1, StorageClass::Glacier))).await;
    assert_eq!(one(store, restore(2, Some(restored(1)))).await, Outcome::NoSuchKey);
    for at in [1, 5] {
        done(store, restore(1, Some(restored(at)))).await;
        assert_eq!(read(1).await, Some(restored(at)));
    }
    done(store, restore(1, None)).await;
    assert_eq!(read(1).await, None);
    done(store, restore(1, Some(restored(7)))).await;
    let deeper =
        Transition { from: StorageClass::Glacier, ..transition("a", 0, 1, StorageClass::DeepArchive) };
    done(store, write(&deeper)).await;
    assert_eq!(read(1).await, None);
    done(store, restore(1, Some(restored(8)))).await;
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(read(1).await, None);
}

/// A put of version `version` by write `tag`, which consists of these blobs of 100 bytes.
fn of_blobs(k: &str, version: u64, tag: u64, blobs: &[u64]) -> PutObject {
    let part = |(n, blob): (u32, &u64)| PartRef {
        number: number(n),
        blob: blob_id(*blob),
        length_bytes: 100,
        checksum: None,
    };
    let parts = (1..).zip(blobs).map(part).collect();
    let length_bytes = 100 * blobs.len() as u64;
    let mut put = put(1, k, object(tag, Content::Blobs { parts, multipart: true }, length_bytes));
    put.object.version = version_id(version);
    put
}

/// As [`of_blobs`], with the blobs in volume 1, which are new.
fn of_new_blobs(k: &str, version: u64, tag: u64, blobs: &[u64]) -> PutObject {
    let new = blobs.iter().map(|n| new_blob(*n, 1, 100)).collect();
    PutObject { blobs: new, ..of_blobs(k, version, tag, blobs) }
}

/// With copies in volume 2 instead of these blobs, each (blob, copy).
fn apart(transition: Transition, copies: &[(u64, u64)]) -> Write {
    let apart = copies.iter().map(|(from, to)| BlobApart { from: blob_id(*from), to: new_blob(*to, 2, 100) });
    Write::TransitionApart(Box::new(TransitionApart { transition, apart: apart.collect() }))
}

/// The class and the blobs of a version.
async fn seen(store: &dyn MetadataStore, k: &str, version: u64) -> (StorageClass, Vec<BlobId>) {
    let row = store.object(bucket_id(1), &key(k), Some(version_id(version))).await.unwrap().unwrap();
    (row.object.storage_class, row.object.content.parts().iter().map(|part| part.blob).collect())
}

/// How many refer to each of these blobs; those that are gone are left out.
async fn references(store: &dyn MetadataStore, blobs: &[u64]) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    for n in blobs {
        found.extend(sample::references(store, *n).await.map(|count| (*n, count)));
    }
    found
}

async fn lives(store: &dyn MetadataStore) -> (u64, u64) {
    assert_eq!(store.recount().await.unwrap(), []);
    (live(store, 1).await, live(store, 2).await)
}

/// An older version takes copies of what it shares with a newer one and with another key, and its own blob along; those that it
/// leaves stay where they are as long as somebody refers to them.
pub async fn shared_blobs_are_left_to_the_others(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(of_new_blobs("a", 1, 1, &[10, 11, 10, 12]))).await;
    done(store, w(of_blobs("a", 2, 2, &[10]))).await;
    done(store, w(of_blobs("b", 0, 3, &[11, 11]))).await;
    assert_eq!(references(store, &[10, 11, 12]).await, [(10, 3), (11, 3), (12, 1)]);
    assert_eq!(lives(store).await, (300, 0));
    let own =
        BlobMove { blob: blob_id(12), from: new_blob(12, 1, 100).extents, to: new_blob(12, 2, 100).extents };
    let wanted = Transition { moves: vec![own], ..transition("a", 1, 1, StorageClass::Glacier) };
    let wanted = apart(wanted, &[(10, 20), (11, 21)]);
    assert_eq!(commit(store, vec![wanted.clone(), wanted]).await, [DONE, Outcome::Moved]);
    let blobs = |blobs: &[u64]| blobs.iter().map(|n| blob_id(*n)).collect::<Vec<_>>();
    assert_eq!(seen(store, "a", 1).await, (StorageClass::Glacier, blobs(&[20, 21, 20, 12])));
    assert_eq!(seen(store, "a", 2).await, (StorageClass::StandardIa, blobs(&[10])));
    assert_eq!(seen(store, "b", 0).await, (StorageClass::StandardIa, blobs(&[11, 11])));
    let all = [10, 11, 12, 20, 21];
    assert_eq!(references(store, &all).await, [(10, 1), (11, 2), (12, 1), (20, 2), (21, 1)]);
    assert_eq!(lives(store).await, (200, 300));
    // Each goes with whom it belongs to.
    let gone =
        |k: &str, version| Write::Delete(DeleteObject { version: version_id(version), ..delete(1, k) });
    done(store, gone("b", 0)).await;
    assert_eq!(lives(store).await, (100, 300));
    done(store, gone("a", 1)).await;
    assert_eq!((references(store, &all).await, lives(store).await), (vec![(10, 1)], (100, 0)));
    // Shared with nobody any more, it goes when the version takes a copy all the same.
    done(store, apart(transition("a", 2, 2, StorageClass::Glacier), &[(10, 30)])).await;
    assert_eq!((references(store, &[10, 30]).await, lives(store).await), (vec![(30, 1)], (0, 100)));
}

/// A copy that one version took is taken by others too, as long as somebody refers to it.
pub async fn copies_are_shared_while_they_are_there(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(of_new_blobs("a", 0, 1, &[10]))).await;
    done(store, w(of_blobs("b", 0, 2, &[10, 10]))).await;
    done(store, w(of_blobs("c", 0, 3, &[10]))).await;
    let taking = |k: &str, tag| {
        let mut write = apart(transition(k, 0, tag, StorageClass::Glacier), &[(10, 20)]);
        if let Write::TransitionApart(write) = &mut write {
            write.apart.iter_mut().for_each(|apart| apart.to.extents.clear());
        }
        write
    };
    assert_eq!(one(store, taking("b", 2)).await, Outcome::Moved, "nobody made it");
    assert_eq!(seen(store, "b", 0).await, (StorageClass::StandardIa, vec![blob_id(10); 2]));
    done(store, apart(transition("a", 0, 1, StorageClass::Glacier), &[(10, 20)])).await;
    done(store, taking("b", 2)).await;
    assert_eq!(seen(store, "b", 0).await, (StorageClass::Glacier, vec![blob_id(20); 2]));
    assert_eq!(references(store, &[10, 20]).await, [(10, 1), (20, 3)]);
    assert_eq!(lives(store).await, (100, 100));
    let gone = |k| Write::Delete(delete(1, k));
    let outcomes = commit(store, vec![gone("a"), gone("b"), taking("c", 3)]).await;
    assert_eq!(outcomes.last(), Some(&Outcome::Moved), "it went with the last who referred to it");
    assert_eq!(seen(store, "c", 0).await, (StorageClass::StandardIa, vec![blob_id(10)]));
    assert_eq!((references(store, &[10, 20]).await, lives(store).await), (vec![(10, 1)], (100, 0)));
}

/// What is not the version that was looked at, or names other blobs by now, stays as it is, and no copy counts.
pub async fn blobs_are_left_only_by_who_names_them(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(of_new_blobs("a", 0, 1, &[10, 11]))).await;
    done(store, w(of_blobs("b", 0, 2, &[10]))).await;
    let right = transition("a", 0, 1, StorageClass::Glacier);
    let elsewhere =
        BlobMove { blob: blob_id(11), from: new_blob(12, 1, 100).extents, to: new_blob(11, 2, 100).extents };
    let late = [
        apart(Transition { write: WriteId::from_bytes(id(9)), ..right.clone() }, &[(10, 20)]),
        apart(Transition { from: StorageClass::Standard, ..right.clone() }, &[(10, 20)]),
        apart(Transition { version: version_id(5), ..right.clone() }, &[(10, 20)]),
        apart(Transition { key: key("c"), ..right.clone() }, &[(10, 20)]),
        apart(Transition { moves: vec![elsewhere], ..right.clone() }, &[(10, 20)]),
        apart(right.clone(), &[(10, 20), (12, 21)]),
    ];
    for write in late {
        assert_eq!(one(store, write.clone()).await, Outcome::Moved, "{write:?}");
    }
    assert_eq!(seen(store, "a", 0).await, (StorageClass::StandardIa, vec![blob_id(10), blob_id(11)]));
    assert_eq!(references(store, &[10, 11, 20, 21]).await, [(10, 2), (11, 1)]);
    assert_eq!(lives(store).await, (200, 0));
    // Nor does one in a volume that nobody opened.
    let mut nowhere = apart(right, &[(10, 20)]);
    if let Write::TransitionApart(write) = &mut nowhere {
        write.apart.iter_mut().for_each(|apart| apart.to = new_blob(20, 3, 100));
    }
    let refused = store.commit(Commit { advances: Vec::new(), writes: vec![nowhere] }).await;
    assert!(matches!(refused, Err(MetadataError::VolumeGone(_))), "{refused:?}");
}

/// What was copied so far counts before all is: the class stays, and an archived version stays restored until it has another.
pub async fn class_and_restore_stay_while_blobs_are_left_one_by_one(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(of_new_blobs("a", 0, 1, &[10, 11]))).await;
    done(store, w(of_blobs("b", 0, 2, &[10, 11]))).await;
    done(store, write(&transition("a", 0, 1, StorageClass::Glacier))).await;
    let restored = Restored { requested: UnixMillis(1), expires: UnixMillis(2) };
    let restore = RestoreChange {
        bucket: bucket_id(1),
        key: key("a"),
        version: version_id(0),
        write: WriteId::from_bytes(id(1)),
        restored: Some(restored),
    };
    done(store, Write::Restore(Box::new(restore))).await;
    let read =
        async || store.object_restore(bucket_id(1), &key("a"), WriteId::from_bytes(id(1))).await.unwrap();
    let (from, to) = (StorageClass::Glacier, StorageClass::DeepArchive);
    let step = |to, copies: &[(u64, u64)]| apart(Transition { from, ..transition("a", 0, 1, to) }, copies);
    assert_eq!(one(store, step(from, &[(10, 20)])).await, DONE);
    assert_eq!(seen(store, "a", 0).await, (from, vec![blob_id(20), blob_id(11)]));
    assert_eq!((read().await, lives(store).await), (Some(restored), (200, 100)));
    assert_eq!(one(store, step(to, &[(11, 21)])).await, DONE);
    assert_eq!(seen(store, "a", 0).await, (to, vec![blob_id(20), blob_id(21)]));
    assert_eq!((read().await, lives(store).await), (None, (200, 200)));
}
