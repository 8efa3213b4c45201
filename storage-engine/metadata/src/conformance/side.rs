//! Tags of versions and configurations of buckets.

use granary_types::WriteId;

use super::sample::{bucket, bucket_id, commit, delete, done, id, key, one, put_empty, version_id, w};
use crate::model::{
    AclChange, BucketChange, BucketDocument, DocumentQuery, Outcome, Tag, TagMatch, Tagging, Write,
};
use crate::store::MetadataStore;

/// Tags for version `version` of key `a`, made by write `tag`.
fn tagging(version: u64, tag: u64, tags: &[(&str, &str)]) -> Write {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Write::Tag(Box::new(Tagging {
        bucket: bucket_id(1),
        key: key("a"),
        version: version_id(version),
        write: WriteId::from_bytes(id(tag)),
        tags: tags.iter().map(own).collect(),
    }))
}

async fn tags(store: &dyn MetadataStore, tag: u64) -> Vec<Tag> {
    store.object_tags(bucket_id(1), &key("a"), WriteId::from_bytes(id(tag))).await.unwrap()
}

async fn counted(store: &dyn MetadataStore, version: Option<u64>) -> Option<u16> {
    let row = store.object(bucket_id(1), &key("a"), version.map(version_id)).await.unwrap();
    row.map(|row| row.tag_count)
}

/// Tags come with their version or later, are counted by reads, and go with it.
pub async fn tags_live_with_their_version(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let outcomes = commit(store, vec![w(put_empty(1, "a", 1)), tagging(0, 1, &[("k", "v")])]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done { .. })), "{outcomes:?}");
    assert_eq!(tags(store, 1).await, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(counted(store, None).await, Some(1));
    done(store, tagging(0, 1, &[("a", ""), ("b", "2")])).await;
    assert_eq!((counted(store, None).await, tags(store, 1).await.len()), (Some(2), 2));
    done(store, tagging(0, 1, &[])).await;
    assert_eq!((counted(store, None).await, tags(store, 1).await.len()), (Some(0), 0));
    done(store, tagging(0, 1, &[("k", "v")])).await;
    done(store, w(put_empty(1, "a", 2))).await;
    assert_eq!((counted(store, None).await, tags(store, 1).await.len()), (Some(0), 0));
    done(store, tagging(0, 2, &[("k", "v")])).await;
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!((counted(store, None).await, tags(store, 2).await.len()), (None, 0));
}

/// Tags are given to the write they were meant for, or to none; a put that is refused leaves none.
pub async fn tags_are_for_one_write(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    assert_eq!(one(store, tagging(0, 1, &[("k", "v")])).await, Outcome::NoSuchKey);
    done(store, w(put_empty(1, "a", 1))).await;
    assert_eq!(one(store, tagging(0, 9, &[("k", "v")])).await, Outcome::NoSuchKey);
    assert_eq!(one(store, tagging(5, 1, &[("k", "v")])).await, Outcome::NoSuchKey);
    let mut refused = put_empty(1, "a", 2);
    refused.conditions.if_none_match = Some(TagMatch::Any);
    let outcomes = commit(store, vec![w(refused), tagging(0, 2, &[("k", "v")])]).await;
    assert_eq!(outcomes, [Outcome::PreconditionFailed, Outcome::NoSuchKey]);
    assert_eq!((counted(store, None).await, tags(store, 2).await.len()), (Some(0), 0));
}

/// Each version has tags of its own, also when it is no longer or becomes again the current one.
pub async fn older_versions_keep_their_tags(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=2 {
        let mut put = put_empty(1, "a", n);
        put.object.version = version_id(n);
        commit(store, vec![w(put), tagging(n, n, &[("n", "x")])]).await;
    }
    done(store, tagging(1, 1, &[("a", "1"), ("b", "2")])).await;
    assert_eq!((counted(store, Some(1)).await, counted(store, None).await), (Some(2), Some(1)));
    let mut newest = delete(1, "a");
    newest.version = version_id(2);
    done(store, Write::Delete(newest)).await;
    assert_eq!((counted(store, None).await, tags(store, 2).await.len()), (Some(2), 0));
}

fn acl(version: u64, tag: u64, text: Option<&str>) -> Write {
    Write::Acl(Box::new(AclChange {
        bucket: bucket_id(1),
        key: key("a"),
        version: version_id(version),
        write: WriteId::from_bytes(id(tag)),
        acl: text.map(|text| text.as_bytes().to_vec()),
    }))
}

/// Access control lists come with their version or later, are for one write, do not mind its tags, and go with it.
pub async fn acls_live_with_their_version(store: &dyn MetadataStore) {
    let read = async |tag: u64| {
        let found = store.object_acl(bucket_id(1), &key("a"), WriteId::from_bytes(id(tag))).await.unwrap();
        found.map(|acl| String::from_utf8(acl).unwrap())
    };
    store.create_bucket(bucket(1)).await.unwrap();
    assert_eq!(one(store, acl(0, 1, Some("x"))).await, Outcome::NoSuchKey);
    let outcomes = commit(store, vec![w(put_empty(1, "a", 1)), acl(0, 1, Some("x"))]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done { .. })), "{outcomes:?}");
    assert_eq!(read(1).await.as_deref(), Some("x"));
    done(store, tagging(0, 1, &[("k", "v")])).await;
    done(store, tagging(0, 1, &[])).await;
    assert_eq!(read(1).await.as_deref(), Some("x"));
    assert_eq!(one(store, acl(0, 9, Some("y"))).await, Outcome::NoSuchKey);
    done(store, acl(0, 1, Some(""))).await;
    assert_eq!(read(1).await.as_deref(), Some(""));
    done(store, acl(0, 1, None)).await;
    assert_eq!(read(1).await, None);
    done(store, acl(0, 1, Some("z"))).await;
    done(store, w(put_empty(1, "a", 2))).await;
    assert_eq!((read(1).await, read(2).await), (None, None));
    done(store, acl(0, 2, Some("z"))).await;
    done(store, Write::Delete(delete(1, "a"))).await;
    assert_eq!(read(2).await, None);
    let mut refused = put_empty(1, "a", 3);
    refused.conditions.if_match = Some(TagMatch::Any);
    let outcomes = commit(store, vec![w(refused), acl(0, 3, Some("x"))]).await;
    assert_eq!(outcomes, [Outcome::NoSuchKey, Outcome::NoSuchKey]);
    assert_eq!(read(3).await, None);
}

/// Configurations are put, replaced, listed by name, removed, counted, and go with their bucket.
pub async fn documents_belong_to_their_bucket(store: &dyn MetadataStore) {
    let put = |b: u64, name: &str, text: Option<&str>| BucketDocument {
        bucket: bucket_id(b),
        name: name.to_owned(),
        document: text.map(|text| text.as_bytes().to_vec()),
    };
    let list = async |prefix: &str, after: &str, limit: u32| {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        let query = DocumentQuery { bucket: bucket_id(1), prefix, after, limit };
        store.bucket_documents(query).await.unwrap()
    };
    assert!(!store.put_bucket_document(put(1, "cors/", Some("x"))).await.unwrap());
    store.create_bucket(bucket(1)).await.unwrap();
    store.create_bucket(bucket(2)).await.unwrap();
    let before = store.configuration_generation().await.unwrap();
    for name in ["metrics/b/", "cors/", "metrics/a/", "metrics/c/"] {
        assert!(store.put_bucket_document(put(1, name, Some("old"))).await.unwrap());
        assert!(store.put_bucket_document(put(1, name, Some(name))).await.unwrap());
    }
    assert_eq!(store.configuration_generation().await.unwrap(), before + 8);
    let named = |names: &[&str]| names.iter().map(|name| put(1, name, Some(name))).collect::<Vec<_>>();
    assert_eq!(list("", "", 10).await, named(&["cors/", "metrics/a/", "metrics/b/", "metrics/c/"]));
    assert_eq!(list("metrics/", "", 2).await, named(&["metrics/a/", "metrics/b/"]));
    assert_eq!(list("metrics/", "metrics/b/", 2).await, named(&["metrics/c/"]));
    assert!(store.put_bucket_document(put(1, "cors/", None)).await.unwrap());
    assert!(store.put_bucket_document(put(1, "cors/", None)).await.unwrap());
    assert_eq!(list("cors/", "", 10).await, []);
    store.delete_bucket(&bucket(1).name).await.unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    assert_eq!(list("", "", 10).await, []);
}

/// How far background work is changes all the time, and nobody remembers it: caches of configurations are not dropped for it.
pub async fn progress_of_background_work_is_no_change_of_a_configuration(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let put = async |name: &str, text: Option<&str>| {
        let document = text.map(|text| text.as_bytes().to_vec());
        let put = BucketDocument { bucket: bucket_id(1), name: name.to_owned(), document };
        assert!(store.put_bucket_document(put).await.unwrap());
    };
    let before = store.configuration_generation().await.unwrap();
    put("worker/lifecycle/", Some("a")).await;
    put("worker/lifecycle/", Some("b")).await;
    put("worker/warm/here/1", Some("c")).await;
    put("worker/warm/here/1", None).await;
    assert_eq!(store.configuration_generation().await.unwrap(), before);
    let prefix = BucketDocument::PROGRESS.to_owned();
    let query = DocumentQuery { bucket: bucket_id(1), prefix, after: String::new(), limit: 9 };
    let kept: Vec<_> =
        store.bucket_documents(query).await.unwrap().into_iter().map(|one| one.document).collect();
    assert_eq!(kept, [Some(b"b".to_vec())]);
    put("workers/", Some("d")).await;
    assert_eq!(store.configuration_generation().await.unwrap(), before + 1);
    // What is remembered of a bucket has its settings.
    store.change_bucket(&bucket(1).name, BucketChange::EnableVersioning).await.unwrap();
    assert_eq!(store.configuration_generation().await.unwrap(), before + 2);
}
