//! Listing against a naive reference, over keys that are hard to order and to skip.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::sample::{bucket, bucket_id, commit, etag, put_empty, upload, w};
use crate::model::{ListEntry, ListPage, ListQuery, NewUpload, UploadEntry, UploadPage, UploadQuery, Write};
use crate::store::MetadataStore;

const CASES: u32 = 96;

pub(super) fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

/// Pieces that make keys that are prefixes of each other and lie at the edges of byte order.
pub(super) fn text(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("a"), 2 => Just("b"), 4 => Just("/"), 1 => Just("0"), 1 => Just("."), 1 => Just("\u{0}"),
        1 => Just("\u{7f}"), 1 => Just("\u{80}"), 1 => Just("\u{7ff}"), 1 => Just("\u{ffff}"),
        2 => Just("\u{10FFFF}"), 1 => Just("\u{10FFFE}"), 1 => Just("::"), 1 => Just(":"),
    ];
    prop::collection::vec(piece, pieces).prop_map(|pieces| pieces.concat())
}

pub(super) fn delimiter() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        2 => Just(None), 4 => Just(Some("/".to_owned())), 1 => Just(Some("::".to_owned())),
        1 => Just(Some("\u{10FFFF}".to_owned())), 1 => Just(Some("a".to_owned())), 1 => Just(Some(String::new())),
    ]
}

/// The common prefix a key is rolled up to.
pub(super) fn rolled<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key[prefix.len()..].find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// Every entry that a listing of all pages must give, as text with a mark for common prefixes.
fn naive(
    keys: &BTreeSet<String>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
) -> Vec<(String, bool)> {
    let skipped =
        after.filter(|after| after.starts_with(prefix) && rolled(after, prefix, delimiter) == Some(*after));
    let mut entries: Vec<(String, bool)> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let after = after.is_none_or(|after| key.as_str() > after);
        if !after || skipped.is_some_and(|skipped| key.starts_with(skipped)) {
            continue;
        }
        let entry = match rolled(key, prefix, delimiter) {
            Some(common) => (common.to_owned(), true),
            None => (key.clone(), false),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// Pages of every size, with and without delimiters and markers, are cuts of what the naive listing gives.
pub async fn pages_equal_the_reference(store: &dyn MetadataStore) {
    let buckets = AtomicU64::new(1);
    let strategy = (
        prop::collection::btree_set(text(1..6), 0..40),
        prop_oneof![2 => Just(String::new()), 3 => text(0..3)],
        delimiter(),
        prop::option::of(text(0..5)),
        1_u32..9,
    );
    let result = runner().run(&strategy, |(keys, prefix, delimiter, after, limit)| {
        let n = buckets.fetch_add(1, Ordering::SeqCst);
        let expected = naive(&keys, &prefix, delimiter.as_deref(), after.as_deref());
        let got = block_on(async {
            store.create_bucket(bucket(n)).await.unwrap();
            let writes = keys.iter().zip(1..).map(|(key, tag)| w(put_empty(n, key, tag))).collect();
            commit(store, writes).await;
            let query = ListQuery { bucket: bucket_id(n), prefix, delimiter, after, limit };
            all_pages(store, query).await
        });
        prop_assert_eq!(got, expected);
        Ok(())
    });
    result.unwrap();
}

async fn all_pages(store: &dyn MetadataStore, mut query: ListQuery) -> Vec<(String, bool)> {
    let limit = usize::try_from(query.limit).unwrap();
    let mut all = Vec::new();
    loop {
        let ListPage { entries, more } = store.list_objects(query.clone()).await.unwrap();
        assert!(entries.len() <= limit && (!more || entries.len() == limit));
        all.extend(entries.into_iter().map(|entry| match entry {
            ListEntry::Object(object) => (object.key.into_string(), false),
            ListEntry::CommonPrefix(prefix) => (prefix, true),
        }));
        if !more {
            return all;
        }
        query.after = all.last().map(|(text, _)| text.clone());
    }
}

/// A listing shows the columns that were put.
pub async fn entries_show_the_object(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    let put = put_empty(1, "a", 7);
    commit(store, vec![w(put.clone())]).await;
    let query =
        ListQuery { bucket: bucket_id(1), prefix: String::new(), delimiter: None, after: None, limit: 1 };
    let page = store.list_objects(query.clone()).await.unwrap();
    let [ListEntry::Object(listed)] = page.entries.as_slice() else { panic!("one object") };
    assert_eq!((listed.key.as_str(), &listed.etag, listed.modified), ("a", &etag(7), put.object.modified));
    assert_eq!((listed.length_bytes, listed.storage_class), (0, put.object.storage_class));
    assert_eq!(listed.checksum, put.object.checksum.map(|checksum| (checksum.algorithm, checksum.kind)));
    assert!(!page.more);
    // A page of nothing still tells that there is something.
    let page = store.list_objects(ListQuery { limit: 0, ..query }).await.unwrap();
    assert!(page.entries.is_empty() && page.more);
}

/// Common prefixes with many keys below them are skipped, whatever lies beside them.
pub async fn many_keys_below_a_common_prefix(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for directory in 0..20 {
        let keys = (0..100).map(|n| w(put_empty(1, &format!("d{directory:02}/{n:03}"), n + 1)));
        commit(store, keys.chain([w(put_empty(1, &format!("d{directory:02}"), 1))]).collect()).await;
    }
    let query = ListQuery {
        bucket: bucket_id(1),
        prefix: String::new(),
        delimiter: Some("/".to_owned()),
        after: None,
        limit: 7,
    };
    let got = all_pages(store, query).await;
    let expected: Vec<_> =
        (0..20).flat_map(|n| [(format!("d{n:02}"), false), (format!("d{n:02}/"), true)]).collect();
    assert_eq!(got, expected);
}

fn uploads_naive(uploads: &[NewUpload], prefix: &str, delimiter: Option<&str>) -> Vec<(String, Option<u64>)> {
    let mut sorted: Vec<_> =
        uploads.iter().filter(|upload| upload.key.as_str().starts_with(prefix)).collect();
    sorted.sort_by_key(|upload| (upload.key.as_str(), upload.initiated, upload.upload));
    let mut entries = Vec::new();
    for upload in sorted {
        let entry = match rolled(upload.key.as_str(), prefix, delimiter) {
            Some(common) => (common.to_owned(), None),
            None => (upload.key.as_str().to_owned(), Some(last_eight(upload.upload.as_bytes()))),
        };
        if entry.1.is_some() || entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

fn last_eight(id: &[u8; 16]) -> u64 {
    u64::from_be_bytes(id[8..].try_into().unwrap())
}

/// Uploads come by key, then by start, in pages that may end within a key.
pub async fn upload_pages_equal_the_reference(store: &dyn MetadataStore) {
    let (buckets, ids) = (AtomicU64::new(1), AtomicU64::new(1));
    let keys = prop::collection::vec((text(1..4), 0_i64..4), 0..25);
    let strategy = (keys, prop_oneof![2 => Just(String::new()), 1 => text(0..2)], delimiter(), 1_u32..6);
    let result = runner().run(&strategy, |(keys, prefix, delimiter, limit)| {
        let n = buckets.fetch_add(1, Ordering::SeqCst);
        let uploads: Vec<_> = keys
            .iter()
            .map(|(key, started)| upload(n, key, ids.fetch_add(1, Ordering::SeqCst), *started))
            .collect();
        let expected = uploads_naive(&uploads, &prefix, delimiter.as_deref());
        let got = block_on(async {
            store.create_bucket(bucket(n)).await.unwrap();
            commit(store, uploads.iter().cloned().map(Box::new).map(Write::CreateUpload).collect()).await;
            let (after_key, after_upload) = (None, None);
            let query =
                UploadQuery { bucket: bucket_id(n), prefix, delimiter, after_key, after_upload, limit };
            all_upload_pages(store, query).await
        });
        prop_assert_eq!(got, expected);
        Ok(())
    });
    result.unwrap();
}

async fn all_upload_pages(store: &dyn MetadataStore, mut query: UploadQuery) -> Vec<(String, Option<u64>)> {
    let mut all = Vec::new();
    loop {
        let UploadPage { entries, more } = store.list_uploads(query.clone()).await.unwrap();
        for entry in entries {
            all.push(match entry {
                UploadEntry::Upload(upload) => {
                    query.after_key = Some(upload.key.as_str().to_owned());
                    query.after_upload = Some(upload.upload);
                    (upload.key.into_string(), Some(last_eight(upload.upload.as_bytes())))
                }
                UploadEntry::CommonPrefix(prefix) => {
                    query.after_key = Some(prefix.clone());
                    query.after_upload = None;
                    (prefix, None)
                }
            });
        }
        if !more {
            return all;
        }
    }
}
