//! Writers that go on through faults and remember what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use granary_metadata::conformance::sample::{
    advance, bucket, bucket_id, etag, key, open_written, put_packed, w,
};
use granary_metadata::postgres::PostgresStore;
use granary_metadata::{Commit, MetadataError, MetadataStore, Outcome, TagMatch, durable};

/// What a writer was told of each key, by the number that made key and tag.
#[derive(Debug, Default)]
pub struct Told {
    /// Acknowledged.
    pub done: Vec<u64>,
    /// Refused or unknown: either way a 503.
    pub unavailable: Vec<u64>,
    /// Told that the key, which nobody else writes, was there already.
    pub wrong: Vec<(u64, String)>,
}

/// Writers under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Told>>,
}

fn name(n: u64) -> String {
    format!("key-{n:09}")
}

impl Load {
    /// Starts writers, each of keys of its own, all with `If-None-Match: *`, every other one before its bytes are durable. Each node
    /// has a volume.
    pub async fn start(stores: &[Arc<PostgresStore>], writers: u64) -> Self {
        stores[0].create_bucket(bucket(1)).await.unwrap();
        for v in (1..).take(stores.len()) {
            open_written(&*stores[0], v).await;
        }
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..writers).map(|writer| {
            let node = writer % u64::try_from(stores.len()).unwrap();
            let store = Arc::clone(&stores[usize::try_from(node).unwrap()]);
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut told = Told::default();
                for n in 1.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    write(&store, node + 1, writer * 1_000_000 + n, &mut told).await;
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                told
            })
        });
        let tasks = tasks.collect();
        Self { stop, acknowledged, tasks }
    }

    /// Waits until `count` more calls have been answered.
    pub async fn answered(&self, count: u64) {
        let target = self.acknowledged.load(Ordering::SeqCst) + count;
        for _ in 0..1200 {
            if self.acknowledged.load(Ordering::SeqCst) >= target {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the store does not go on");
    }

    /// Stops the writers and checks that what they were told is true. Returns how many keys were
    /// acknowledged, and how many refused.
    pub async fn finish(self, store: &PostgresStore) -> (u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Told::default();
        for task in self.tasks {
            let told = task.await.unwrap();
            all.done.extend(told.done);
            all.unavailable.extend(told.unavailable);
            all.wrong.extend(told.wrong);
        }
        assert_eq!(all.wrong, [], "keys that nobody else writes");
        for n in &all.done {
            let row = store.object(bucket_id(1), &key(&name(*n)), None).await.unwrap();
            assert_eq!(row.map(|row| row.object.etag), Some(etag(*n)), "acknowledged key {n}");
        }
        assert_eq!(store.recount().await.unwrap(), [], "the accounting drifted");
        let count = |told: &Vec<u64>| u64::try_from(told.len()).unwrap();
        (count(&all.done), count(&all.unavailable))
    }
}

async fn write(store: &PostgresStore, v: u64, n: u64, told: &mut Told) {
    let mut put = put_packed(1, &name(n), n, v, 100);
    put.conditions.if_none_match = Some(TagMatch::Any);
    let commit = Commit { advances: vec![advance(v, n, 1)], writes: vec![w(put)] };
    let committed = if n.is_multiple_of(2) {
        store.commit(commit).await
    } else {
        let (promise, bytes) = durable();
        let keeping = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            promise.keep();
        };
        tokio::join!(store.commit_once_durable(commit, bytes), keeping).0
    };
    match committed {
        Ok(outcomes) => match outcomes.as_slice() {
            [Outcome::Done { .. }] => told.done.push(n),
            other => told.wrong.push((n, format!("{other:?}"))),
        },
        Err(MetadataError::OutcomeUnknown { .. } | MetadataError::Unavailable { .. }) => {
            told.unavailable.push(n);
        }
        Err(error) => told.wrong.push((n, error.to_string())),
    }
}
