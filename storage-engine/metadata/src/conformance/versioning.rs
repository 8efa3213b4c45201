//! What the versioning of a bucket does to writes, and listing all versions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use granary_types::{UnixMillis, WriteId};
use proptest::prelude::*;

use super::lists::{block_on, delimiter, rolled, runner, text};
use super::sample::{
    bucket, bucket_id, commit, complete, delete, done, etag, id, key, live, name, one, open_written,
    put_empty, put_packed, put_part, upload, version_id, w,
};
use crate::error::MetadataError;
use crate::model::{
    BucketChange, BucketLock, Outcome, RemoveObject, TagMatch, VersionEntry, VersionKind, VersionMarker,
    VersionQuery, Write, WriteConditions,
};
use crate::store::MetadataStore;

/// The removal of a key, whose marker would get version `version`.
#[must_use]
pub fn remove(b: u64, k: &str, version: u64) -> Write {
    Write::Remove(Box::new(RemoveObject {
        bucket: bucket_id(b),
        key: key(k),
        conditions: WriteConditions::default(),
        version: version_id(version),
        write: WriteId::from_bytes(id(version)),
        modified: UnixMillis(9_000),
    }))
}

async fn change(store: &dyn MetadataStore, change: BucketChange) {
    store.change_bucket(&name("bucket-1"), change).await.unwrap();
}

fn put(version: u64, tag: u64) -> Write {
    let mut put = put_packed(1, "a", tag, 1, 10);
    put.object.version = version_id(version);
    w(put)
}

/// A delete is for good before versioning, marks with a version while it is enabled, and with the null version while it
/// is suspended; only what is gone for good is freed.
pub async fn the_bucket_decides_what_a_delete_does(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    done(store, put(0, 11)).await;
    assert_eq!(done(store, remove(1, "a", 90)).await, (Some(etag(11)), 0));
    assert_eq!(live(store, 1).await, 0);
    done(store, put(0, 12)).await;
    change(store, BucketChange::EnableVersioning).await;
    let marked = |version, order| Outcome::Marked { version: version_id(version), order };
    assert_eq!(one(store, remove(1, "a", 91)).await, marked(91, 2));
    assert_eq!(one(store, remove(1, "a", 92)).await, marked(92, 3));
    assert_eq!(live(store, 1).await, 10);
    done(store, put(3, 13)).await;
    assert_eq!(live(store, 1).await, 20);
    change(store, BucketChange::SuspendVersioning).await;
    // The null version that was put before versioning makes way for the marker.
    assert_eq!(one(store, remove(1, "a", 93)).await, marked(0, 5));
    assert_eq!(live(store, 1).await, 10);
    let current = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((current.object.kind, current.object.version), (VersionKind::DeleteMarker, version_id(0)));
    assert_eq!(done(store, put(0, 14)).await, (Some(granary_types::Etag::new("")), 6));
    assert_eq!(live(store, 1).await, 20);
    // A key that never was gets a marker too.
    assert_eq!(one(store, remove(1, "never", 94)).await, marked(0, 1));
    let deleting = store.delete_bucket(&name("bucket-1")).await;
    assert!(matches!(deleting, Err(MetadataError::BucketNotEmpty(_))), "{deleting:?}");
    assert_eq!(store.recount().await.unwrap(), []);
}

/// A marker is no object to a condition, and a removal's conditions are decided like any write's.
pub async fn conditions_see_no_delete_marker(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    change(store, BucketChange::EnableVersioning).await;
    let conditional = |if_match: Option<TagMatch>| {
        let Write::Remove(mut write) = remove(1, "a", 7) else { unreachable!("a removal") };
        write.conditions.if_match = if_match;
        Write::Remove(write)
    };
    assert_eq!(one(store, conditional(Some(TagMatch::Any))).await, Outcome::NoSuchKey);
    let mut first = put_empty(1, "a", 1);
    first.object.version = version_id(1);
    first.conditions.if_none_match = Some(TagMatch::Any);
    done(store, w(first.clone())).await;
    let other = TagMatch::OneOf(vec![etag(9)]);
    assert_eq!(one(store, conditional(Some(other))).await, Outcome::PreconditionFailed);
    let same = TagMatch::OneOf(vec![etag(1)]);
    assert!(matches!(one(store, conditional(Some(same))).await, Outcome::Marked { .. }));
    assert_eq!(one(store, conditional(Some(TagMatch::Any))).await, Outcome::NoSuchKey);
    first.object.version = version_id(2);
    assert_eq!(done(store, w(first)).await, (None, 3));
}

/// A writer that does not know how the bucket is now changes nothing.
pub async fn writers_that_do_not_know_the_bucket_are_refused(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    done(store, put(0, 11)).await;
    done(store, Write::CreateUpload(Box::new(upload(1, "a", 1, 5)))).await;
    done(store, Write::PutPart(Box::new(put_part(1, "a", 1, 1, (50, 1, 7))))).await;
    change(store, BucketChange::EnableVersioning).await;
    assert_eq!(one(store, put(0, 12)).await, Outcome::VersioningChanged);
    let mut whole = complete(1, "a", 1, 60, &[(1, 50, 7)]);
    let completion = Write::CompleteUpload(Box::new(whole.clone()));
    assert_eq!(one(store, completion).await, Outcome::VersioningChanged);
    assert_eq!(live(store, 1).await, 17);
    whole.object.version = version_id(5);
    assert_eq!(done(store, Write::CompleteUpload(Box::new(whole))).await, (None, 2));
    change(store, BucketChange::SuspendVersioning).await;
    assert_eq!(one(store, put(6, 13)).await, Outcome::VersioningChanged);
    assert_eq!(done(store, put(0, 14)).await, (Some(etag(11)), 3));
    assert_eq!(live(store, 1).await, 17);
    let gone = store.change_bucket(&name("no-such"), BucketChange::EnableVersioning).await;
    assert!(matches!(gone, Err(MetadataError::NoSuchBucket(_))), "{gone:?}");
    let locked = store.change_bucket(&name("bucket-1"), BucketChange::SetLock(BucketLock::default())).await;
    assert!(matches!(locked, Err(MetadataError::BucketSettings(_))), "{locked:?}");
}

/// A deleted version that is no marker, and a marker, are gone for good; the key comes back when its marker goes.
pub async fn deleting_a_marker_brings_the_key_back(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    change(store, BucketChange::EnableVersioning).await;
    done(store, put(1, 11)).await;
    one(store, remove(1, "a", 90)).await;
    let mut marker = delete(1, "a");
    marker.version = version_id(90);
    let Outcome::Done { replaced: Some(gone), .. } = one(store, Write::Delete(marker)).await else {
        panic!("the marker was there")
    };
    assert_eq!(gone.object.kind, VersionKind::DeleteMarker);
    let current = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(current.object.etag, etag(11));
}

/// What a listing must give: key and order, or a common prefix.
type Line = (String, Option<(u64, bool)>);

fn naive(keys: &BTreeMap<String, u64>, prefix: &str, delimiter: Option<&str>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (key, count) in keys.iter().filter(|(key, _)| key.starts_with(prefix)) {
        match rolled(key, prefix, delimiter) {
            Some(common) if lines.last().is_some_and(|line| line.0 == common && line.1.is_none()) => {}
            Some(common) => lines.push((common.to_owned(), None)),
            None => lines.extend((1..=*count).rev().map(|n| (key.clone(), Some((n, n == *count))))),
        }
    }
    lines
}

async fn all_pages(store: &dyn MetadataStore, mut query: VersionQuery, by_order: bool) -> Vec<Line> {
    let mut all = Vec::new();
    loop {
        let page = store.list_versions(query.clone()).await.unwrap();
        assert!(page.entries.len() <= query.limit as usize);
        for entry in page.entries {
            match entry {
                VersionEntry::Version(found) => {
                    query.after = Some(found.key().as_str().to_owned());
                    query.after_version = Some(match by_order {
                        true => VersionMarker::Order(found.order),
                        false => VersionMarker::Id(found.version),
                    });
                    all.push((found.key().as_str().to_owned(), Some((found.order, found.is_latest))));
                }
                VersionEntry::CommonPrefix(prefix) => {
                    query.after = Some(prefix.clone());
                    query.after_version = None;
                    all.push((prefix, None));
                }
            }
        }
        if !page.more {
            return all;
        }
    }
}

/// Versions come by key, the newest first, in pages that may end within a key, with whatever delimiter.
pub async fn version_pages_equal_the_reference(store: &dyn MetadataStore) {
    let buckets = AtomicU64::new(1);
    let keys = prop::collection::btree_map(text(1..4), 1_u64..7, 0..14);
    let prefixes = prop_oneof![2 => Just(String::new()), 1 => text(0..2)];
    let strategy = (keys, prefixes, delimiter(), 1_u32..7, any::<bool>());
    let result = runner().run(&strategy, |(keys, prefix, delimiter, limit, by_order)| {
        let n = buckets.fetch_add(1, Ordering::SeqCst);
        let expected = naive(&keys, &prefix, delimiter.as_deref());
        let got = block_on(async {
            store.create_bucket(bucket(n)).await.unwrap();
            let versions = keys.iter().flat_map(|(key, count)| (1..=*count).map(move |number| (key, number)));
            let writes = versions.map(|(key, number)| {
                let mut put = put_empty(n, key, number);
                put.object.version = version_id(number);
                w(put)
            });
            commit(store, writes.collect()).await;
            let (after, after_version) = (None, None);
            let bucket = bucket_id(n);
            let query = VersionQuery { bucket, prefix, delimiter, after, after_version, limit };
            all_pages(store, query, by_order).await
        });
        prop_assert_eq!(got, expected);
        Ok(())
    });
    result.unwrap();
}

/// Whoever deletes what a page showed and asks for the next one misses nothing.
pub async fn listing_goes_on_behind_versions_that_are_gone(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for number in 1..=9 {
        let mut put = put_empty(1, "a", number);
        put.object.version = version_id(number);
        done(store, w(put)).await;
    }
    let mut query = VersionQuery {
        bucket: bucket_id(1),
        prefix: String::new(),
        delimiter: None,
        after: None,
        after_version: None,
        limit: 2,
    };
    let mut seen = 0;
    loop {
        let page = store.list_versions(query.clone()).await.unwrap();
        for entry in page.entries {
            let VersionEntry::Version(found) = entry else { panic!("no prefix") };
            seen += 1;
            query.after = Some(found.key().as_str().to_owned());
            query.after_version = Some(VersionMarker::Order(found.order));
            let mut gone = delete(1, "a");
            gone.version = found.version;
            done(store, Write::Delete(gone)).await;
        }
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, 9);
    store.delete_bucket(&name("bucket-1")).await.unwrap();
}
