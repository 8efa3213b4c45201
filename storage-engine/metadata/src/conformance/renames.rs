//! Renames: the new key and the old one change together, or neither does.

use granary_types::{UnixMillis, WriteId};

use super::sample::{
    bucket, bucket_id, done, etag, id, key, live, name, one, open_written, put_blob, put_empty, put_packed,
    references, version_id, w,
};
use crate::model::{
    BucketChange, ExpireObject, Outcome, PutObject, RemoveObject, RenameObject, TagMatch, VersionKind, Write,
    WriteConditions,
};
use crate::store::MetadataStore;

/// Renames `from`, which write `tag` made, to what `put` says.
fn rename(from: &str, tag: u64, put: PutObject) -> RenameObject {
    let remove = RemoveObject {
        bucket: bucket_id(1),
        key: key(from),
        conditions: WriteConditions::default(),
        version: version_id(900),
        write: WriteId::from_bytes(id(901)),
        modified: UnixMillis(9_000),
    };
    RenameObject { put, source: ExpireObject { expected: WriteId::from_bytes(id(tag)), remove } }
}

fn write(rename: RenameObject) -> Write {
    Write::Rename(Box::new(rename))
}

/// The new version of a large object: it refers to the blob of `of`, and no blob is new.
fn referring(to: &str, tag: u64, of: u64) -> PutObject {
    let mut put = put_blob(1, to, of, 1, 100);
    put.blobs.clear();
    put.object.write = WriteId::from_bytes(id(tag));
    put
}

async fn tag_of(store: &dyn MetadataStore, k: &str) -> Option<granary_types::Etag> {
    store.object(bucket_id(1), &key(k), None).await.unwrap().map(|row| row.object.etag)
}

/// A large object's blob is never without a reference, so that it stays; a small one's old place is garbage.
pub async fn the_old_key_goes_with_the_new_one(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    done(store, w(put_blob(1, "a", 11, 1, 100))).await;
    done(store, w(put_packed(1, "b", 12, 1, 7))).await;
    assert_eq!(live(store, 1).await, 107);
    let replaced = done(store, write(rename("a", 11, referring("b", 13, 11)))).await;
    assert_eq!(replaced, (Some(etag(12)), 2));
    assert_eq!((tag_of(store, "a").await, tag_of(store, "b").await), (None, Some(etag(11))));
    assert_eq!(live(store, 1).await, 100);
    assert_eq!(references(store, 11).await, Some(1));
    done(store, w(put_packed(1, "c", 14, 1, 9))).await;
    done(store, write(rename("c", 14, put_packed(1, "d", 15, 1, 9)))).await;
    assert_eq!((tag_of(store, "c").await, tag_of(store, "d").await), (None, Some(etag(15))));
    assert_eq!(live(store, 1).await, 109);
    assert_eq!(store.recount().await.unwrap(), []);
}

/// What refuses one half refuses both.
pub async fn refused_renames_change_nothing(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    done(store, w(put_blob(1, "a", 11, 1, 100))).await;
    done(store, w(put_empty(1, "b", 12))).await;
    let to_b = || rename("a", 11, referring("b", 13, 11));
    assert_eq!(one(store, write(rename("a", 99, referring("b", 13, 11)))).await, Outcome::Moved);
    assert_eq!(one(store, write(rename("no", 11, referring("b", 13, 11)))).await, Outcome::Moved);
    let mut taken = to_b();
    taken.put.conditions.if_none_match = Some(TagMatch::Any);
    assert_eq!(one(store, write(taken)).await, Outcome::PreconditionFailed);
    let mut other = to_b();
    other.source.remove.conditions.if_match = Some(TagMatch::OneOf(vec![etag(12)]));
    assert_eq!(one(store, write(other)).await, Outcome::PreconditionFailed);
    let mut versioned = to_b();
    versioned.put.bucket = bucket_id(2);
    versioned.source.remove.bucket = bucket_id(2);
    assert_eq!(one(store, write(versioned)).await, Outcome::NoSuchBucket);
    assert_eq!((tag_of(store, "a").await, tag_of(store, "b").await), (Some(etag(11)), Some(etag(12))));
    assert_eq!(live(store, 1).await, 100);
    assert_eq!(store.recount().await.unwrap(), []);
}

/// With versions, the old key gets a delete marker and both versions refer to the blob.
pub async fn renames_leave_versions(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    store.change_bucket(&name("bucket-1"), BucketChange::EnableVersioning).await.unwrap();
    let mut first = put_blob(1, "a", 11, 1, 100);
    first.object.version = version_id(1);
    done(store, w(first)).await;
    assert_eq!(
        one(store, write(rename("a", 11, referring("b", 13, 11)))).await,
        Outcome::VersioningChanged,
        "a null version is none of this bucket"
    );
    let mut renamed = referring("b", 13, 11);
    renamed.object.version = version_id(2);
    assert_eq!(done(store, write(rename("a", 11, renamed))).await, (None, 1));
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.object.kind, row.object.version), (VersionKind::DeleteMarker, version_id(900)));
    assert_eq!(references(store, 11).await, Some(2));
    assert_eq!(live(store, 1).await, 100);
}
