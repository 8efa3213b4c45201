//! Commits of bytes that are still being flushed: nothing of them counts before the bytes are durable.

use std::time::{Duration, Instant};

use granary_types::Etag;

use super::sample::{
    FAR, advance, bucket, bucket_id, done, etag, key, live, open_written, put_packed, volume_id, w,
};
use crate::durable::durable;
use crate::error::MetadataError;
use crate::model::{Commit, ListQuery, Outcome};
use crate::store::MetadataStore;

/// Longer than any store waits for bytes with everybody else's writes.
const LATE: Duration = Duration::from_millis(100);
/// Who waits for this long waits for a promise that is not theirs.
const PATIENCE: Duration = Duration::from_mins(1);

async fn begin(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(store, 1).await;
}

/// A put of ten bytes, and an end that is one further than all before.
fn put_ten(k: &str, tag: u64) -> Commit {
    Commit { advances: vec![advance(1, FAR + tag, 1)], writes: vec![w(put_packed(1, k, tag, 1, 10))] }
}

async fn tag_of(store: &dyn MetadataStore, k: &str) -> Option<Etag> {
    store.object(bucket_id(1), &key(k), None).await.unwrap().map(|row| row.object.etag)
}

async fn listed(store: &dyn MetadataStore) -> usize {
    let (bucket, prefix) = (bucket_id(1), String::new());
    let query = ListQuery { bucket, prefix, delimiter: None, after: None, limit: 1000 };
    store.list_objects(query).await.unwrap().entries.len()
}

async fn committed_end(store: &dyn MetadataStore) -> u64 {
    store.volume(volume_id(1)).await.unwrap().unwrap().committed_end
}

fn is_done(outcomes: &[Outcome], at: u64) -> bool {
    matches!(outcomes, [Outcome::Done { order, .. }] if *order == at)
}

/// What is durable already, or soon, is committed like anything else.
pub async fn kept_promises_are_applied(store: &dyn MetadataStore) {
    begin(store).await;
    let (promise, bytes) = durable();
    promise.keep();
    assert!(is_done(&store.commit_once_durable(put_ten("a", 1), bytes).await.unwrap(), 1));
    assert_eq!(tag_of(store, "a").await, Some(etag(1)));
    let (promise, bytes) = durable();
    let keeping = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        promise.keep();
    };
    let (outcomes, ()) = tokio::join!(store.commit_once_durable(put_ten("a", 2), bytes), keeping);
    assert!(is_done(&outcomes.unwrap(), 2));
    assert_eq!((tag_of(store, "a").await, live(store, 1).await), (Some(etag(2)), 10));
    assert_eq!(committed_end(store).await, FAR + 2);
    // What is refused is refused as ever.
    let (promise, bytes) = durable();
    promise.keep();
    let unknown = Commit { advances: vec![advance(9, 1, 1)], writes: Vec::new() };
    let refused = store.commit_once_durable(unknown, bytes).await;
    assert!(matches!(refused, Err(MetadataError::Fenced { .. } | MetadataError::VolumeGone(_))));
}

/// Of bytes that did not become durable nothing is applied, whenever that is known; what waits beside them is.
pub async fn broken_promises_apply_nothing(store: &dyn MetadataStore) {
    begin(store).await;
    for (round, after) in (0..).zip([Duration::ZERO, Duration::from_millis(3), LATE]) {
        let ((promise, bytes), (kept, kept_bytes)) = (durable(), durable());
        kept.keep();
        let breaking = async {
            tokio::time::sleep(after).await;
            drop(promise);
        };
        let neighbours = async {
            for n in 0..10 {
                let tag = 100 + 10 * round + n;
                done(store, w(put_packed(1, &format!("k{tag}"), tag, 1, 10))).await;
            }
        };
        let (broken, beside, (), ()) = tokio::join!(
            store.commit_once_durable(put_ten("a", 50), bytes),
            store.commit_once_durable(put_ten(&format!("kept{round}"), 1 + round), kept_bytes),
            breaking,
            neighbours,
        );
        assert!(matches!(broken, Err(MetadataError::NotDurable)), "{broken:?}");
        assert!(is_done(&beside.unwrap(), 1));
        assert_eq!(tag_of(store, "a").await, None);
        assert_eq!((committed_end(store).await, live(store, 1).await), (FAR + 1 + round, 110 * (round + 1)));
    }
    assert_eq!(listed(store).await, 33);
    assert_eq!(store.recount().await.unwrap(), []);
}

/// Bytes that take long hold up nobody else, are seen by nobody before they are durable, and are committed then.
pub async fn late_promises_are_unseen_and_hold_up_nobody(store: &dyn MetadataStore) {
    begin(store).await;
    let (promise, bytes) = durable();
    let others = async {
        let begun = Instant::now();
        for n in 0..20 {
            // The first reads come while a store may still wait with the commit applied.
            assert_eq!((tag_of(store, "late").await, listed(store).await), (None, n));
            assert_eq!(committed_end(store).await, FAR);
            let tag = 100 + u64::try_from(n).unwrap();
            let put = w(put_packed(1, &format!("k{n}"), tag, 1, 10));
            tokio::time::timeout(PATIENCE, done(store, put)).await.expect("it waits for bytes of another");
        }
        tokio::time::sleep(LATE.saturating_sub(begun.elapsed())).await;
        assert_eq!((tag_of(store, "late").await, listed(store).await), (None, 20));
        promise.keep();
    };
    let (outcomes, ()) = tokio::join!(store.commit_once_durable(put_ten("late", 1), bytes), others);
    assert!(is_done(&outcomes.unwrap(), 1));
    assert_eq!((tag_of(store, "late").await, listed(store).await), (Some(etag(1)), 21));
    assert_eq!((committed_end(store).await, live(store, 1).await), (FAR + 1, 210));
}
