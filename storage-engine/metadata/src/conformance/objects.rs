//! Puts, reads, deletes and conditions of the current version.

use granary_types::UnixMillis;

use super::sample::{
    bucket, bucket_id, commit, delete, done, etag, key, one, open_written, put_empty, put_packed, w,
};
use crate::model::{Outcome, TagMatch, Write, WriteConditions};
use crate::store::MetadataStore;

const PRECONDITION_FAILED: Outcome = Outcome::PreconditionFailed;

/// What was put is read back whole, also after it was replaced; what is deleted is gone.
pub async fn put_get_replace_delete(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    let first = put_packed(1, "a", 10, 1, 100);
    assert_eq!(done(store, w(first.clone())).await, (None, 1));
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.order, &row.object), (1, &first.object));
    let second = put_empty(1, "a", 11);
    let outcome = one(store, w(second.clone())).await;
    assert_eq!(outcome, Outcome::Done { replaced: Some(Box::new(row)), order: 2 });
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.order, &row.object), (2, &second.object));
    assert_eq!(done(store, Write::Delete(delete(1, "a"))).await, (Some(etag(11)), 0));
    assert_eq!(store.object(bucket_id(1), &key("a"), None).await.unwrap(), None);
    assert_eq!(done(store, Write::Delete(delete(1, "a"))).await, (None, 0));
}

/// A write to a bucket that never was, or is gone, changes nothing.
pub async fn writes_need_their_bucket(store: &dyn MetadataStore) {
    assert_eq!(one(store, w(put_empty(1, "a", 1))).await, Outcome::NoSuchBucket);
    store.create_bucket(bucket(1)).await.unwrap();
    store.delete_bucket(&bucket(1).name).await.unwrap();
    let writes = vec![w(put_empty(1, "a", 1)), Write::Delete(delete(1, "a"))];
    assert_eq!(commit(store, writes).await, vec![Outcome::NoSuchBucket; 2]);
    assert_eq!(store.object(bucket_id(1), &key("a"), None).await.unwrap(), None);
}

/// Conditions on writes as AWS decides them.
pub async fn conditional_writes(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let put = |tag: u64, conditions: WriteConditions| {
        let mut put = put_empty(1, "a", tag);
        put.conditions = conditions;
        w(put)
    };
    let matching = |tags: TagMatch| WriteConditions { if_match: Some(tags), ..Default::default() };
    let absent = |tags: TagMatch| WriteConditions { if_none_match: Some(tags), ..Default::default() };
    let some = |tag: u64| TagMatch::OneOf(vec![etag(99), etag(tag)]);
    assert_eq!(one(store, put(1, matching(some(1)))).await, Outcome::NoSuchKey);
    assert_eq!(one(store, put(1, matching(TagMatch::Any))).await, Outcome::NoSuchKey);
    done(store, put(1, absent(TagMatch::Any))).await;
    assert_eq!(one(store, put(2, absent(TagMatch::Any))).await, PRECONDITION_FAILED);
    assert_eq!(one(store, put(2, absent(some(1)))).await, PRECONDITION_FAILED);
    done(store, put(2, absent(some(7)))).await;
    assert_eq!(one(store, put(3, matching(some(1)))).await, PRECONDITION_FAILED);
    done(store, put(3, matching(some(2)))).await;
    done(store, put(4, matching(TagMatch::Any))).await;
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!((row.object.etag, row.order), (etag(4), 4));
}

/// Conditions on deletes as AWS decides them.
pub async fn conditional_deletes(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let delete = |conditions: WriteConditions| {
        let mut delete = delete(1, "a");
        delete.conditions = conditions;
        Write::Delete(delete)
    };
    let tag =
        |tag: u64| WriteConditions { if_match: Some(TagMatch::OneOf(vec![etag(tag)])), ..Default::default() };
    let length = |length: u64| WriteConditions { if_length_bytes: Some(length), ..Default::default() };
    let at = |ms: i64| WriteConditions { if_modified_at: Some(UnixMillis(ms)), ..Default::default() };
    assert_eq!(one(store, delete(tag(1))).await, Outcome::NoSuchKey);
    assert_eq!(done(store, delete(length(5))).await, (None, 0));
    done(store, w(put_empty(1, "a", 1))).await;
    assert_eq!(one(store, delete(tag(2))).await, PRECONDITION_FAILED);
    assert_eq!(one(store, delete(length(5))).await, PRECONDITION_FAILED);
    assert_eq!(one(store, delete(at(1_700_000_001_000))).await, PRECONDITION_FAILED);
    assert!(store.object(bucket_id(1), &key("a"), None).await.unwrap().is_some());
    // The second counts, not the millisecond: HTTP dates have no more.
    assert_eq!(done(store, delete(at(1_700_000_000_000))).await, (Some(etag(1)), 0));
}

/// Each write of a commit sees what the earlier ones left, and gets its own outcome.
pub async fn writes_of_one_commit_are_applied_in_order(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let mut only_new = put_empty(1, "a", 2);
    only_new.conditions.if_none_match = Some(TagMatch::Any);
    let writes = vec![
        w(put_empty(1, "a", 1)),
        w(only_new.clone()),
        Write::Delete(delete(1, "a")),
        w(only_new),
        w(put_empty(1, "b", 3)),
    ];
    let outcomes = commit(store, writes).await;
    let orders: Vec<_> = outcomes
        .iter()
        .map(|outcome| if let Outcome::Done { order, .. } = outcome { Some(*order) } else { None })
        .collect();
    assert_eq!(orders, [Some(1), None, Some(0), Some(1), Some(1)]);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object.etag, etag(2));
}
