//! Batches that the writer foresees, where another node makes it otherwise.

use crate::pg;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use granary_metadata::conformance::sample::{
    advance, bucket, bucket_id, etag, key, live, name, open_written, put_packed, volume_id, w,
};
use granary_metadata::postgres::PostgresStore;
use granary_metadata::{BucketChange, Commit, MetadataError, MetadataStore, Outcome, PutObject, TagMatch};
use pg::proxy::Proxy;
use sqlx::{Connection, Executor, PgConnection};

/// Far beyond what is put here, and within what is committed.
const END: u64 = 1 << 20;

/// Two nodes' stores of one database; the first has written to bucket 1 and volume 1 before, so that it foresees its next
/// batch there.
async fn two_nodes() -> (Arc<PostgresStore>, Arc<PostgresStore>) {
    let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
    let (ours, other) = (pg::open(&url).await, pg::open(&url).await);
    write_first(&ours).await;
    (ours, other)
}

async fn write_first(store: &PostgresStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
    for n in 1..3 {
        let put = put_packed(1, &format!("first-{n}"), n, 1, 100);
        assert!(matches!(commit(store, put).await.unwrap(), Outcome::Done { .. }));
    }
}

/// Waits until so many sessions wait for locks.
pub(crate) async fn locked_out(database: &str, sessions: u64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..250 {
        let database = database.to_owned();
        let waiting = tokio::task::spawn_blocking(move || pg::shared().sql(&database, WAITING).unwrap());
        if waiting.await.unwrap().parse::<u64>().unwrap() >= sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {sessions} sessions wait for locks");
}

async fn commit(store: &PostgresStore, put: PutObject) -> Result<Outcome, MetadataError> {
    let commit = Commit { advances: vec![advance(1, END, 1)], writes: vec![w(put)] };
    Ok(store.commit(commit).await?.remove(0))
}

async fn tag_of(store: &PostgresStore, of: &str) -> Option<granary_types::Etag> {
    store.object(bucket_id(1), &key(of), None).await.unwrap().map(|row| row.object.etag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_node_made_is_replaced_and_counted_once() {
    let (ours, other) = two_nodes().await;
    open_written(&*other, 2).await;
    let theirs = Commit { advances: Vec::new(), writes: vec![w(put_packed(1, "k", 7, 2, 100))] };
    other.commit(theirs).await.unwrap();
    let mut refused = put_packed(1, "k", 8, 1, 100);
    refused.conditions.if_none_match = Some(TagMatch::Any);
    let outcome = commit(&ours, refused).await.unwrap();
    assert!(!matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(tag_of(&ours, "k").await, Some(etag(7)));
    let outcome = commit(&ours, put_packed(1, "k", 9, 1, 100)).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { replaced: Some(_), .. }), "{outcome:?}");
    assert_eq!(tag_of(&other, "k").await, Some(etag(9)));
    assert_eq!((live(&*ours, 1).await, live(&*ours, 2).await), (300, 0));
    assert_eq!(ours.recount().await.unwrap(), [], "the accounting drifted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_another_node_changed_decide() {
    let (ours, other) = two_nodes().await;
    other.change_bucket(&name("bucket-1"), BucketChange::EnableVersioning).await.unwrap();
    let outcome = commit(&ours, put_packed(1, "k", 7, 1, 100)).await.unwrap();
    assert_eq!(outcome, Outcome::VersioningChanged);
    assert_eq!(tag_of(&ours, "k").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_another_node_deleted_gets_no_object() {
    let (ours, other) = two_nodes().await;
    for n in 1..3 {
        let delete = granary_metadata::conformance::sample::delete(1, &format!("first-{n}"));
        let gone = Commit { advances: Vec::new(), writes: vec![granary_metadata::Write::Delete(delete)] };
        other.commit(gone).await.unwrap();
    }
    other.delete_bucket(&name("bucket-1")).await.unwrap();
    let outcome = commit(&ours, put_packed(1, "k", 7, 1, 100)).await.unwrap();
    assert_eq!(outcome, Outcome::NoSuchBucket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_another_node_sealed_takes_no_more() {
    let (ours, other) = two_nodes().await;
    let end = other.seal_volume(volume_id(1)).await.unwrap();
    for n in 7..10 {
        let refused = commit(&ours, put_packed(1, "k", n, 1, 100)).await;
        assert!(matches!(refused, Err(MetadataError::Fenced { .. })), "{refused:?}");
    }
    assert_eq!(tag_of(&ours, "k").await, None);
    let row = ours.volume(volume_id(1)).await.unwrap().unwrap();
    assert_eq!((row.epoch, row.committed_end), (end.epoch, end.committed_end));
    assert_eq!(live(&*ours, 1).await, 200, "nothing of the refused batches is stored");
}

/// Both nodes make the same keys at once, in batches, with other keys beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_two_nodes_make_at_once_are_made_once() {
    let (ours, other) = two_nodes().await;
    open_written(&*other, 2).await;
    let stores = [(ours, 1), (other, 2)];
    for round in 0..20 {
        let mut putting = Vec::new();
        for n in 0..8 {
            for (store, v) in &stores {
                let tag = 1_000 * v + round * 8 + n;
                let mut put = put_packed(1, &format!("{round}-{n}"), tag, *v, 100);
                put.conditions.if_none_match = Some(TagMatch::Any);
                let commit = Commit { advances: vec![advance(*v, END * 64, 1)], writes: vec![w(put)] };
                let store = Arc::clone(store);
                putting.push(tokio::spawn(async move { store.commit(commit).await.unwrap().remove(0) }));
            }
        }
        let mut made = 0;
        for put in putting {
            made += usize::from(matches!(put.await.unwrap(), Outcome::Done { .. }));
        }
        assert_eq!(made, 8, "round {round}");
    }
    let [(ours, _), _] = &stores;
    assert_eq!(live(&**ours, 1).await + live(&**ours, 2).await, (20 * 8 + 2) * 100);
    assert_eq!(ours.recount().await.unwrap(), [], "the accounting drifted");
}

/// A statement goes on when its client has gone. One that has not stored anything yet must not do so when its client has read back
/// that it did not, and has tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_outlives_its_connection_stores_nothing() {
    let (url, database) = tokio::task::spawn_blocking(pg::fresh_named_database).await.unwrap();
    let host = pg::shared().host();
    let proxy = Proxy::whole(host.clone()).await;
    let ours = pg::open(&url.replace(&host, &proxy.host)).await;
    write_first(&ours).await;
    let foreseen = proxy.wholes.load(Ordering::SeqCst);
    let mut lock = PgConnection::connect(&url).await.unwrap();
    lock.execute("BEGIN").await.unwrap();
    lock.execute("SELECT id FROM buckets FOR UPDATE").await.unwrap();
    let mut put = put_packed(1, "k", 7, 1, 100);
    put.conditions.if_none_match = Some(TagMatch::Any);
    let store = Arc::clone(&ours);
    let putting = tokio::spawn(async move { commit(&store, put).await });
    locked_out(&database, 1).await;
    assert_eq!(proxy.wholes.load(Ordering::SeqCst), foreseen + 1, "it is the statement that waits");
    proxy.lose_clients();
    // Now the batch that is tried again does too.
    locked_out(&database, 2).await;
    lock.execute("COMMIT").await.unwrap();
    let outcome = putting.await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Done { replaced: None, .. }), "{outcome:?}");
    assert_eq!(live(&*ours, 1).await, 300);
    assert_eq!(ours.recount().await.unwrap(), [], "the accounting drifted");
}
