//! Buckets.

use super::sample::{bucket, bucket_id, delete, done, name, put_empty, upload, upload_id, version_id, w};
use crate::error::MetadataError;
use crate::model::{BucketQuery, VersionKind, Write};
use crate::store::MetadataStore;

/// A bucket is there from its creation to its removal; names are unique, and nothing is made by a refused call.
pub async fn create_find_delete(store: &dyn MetadataStore) {
    assert_eq!(store.bucket(&name("bucket-1")).await.unwrap(), None);
    store.create_bucket(bucket(1)).await.unwrap();
    assert_eq!(store.bucket(&name("bucket-1")).await.unwrap(), Some(bucket(1)));
    let mut other = bucket(2);
    other.name = name("bucket-1");
    assert!(matches!(store.create_bucket(other).await, Err(MetadataError::BucketExists(_))));
    assert_eq!(store.bucket(&name("bucket-1")).await.unwrap(), Some(bucket(1)));
    store.delete_bucket(&name("bucket-1")).await.unwrap();
    assert_eq!(store.bucket(&name("bucket-1")).await.unwrap(), None);
    assert!(matches!(store.delete_bucket(&name("bucket-1")).await, Err(MetadataError::NoSuchBucket(_))));
    store.create_bucket(bucket(3)).await.unwrap();
}

/// Only an empty bucket can be removed: no object, no older version, no delete marker, no upload.
pub async fn only_empty_buckets_are_deleted(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let full = |result| matches!(result, Err(MetadataError::BucketNotEmpty(_)));
    done(store, w(put_empty(1, "a", 1))).await;
    assert!(full(store.delete_bucket(&bucket(1).name).await));
    let mut marker = put_empty(1, "a", 2);
    marker.object.kind = VersionKind::DeleteMarker;
    marker.object.version = version_id(5);
    done(store, w(marker)).await;
    done(store, Write::Delete(delete(1, "a"))).await;
    assert!(full(store.delete_bucket(&bucket(1).name).await));
    let mut last = delete(1, "a");
    last.version = version_id(5);
    done(store, Write::Delete(last)).await;
    done(store, Write::CreateUpload(Box::new(upload(1, "a", 1, 1)))).await;
    assert!(full(store.delete_bucket(&bucket(1).name).await));
    let abort =
        Write::AbortUpload { bucket: bucket_id(1), key: super::sample::key("a"), upload: upload_id(1) };
    done(store, abort).await;
    store.delete_bucket(&bucket(1).name).await.unwrap();
}

/// Buckets come in the order of their names, in pages.
pub async fn listed_in_pages(store: &dyn MetadataStore) {
    for n in [30, 1, 2, 12, 11, 3] {
        store.create_bucket(bucket(n)).await.unwrap();
    }
    let names = async |prefix: &str, after: Option<&str>, limit| {
        let query = BucketQuery { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit };
        let page = store.list_buckets(query).await.unwrap();
        let names: Vec<_> = page.buckets.iter().map(|b| b.name.as_str().to_owned()).collect();
        (names.join(" "), page.more)
    };
    let all = "bucket-1 bucket-11 bucket-12 bucket-2 bucket-3 bucket-30";
    assert_eq!(names("", None, 100).await, (all.to_owned(), false));
    assert_eq!(names("", None, 6).await, (all.to_owned(), false));
    assert_eq!(names("", None, 2).await, ("bucket-1 bucket-11".to_owned(), true));
    assert_eq!(names("", Some("bucket-11"), 2).await, ("bucket-12 bucket-2".to_owned(), true));
    assert_eq!(names("bucket-1", None, 100).await, ("bucket-1 bucket-11 bucket-12".to_owned(), false));
    assert_eq!(names("bucket-3", Some("bucket-12"), 100).await, ("bucket-3 bucket-30".to_owned(), false));
    assert_eq!(names("x", None, 100).await, (String::new(), false));
}
