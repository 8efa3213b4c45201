//! Other storage classes for versions, and the reading of archived ones.

use granary_types::{StorageClass, UnixMillis, WriteId};

use super::sample::{
    bucket, bucket_id, commit, delete, done, id, key, live, location, new_blob, object, one, open_written,
    put, put_blob, put_empty, put_packed, version_id, w,
};
use crate::model::{BlobMove, Content, Outcome, PackedLocation, RestoreChange, Restored, Transition, Write};
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
    let moved = BlobMove {
        blob: super::sample::blob_id(7),
        from: new_blob(7, 1, 100).extents,
        to: new_blob(7, 2, 100).extents,
    };
    let wanted =
        Transition { moves: vec![moved.clone()], ..transition("a", 0, 7, StorageClass::DeepArchive) };
    let elsewhere = BlobMove { from: new_blob(8, 1, 100).extents, ..moved };
    let late = Transition { moves: vec![elsewhere], ..wanted.clone() };
    assert_eq!(one(store, write(&late)).await, Outcome::Moved);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object.storage_class, StorageClass::StandardIa);
    assert_eq!(one(store, write(&wanted)).await, DONE);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.object.storage_class, row.order), (StorageClass::DeepArchive, 1));
    assert_eq!((live(store, 1).await, live(store, 2).await), (0, 100));
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
