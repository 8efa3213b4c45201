//! Appending.

use futures::future::join_all;
use granary_drive::{Cache, DriveError, Flush};

use super::{FIRST_OFFSET, Harness, append, create, fresh_name, sample};
use crate::access::{LaneKind, ShardAppend};

/// Either lane writes, with and past the page cache, aligned or not.
pub async fn both_lanes_and_caches(harness: &dyn Harness) {
    let shard = create(harness, fresh_name()).await;
    let mut offset = FIRST_OFFSET;
    for (seed, lane) in [(1, LaneKind::Packed), (2, LaneKind::Bulk)] {
        for cache in [Cache::Keep, Cache::Bypass] {
            for length_bytes in [1, 4096, 70_000] {
                let bytes = sample(seed + length_bytes as u64, length_bytes);
                let mut piece = append(lane, offset, bytes.clone());
                piece.cache = cache;
                shard.append(piece).await.unwrap();
                assert_eq!(shard.read(offset, length_bytes).await.unwrap(), bytes);
                offset += (length_bytes as u64).next_multiple_of(4096);
            }
        }
    }
}

/// Appends that are queued one after the other are written in that order: each needs the one before. Their waits may be
/// awaited in any order.
pub async fn order_is_kept(harness: &dyn Harness) {
    for lane in [LaneKind::Packed, LaneKind::Bulk] {
        let shard = create(harness, fresh_name()).await;
        let mut waits = Vec::new();
        for number in 0..1000_u64 {
            let offset = FIRST_OFFSET + number * 512;
            let mut piece = append(lane, offset, sample(number, 512));
            piece.length_before_bytes = offset;
            piece.flush = if number % 3 == 0 { Flush::Now } else { Flush::Later };
            waits.push(shard.append(piece));
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        waits.reverse();
        join_all(waits).await.into_iter().for_each(Result::unwrap);
        for number in [0, 1, 500, 999] {
            let read = shard.read(FIRST_OFFSET + number * 512, 512).await.unwrap();
            assert_eq!(read, sample(number, 512));
        }
    }
}

/// An append behind the end is refused by name; its neighbours are written.
pub async fn a_gap_is_refused_and_poisons_nothing(harness: &dyn Harness) {
    let shard = create(harness, fresh_name()).await;
    let gap =
        ShardAppend { length_before_bytes: 1 << 30, ..append(LaneKind::Packed, 1 << 30, sample(1, 10)) };
    let (before, gap, after) = (
        shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(2, 100))),
        shard.append(gap),
        shard.append(append(LaneKind::Packed, FIRST_OFFSET + 100, sample(3, 100))),
    );
    before.await.unwrap();
    let error = gap.await.unwrap_err();
    assert!(matches!(error, DriveError::Tampered { what: "cut short", .. }), "{error:?}");
    after.await.unwrap();
}

/// A shard that was removed behind the writer's back takes nothing more.
pub async fn a_removed_shard_takes_nothing(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    harness.drive().remove_shard(name).await.unwrap();
    let error = shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 100))).await.unwrap_err();
    assert!(matches!(error, DriveError::Tampered { what: "removed", .. }), "{error:?}");
    assert!(error.is_lost());
}

/// An append of nothing flushes what was written before it.
pub async fn flushes_without_bytes(harness: &dyn Harness) {
    let shard = create(harness, fresh_name()).await;
    let mut piece = append(LaneKind::Bulk, FIRST_OFFSET, sample(1, 10_000));
    piece.flush = Flush::Later;
    let written = shard.append(piece);
    let flush = append(LaneKind::Bulk, FIRST_OFFSET + 10_000, bytes::Bytes::new());
    shard.append(flush).await.unwrap();
    written.await.unwrap();
}

/// Appends of many shards share the lane and keep their own results.
pub async fn many_shards_at_once(harness: &dyn Harness) {
    let mut waits = Vec::new();
    let mut shards = Vec::new();
    for number in 0..20_u64 {
        let shard = create(harness, fresh_name()).await;
        for turn in 0..10_u64 {
            let bytes = sample(number * 100 + turn, 3000);
            let mut piece = append(LaneKind::Packed, FIRST_OFFSET + turn * 3000, bytes);
            if number == 7 {
                piece.length_before_bytes = 1 << 30;
            }
            waits.push((number, shard.append(piece)));
        }
        shards.push(shard);
    }
    for (number, wait) in waits {
        assert_eq!(wait.await.is_ok(), number != 7, "{number}");
    }
    let read = shards[19].read(FIRST_OFFSET + 9 * 3000, 3000).await.unwrap();
    assert_eq!(read, sample(1909, 3000));
}

/// Pieces of several MiB, many at once, arrive whole.
pub async fn large_pieces(harness: &dyn Harness) {
    const LENGTH_BYTES: usize = 3 * 1024 * 1024 + 5;
    let shard = create(harness, fresh_name()).await;
    let offset = |number: u64| FIRST_OFFSET + number * (LENGTH_BYTES as u64).next_multiple_of(4096);
    let waits: Vec<_> = (0..8)
        .map(|number| {
            let mut piece = append(LaneKind::Bulk, offset(number), sample(number, LENGTH_BYTES));
            piece.cache = Cache::Bypass;
            shard.append(piece)
        })
        .collect();
    join_all(waits).await.into_iter().for_each(Result::unwrap);
    for number in 0..8 {
        assert_eq!(shard.read(offset(number), LENGTH_BYTES).await.unwrap(), sample(number, LENGTH_BYTES));
    }
}
