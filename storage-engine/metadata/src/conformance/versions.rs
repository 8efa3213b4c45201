//! Several versions of a key.

use super::sample::{
    bucket, bucket_id, delete, done, etag, key, live, open_written, put_empty, put_packed, version_id, w,
};
use crate::model::{ListQuery, ObjectRow, TagMatch, VersionKind, Write};
use crate::store::MetadataStore;

async fn get(store: &dyn MetadataStore, version: Option<u64>) -> Option<ObjectRow> {
    store.object(bucket_id(1), &key("a"), version.map(version_id)).await.unwrap()
}

async fn put(store: &dyn MetadataStore, version: u64, tag: u64) -> (Option<granary_types::Etag>, u64) {
    let mut put = put_packed(1, "a", tag, 1, 10);
    put.object.version = version_id(version);
    done(store, w(put)).await
}

async fn remove(store: &dyn MetadataStore, version: u64) -> Option<granary_types::Etag> {
    let mut delete = delete(1, "a");
    delete.version = version_id(version);
    done(store, Write::Delete(delete)).await.0
}

/// The newest version is current; each is found by its id; a version put again moves to the front.
pub async fn the_newest_is_current(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    assert_eq!(put(store, 1, 11).await, (None, 1));
    assert_eq!(put(store, 2, 12).await, (None, 2));
    assert_eq!(put(store, 0, 13).await, (None, 3));
    assert_eq!(live(store, 1).await, 30);
    let order = async |version| get(store, version).await.map(|row| (row.object.etag, row.order));
    assert_eq!(order(None).await, Some((etag(13), 3)));
    assert_eq!(order(Some(1)).await, Some((etag(11), 1)));
    assert_eq!(order(Some(2)).await, Some((etag(12), 2)));
    assert_eq!(order(Some(9)).await, None);
    assert_eq!(put(store, 1, 14).await, (Some(etag(11)), 4));
    assert_eq!(order(None).await, Some((etag(14), 4)));
    assert_eq!(order(Some(0)).await, Some((etag(13), 3)));
    assert_eq!(live(store, 1).await, 30);
}

/// Deleting the current version uncovers the newest older one; orders are not given twice while the key exists.
pub async fn deleting_uncovers_the_older(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    for version in 1..=3 {
        put(store, version, 10 + version).await;
    }
    assert_eq!(remove(store, 2).await, Some(etag(12)));
    assert_eq!(remove(store, 2).await, None);
    assert_eq!(remove(store, 3).await, Some(etag(13)));
    assert_eq!(get(store, None).await.map(|row| row.order), Some(1));
    assert_eq!(put(store, 4, 14).await.1, 4);
    assert_eq!(remove(store, 4).await, Some(etag(14)));
    assert_eq!(remove(store, 1).await, Some(etag(11)));
    assert_eq!(get(store, None).await, None);
    assert_eq!(live(store, 1).await, 0);
    assert_eq!(put(store, 5, 15).await.1, 1);
}

/// A delete marker is read as such, is not listed, and is no object to a condition.
pub async fn delete_markers_hide_the_key(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    put(store, 1, 11).await;
    let mut marker = put_empty(1, "a", 12);
    marker.object.kind = VersionKind::DeleteMarker;
    marker.object.version = version_id(2);
    done(store, w(marker)).await;
    assert_eq!(get(store, None).await.map(|row| row.object.kind), Some(VersionKind::DeleteMarker));
    let query =
        ListQuery { bucket: bucket_id(1), prefix: String::new(), delimiter: None, after: None, limit: 10 };
    assert_eq!(store.list_objects(query.clone()).await.unwrap().entries, []);
    let mut only_new = put_packed(1, "a", 13, 1, 10);
    only_new.object.version = version_id(3);
    only_new.conditions.if_none_match = Some(TagMatch::Any);
    done(store, w(only_new)).await;
    assert_eq!(store.list_objects(query).await.unwrap().entries.len(), 1);
}
