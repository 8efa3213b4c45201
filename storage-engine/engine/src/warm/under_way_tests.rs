#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use granary_types::UnixMillis;

use super::*;

#[test]
fn copies_made_beside_each_other_were_each_given_the_same_room() {
    let options = WarmOptions { bytes_max: Some(100), ..WarmOptions::default() };
    let ssds = Ssds { capacity_bytes: 1_000, free_bytes: 1_000 };
    let under_way = Arc::new(UnderWay::default());
    let taken = |cached| under_way.account(cached, ssds, &options).taken_bytes;
    assert_eq!(taken(10), 10);
    let first = under_way.hold(Claims::CacheBefore(UnixMillis(7)), 60);
    let second = under_way.hold(Claims::Fill { milli_reads: 1_000 }, 20);
    assert_eq!(taken(10), 90, "a second would get 10 more, and not 90");
    assert_eq!(under_way.account(10, ssds, &options).limit_bytes, 100);
    first.note_written(50);
    assert_eq!(taken(10), 90, "what is written is still in no other account");
    first.let_go();
    assert_eq!(taken(70), 90, "now it is");
    drop(first);
    drop(second);
    assert_eq!(taken(70), 70);
    assert_eq!(*under_way.0.lock(), Sums::default());
}

#[test]
fn what_is_copied_to_be_kept_takes_of_what_is_free_before_it_is_written() {
    let options = WarmOptions { bytes_max: Some(500), ..WarmOptions::default() };
    let ssds = |free_bytes| Ssds { capacity_bytes: 1_000, free_bytes };
    let under_way = Arc::new(UnderWay::default());
    let account = |cached, free| under_way.account(cached, ssds(free), &options);
    // A tenth of the SSDs stays free.
    assert_eq!(account(200, 300), CacheAccount { cached_bytes: 200, taken_bytes: 200, limit_bytes: 400 });
    let kept = under_way.hold(Claims::Kept, 150);
    assert_eq!(account(200, 300), CacheAccount { cached_bytes: 200, taken_bytes: 200, limit_bytes: 250 });
    kept.note_written(100);
    assert_eq!(account(200, 200), CacheAccount { cached_bytes: 200, taken_bytes: 200, limit_bytes: 250 });
    kept.note_written(1_000);
    assert_eq!(account(200, 150).limit_bytes, 250, "no more than it holds");
    // The cache's own that are written are no longer free, and are the cache's.
    let cached = under_way.hold(Claims::Cache, 50);
    cached.note_written(50);
    assert_eq!(account(200, 100), CacheAccount { cached_bytes: 200, taken_bytes: 250, limit_bytes: 250 });
}

#[test]
fn the_cache_was_emptied_for_a_copy_that_copies_under_way_left_no_room_for() {
    let options = WarmOptions { bytes_max: Some(100), ..WarmOptions::default() };
    let ssds = Ssds { capacity_bytes: 1_000, free_bytes: 1_000 };
    let under_way = Arc::new(UnderWay::default());
    let to_free = |bytes, first| under_way.account(30, ssds, &options).eviction_bytes(bytes, first);
    assert_eq!((to_free(100, 100), to_free(60, 60)), (30, 0));
    assert_eq!(to_free(101, 101), 0, "it would not fit an empty cache");
    let held = under_way.hold(Claims::Cache, 60);
    assert_eq!(under_way.account(30, ssds, &options).attainable_bytes(), 40);
    assert_eq!(to_free(40, 40), 30);
    assert_eq!(to_free(41, 41), 0, "30 would have gone for nothing");
    assert_eq!(to_free(70, 20), 60, "the first fits, whatever becomes of the others");
    assert_eq!(to_free(70, 50), 0);
    drop(held);
    let _all = under_way.hold(Claims::Cache, 100);
    assert_eq!((to_free(0, 0), to_free(1, 1)), (30, 0), "what is over the limit goes by itself");
}
