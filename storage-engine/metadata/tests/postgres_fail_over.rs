//! The store for clusters while its database fails over to a standby that had not received all.

use crate::pg;

use std::sync::Arc;
use std::time::Duration;

use granary_metadata::conformance::sample::{
    advance, bucket, bucket_id, delete, key, put_packed, volume, volume_id, w,
};
use granary_metadata::postgres::{PostgresOptions, PostgresStore};
use granary_metadata::{Commit, FailOvers, Loss, LossKind, MetadataError, MetadataStore, Timeline, Write};
use granary_types::{UnixMillis, VersionId};
use pg::cluster::{Flushing, PostgresCluster, Stop, url_of};

struct Pair {
    old: Arc<PostgresCluster>,
    new: Arc<PostgresCluster>,
    store: PostgresStore,
    known: Arc<dyn FailOvers>,
}

/// A volume of which so much is committed.
async fn written(store: &PostgresStore, v: u64, end: u64) {
    store.open_volume(volume(v)).await.unwrap();
    let commit = Commit { advances: vec![advance(v, end, 0)], writes: Vec::new() };
    store.commit(commit).await.unwrap();
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

/// Longer than a connection takes, on however loaded a machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Pair {
    async fn start() -> Self {
        Self::start_with(PATIENCE).await
    }

    async fn start_with(patience: Duration) -> Self {
        let old = blocking(|| PostgresCluster::start_with(Flushing::On, &[])).await;
        old.create_database("granary").unwrap();
        let old = Arc::new(old);
        let model = Arc::clone(&old);
        let new = Arc::new(blocking(move || model.standby(Flushing::On, &[])).await);
        let mut options = PostgresOptions::new(&url_of(&[&new, &old], "granary")).unwrap();
        options.patience = patience;
        let store = PostgresStore::open(options).await.unwrap();
        let known = store.fail_overs();
        known.settle(known.newest().unwrap()).await.unwrap();
        Self { old, new, store, known }
    }

    /// What is committed until the standby has it.
    async fn replicated(&self) {
        let (old, new) = (Arc::clone(&self.old), Arc::clone(&self.new));
        blocking(move || new.catch_up(&old)).await;
    }

    async fn cut_off(&self) {
        let new = Arc::clone(&self.new);
        blocking(move || new.cut_off()).await;
    }

    async fn fail_over(&self) {
        let (old, new) = (Arc::clone(&self.old), Arc::clone(&self.new));
        blocking(move || {
            old.stop(Stop::Immediate)?;
            new.promote()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_the_standby_had_not_received_are_known_to_be_lost() {
    let pair = Pair::start().await;
    let store = &pair.store;
    store.create_bucket(bucket(1)).await.unwrap();
    written(store, 1, 100_000).await;
    pair.replicated().await;
    pair.cut_off().await;
    let writes = vec![w(put_packed(1, "lost", 50, 1, 100))];
    let lost_put = Commit { advances: vec![advance(1, 500_000, 10)], writes };
    store.commit(lost_put).await.unwrap();
    written(store, 2, 300_000).await;
    assert!(pair.known.lost().is_nothing());
    let before = pair.known.newest().unwrap();
    pair.fail_over().await;

    // The first who asks anything meets the new history; until it is settled nothing is deleted.
    assert_eq!(store.object(bucket_id(1), &key("lost"), None).await.unwrap(), None);
    assert!(pair.known.newest().unwrap() > before);
    assert_eq!(pair.known.settled().await.unwrap(), Some(before));
    let erase = || Commit { advances: Vec::new(), writes: vec![Write::Delete(delete(1, "lost"))] };
    let refused = store.commit(erase()).await;
    assert!(matches!(refused, Err(MetadataError::Unavailable { .. })), "{refused:?}");

    let lost = pair.known.lost();
    assert!(lost.batches >= 2, "{lost:?}");
    let tails = pair.known.tails().await.unwrap();
    let ends: Vec<_> = tails.iter().map(|tail| (tail.volume.id, tail.known_end, tail.answered_end)).collect();
    assert_eq!(ends, [(volume_id(1), 100_000, 500_000), (volume_id(2), 0, 300_000)]);
    // Volumes go on behind what was lost, and the ends are raised to it, once.
    store.open_volume(tails[1].volume.clone()).await.unwrap();
    for tail in &tails {
        assert!(pair.known.raise_end(tail, 10).await.unwrap());
        pair.known.finish_tail(tail).await.unwrap();
        assert!(!pair.known.raise_end(tail, 10).await.unwrap(), "a volume is raised without a reason");
    }
    assert_eq!(store.volume(volume_id(1)).await.unwrap().unwrap().committed_end, 500_000);
    assert_eq!(store.volume(volume_id(2)).await.unwrap().unwrap().committed_end, 300_000);
    pair.known.finish_lost(&lost);
    assert!(pair.known.lost().is_nothing() && pair.known.tails().await.unwrap().is_empty());
    pair.known.settle(pair.known.newest().unwrap()).await.unwrap();
    store.commit(erase()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_had_received_all_has_lost_nothing() {
    let pair = Pair::start().await;
    pair.store.create_bucket(bucket(1)).await.unwrap();
    written(&pair.store, 1, 1_000).await;
    pair.replicated().await;
    pair.fail_over().await;
    pair.store.commit(Commit::default()).await.unwrap();
    assert_eq!(pair.known.newest(), Some(Timeline(2)));
    assert!(pair.known.lost().is_nothing() && pair.known.tails().await.unwrap().is_empty());
}

/// It takes writes, which nobody would ever see again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_replaced_and_does_not_know_it_is_not_used_again() {
    // It is asked for until its patience ends, twice.
    let pair = Pair::start_with(PATIENCE / 3).await;
    pair.store.create_bucket(bucket(1)).await.unwrap();
    pair.replicated().await;
    pair.fail_over().await;
    pair.store.create_bucket(bucket(2)).await.unwrap();
    let (old, new) = (Arc::clone(&pair.old), Arc::clone(&pair.new));
    blocking(move || {
        old.launch()?;
        new.stop(Stop::Fast)
    })
    .await;
    let refused = pair.store.create_bucket(bucket(3)).await;
    assert!(matches!(refused, Err(MetadataError::Unavailable { .. })), "{refused:?}");
    let read = pair.store.bucket(&bucket(2).name).await;
    assert!(matches!(read, Err(MetadataError::Unavailable { .. })), "{read:?}");
    let new = Arc::clone(&pair.new);
    blocking(move || new.launch()).await;
    assert_eq!(pair.store.bucket(&bucket(2).name).await.unwrap(), Some(bucket(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_are_counted_once_listed_in_pages_and_dismissed() {
    let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
    let known = pg::open(&url).await.fail_overs();
    let loss = |n: usize| Loss {
        kind: LossKind::Delete,
        timeline: 2,
        found: UnixMillis(n.try_into().unwrap()),
        bucket: "b".to_owned(),
        key: Some(key(&format!("k{n}"))),
        version: Some(VersionId::NULL),
        write: None,
        detail: "it was deleted, and is there again".to_owned(),
    };
    known.report((0..5).map(loss).collect()).await.unwrap();
    known.report(vec![Loss { found: UnixMillis(99), ..loss(3) }]).await.unwrap();
    assert_eq!(known.count_losses().await.unwrap(), 5);
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = known.losses(after, 2).await.unwrap();
        assert!(page.losses.len() <= 2);
        listed.extend(page.losses);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    listed.sort_by_key(|loss| loss.found);
    assert_eq!(listed, (0..5).map(loss).collect::<Vec<_>>());
    assert_eq!(known.dismiss_losses().await.unwrap(), 5);
    assert_eq!(known.count_losses().await.unwrap(), 0);
}
