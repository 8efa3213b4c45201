//! Calls that run together: each gets its own outcome, in an order, whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use super::Harness;
use super::sample::{advance, bucket, bucket_id, done, etag, key, open_written, put_empty, put_packed, w};
use crate::model::{Commit, Outcome, TagMatch};

/// Of many writers that each want to be the first, exactly one is.
pub async fn one_of_many_wins(harness: &mut dyn Harness) {
    let store = harness.store();
    store.create_bucket(bucket(1)).await.unwrap();
    let tasks: Vec<_> = (1..=64)
        .map(|tag| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut put = put_empty(1, "a", tag);
                put.conditions.if_none_match = Some(TagMatch::Any);
                let outcome = super::sample::one(&*store, w(put)).await;
                (tag, outcome)
            })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (tag, Outcome::Done { order: 1, .. }) => won.push(tag),
            (_, outcome) => assert_eq!(outcome, Outcome::PreconditionFailed),
        }
    }
    assert_eq!(won.len(), 1);
    let row = store.object(bucket_id(1), &key("a"), None).await.unwrap().unwrap();
    assert_eq!(row.object.etag, etag(won[0]));
}

/// Writers of one key that wait together each replace what another left: no order is lost or given twice.
pub async fn writes_of_one_key_keep_an_order(harness: &mut dyn Harness) {
    let store = harness.store();
    store.create_bucket(bucket(1)).await.unwrap();
    let tasks: Vec<_> = (1..=100)
        .map(|tag| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { (done(&*store, w(put_empty(1, "a", tag))).await, tag) })
        })
        .collect();
    let mut chain = std::collections::BTreeMap::new();
    for task in tasks {
        let ((replaced, order), tag) = task.await.unwrap();
        chain.insert(order, (replaced, tag));
    }
    assert_eq!(chain.keys().copied().collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    let mut previous = None;
    for (replaced, tag) in chain.values() {
        assert_eq!(*replaced, previous);
        previous = Some(etag(*tag));
    }
}

/// A refused commit does not disturb those that are committed with it.
pub async fn refused_commits_have_no_neighbours(harness: &mut dyn Harness) {
    let store = harness.store();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&*store, 1).await;
    let tasks: Vec<_> = (1..=60_u64)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let v = if n % 3 == 0 { 99 } else { 1 };
                let writes = vec![w(put_packed(1, &format!("k{n}"), n, v, 10))];
                let advances = vec![advance(if n % 3 == 1 { 98 } else { 1 }, n, 1)];
                store.commit(Commit { advances, writes }).await.is_ok()
            })
        })
        .collect();
    let mut accepted = 0;
    for (n, task) in (1..=60_u64).zip(tasks) {
        let ok = task.await.unwrap();
        assert_eq!(ok, n % 3 == 2, "commit {n}");
        accepted += u64::from(ok);
    }
    assert_eq!(super::sample::live(&*store, 1).await, accepted * 10);
    assert_eq!(store.recount().await.unwrap(), []);
}

/// Dropping a call leaves its change whole or absent, and the store working.
pub async fn dropped_calls_leave_nothing_in_part(harness: &mut dyn Harness) {
    let store = harness.store();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&*store, 1).await;
    for n in 0..200_u64 {
        let writes = vec![
            w(put_packed(1, &format!("x{n}"), n + 1, 1, 10)),
            w(put_packed(1, &format!("y{n}"), n + 1, 1, 10)),
        ];
        let call = store.commit(Commit { advances: vec![advance(1, n, 1)], writes });
        let patience = Duration::from_micros(n * 5);
        let _ = tokio::time::timeout(patience, call).await;
        let first = key("x0");
        let read = store.object(bucket_id(1), &first, None);
        let _ = tokio::time::timeout(patience, read).await;
    }
    // A change made after them is applied after them.
    done(&*store, w(put_empty(1, "last", 1))).await;
    for n in 0..200_u64 {
        let x = store.object(bucket_id(1), &key(&format!("x{n}")), None).await.unwrap();
        let y = store.object(bucket_id(1), &key(&format!("y{n}")), None).await.unwrap();
        assert_eq!(x.is_some(), y.is_some(), "commit {n}");
    }
    assert_eq!(store.recount().await.unwrap(), []);
}

/// What was acknowledged is there after a restart, and the store goes on where it was.
pub async fn restarts_keep_everything(harness: &mut dyn Harness) {
    for seed in 1..4_u64 {
        let store = harness.store();
        if seed == 1 {
            store.create_bucket(bucket(1)).await.unwrap();
            open_written(&*store, 1).await;
        }
        for n in 0..20 {
            done(&*store, w(put_packed(1, &format!("k{n}"), seed * 100 + n, 1, 10))).await;
        }
        drop(store);
        harness.restart().await;
        let store = harness.store();
        for n in 0..20 {
            let row = store.object(bucket_id(1), &key(&format!("k{n}")), None).await.unwrap().unwrap();
            assert_eq!((row.object.etag, row.order), (etag(seed * 100 + n), seed));
        }
        assert_eq!(store.bucket(&bucket(1).name).await.unwrap(), Some(bucket(1)));
        assert_eq!(super::sample::live(&*store, 1).await, 200);
    }
}

/// A closed store refuses calls instead of hanging.
pub async fn a_closed_store_refuses(harness: &mut dyn Harness) {
    let store = harness.store();
    store.create_bucket(bucket(1)).await.unwrap();
    store.close().await.unwrap();
    assert!(store.bucket(&bucket(1).name).await.is_err());
    assert!(store.create_bucket(bucket(2)).await.is_err());
    store.close().await.unwrap();
}
