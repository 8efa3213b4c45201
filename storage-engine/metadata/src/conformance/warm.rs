//! Warm copies of versions, and how often versions are read.

use granary_types::{StorageClass, UnixMillis, WriteId};

use super::sample::{
    bucket, bucket_id, commit, delete, done, id, key, live, location, new_blob, one, open_written, put_blob,
    put_packed, version_id, w,
};
use crate::model::{
    Outcome, Transition, WarmAfter, WarmChange, WarmKind, WarmPlace, WarmQuery, WarmRow, WarmStep, WarmUsage,
    Write,
};
use crate::store::MetadataStore;

const DONE: Outcome = Outcome::Done { replaced: None, order: 0 };

/// A step for what write `tag` put as the null version of key `k`.
fn warm(k: &str, tag: u64, step: WarmStep) -> Write {
    Write::Warm(Box::new(WarmChange {
        bucket: bucket_id(1),
        key: key(k),
        version: version_id(0),
        write: WriteId::from_bytes(id(tag)),
        step,
    }))
}

fn packed(v: u64, at: u64, kind: WarmKind) -> WarmStep {
    WarmStep::Place { place: WarmPlace::Packed(location(v, at, 100)), kind, at: UnixMillis(10) }
}

fn drop_it(kind: WarmKind, at: i64) -> WarmStep {
    WarmStep::Drop { kind, at: UnixMillis(at) }
}

async fn read(store: &dyn MetadataStore, k: &str, tag: u64) -> Option<WarmRow> {
    store.object_warmth(bucket_id(1), &key(k), WriteId::from_bytes(id(tag))).await.unwrap()
}

async fn begin(store: &dyn MetadataStore) {
    store.create_bucket(bucket(1)).await.unwrap();
    for n in 1..=3 {
        open_written(store, n).await;
    }
}

/// A copy lives in its volume until it is dropped; it is made once, moved by comparison, and for one write only.
pub async fn packed_copies_are_accounted(store: &dyn MetadataStore) {
    begin(store).await;
    assert_eq!(one(store, warm("a", 1, packed(2, 0, WarmKind::Pinned))).await, Outcome::NoSuchKey);
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    assert_eq!(one(store, warm("a", 9, packed(2, 0, WarmKind::Pinned))).await, Outcome::NoSuchKey);
    assert_eq!((read(store, "a", 1).await, live(store, 2).await), (None, 0));
    let place = || warm("a", 1, packed(2, 0, WarmKind::Pinned));
    assert_eq!(commit(store, vec![place(), place()]).await, [DONE, Outcome::Moved], "there is one already");
    assert_eq!((live(store, 1).await, live(store, 2).await), (100, 100));
    let row = read(store, "a", 1).await.unwrap();
    assert_eq!((row.kind, row.at, row.length_bytes()), (WarmKind::Pinned, UnixMillis(10), 100));
    let moved = |from, to| WarmStep::MovePacked { from: location(from, 0, 100), to: location(to, 0, 100) };
    assert_eq!(one(store, warm("a", 1, moved(3, 2))).await, Outcome::Moved);
    assert_eq!(one(store, warm("a", 1, moved(2, 3))).await, DONE);
    assert_eq!((live(store, 2).await, live(store, 3).await), (0, 100));
    assert_eq!(one(store, warm("a", 1, drop_it(WarmKind::Pinned, 11))).await, Outcome::Moved);
    assert_eq!(store.recount().await.unwrap(), []);
    assert_eq!(one(store, warm("a", 1, drop_it(WarmKind::Pinned, 10))).await, DONE);
    assert_eq!((read(store, "a", 1).await, live(store, 3).await), (None, 0));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// What a large object's copy takes is accounted by extents; a part moves alone.
pub async fn large_copies_are_accounted(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_blob(1, "a", 7, 1, 100))).await;
    let extents = |v: u64| new_blob(8, v, 100).extents;
    let place = WarmPlace::Parts(vec![extents(2)]);
    let step = WarmStep::Place { place, kind: WarmKind::Promoted, at: UnixMillis(1) };
    assert_eq!(one(store, warm("a", 7, step)).await, DONE);
    assert_eq!((live(store, 1).await, live(store, 2).await), (100, 100));
    let moved = |index, from, to| WarmStep::MovePart { index, from: extents(from), to: extents(to) };
    assert_eq!(one(store, warm("a", 7, moved(1, 2, 3))).await, Outcome::Moved);
    assert_eq!(one(store, warm("a", 7, moved(0, 1, 3))).await, Outcome::Moved);
    assert_eq!(one(store, warm("a", 7, moved(0, 2, 3))).await, DONE);
    assert_eq!((live(store, 2).await, live(store, 3).await), (0, 100));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// A piece of a large copy: bytes of part `index` in volume `v`, behind so many others.
fn piece(index: u32, behind_bytes: u64, v: u64, length_bytes: u64) -> WarmStep {
    pieces(index, behind_bytes, &[(v, length_bytes)])
}

/// As [`piece`], of several parts: bytes in a volume of each.
fn pieces(index: u32, behind_bytes: u64, parts: &[(u64, u64)]) -> WarmStep {
    let extents = |(v, length_bytes): &(u64, u64)| new_blob(10 + behind_bytes, *v, *length_bytes).extents;
    let parts = parts.iter().map(extents).collect();
    WarmStep::AddParts { index, behind_bytes, parts, at: UnixMillis(5) }
}

fn finish(parts: u32, length_bytes: u64, kind: WarmKind) -> WarmStep {
    WarmStep::Finish { parts, length_bytes, kind, at: UnixMillis(9) }
}

/// A large copy is made piece by piece, by whoever looked at it last; it lives in its volumes meanwhile, is no copy before it is
/// whole, and is finished once.
pub async fn large_copies_grow_part_by_part(store: &dyn MetadataStore) {
    begin(store).await;
    assert_eq!(one(store, warm("a", 7, piece(0, 0, 2, 60))).await, Outcome::NoSuchKey);
    done(store, w(put_blob(1, "a", 7, 1, 100))).await;
    assert_eq!(one(store, warm("a", 7, finish(0, 0, WarmKind::Pinned))).await, Outcome::Moved);
    assert_eq!(
        one(store, warm("a", 7, piece(1, 0, 2, 60))).await,
        Outcome::Moved,
        "the first part is missing"
    );
    let first = || warm("a", 7, piece(0, 0, 2, 60));
    assert_eq!(commit(store, vec![first(), first()]).await, [DONE, Outcome::Moved], "it is there already");
    assert_eq!((live(store, 2).await, live(store, 3).await), (60, 0));
    let row = read(store, "a", 7).await.unwrap();
    assert_eq!(
        (row.kind, row.at, row.has_copy(), row.length_bytes()),
        (WarmKind::Read, UnixMillis(5), false, 60)
    );
    // The part grows, and the next one begins; neither out of turn.
    for refused in [piece(0, 50, 3, 10), piece(0, 61, 3, 10), piece(2, 60, 3, 10)] {
        assert_eq!(one(store, warm("a", 7, refused)).await, Outcome::Moved);
    }
    let both = vec![warm("a", 7, pieces(0, 60, &[(3, 10), (3, 10)])), warm("a", 7, piece(1, 80, 3, 20))];
    assert_eq!(commit(store, both).await, [DONE, DONE]);
    assert_eq!((live(store, 2).await, live(store, 3).await), (60, 40));
    assert_eq!(store.recount().await.unwrap(), []);
    // What compaction moves is what goes on.
    let (from, to) =
        (read(store, "a", 7).await.unwrap().begun().unwrap()[1].clone(), new_blob(50, 2, 30).extents);
    done(store, warm("a", 7, WarmStep::MovePart { index: 1, from, to: to.clone() })).await;
    assert_eq!((live(store, 2).await, live(store, 3).await), (90, 10));
    // It is no copy: nothing else takes its place, and it is kept for nothing.
    let keep = WarmStep::Keep { from: WarmKind::Read, kind: WarmKind::Pinned, at: UnixMillis(11) };
    let whole =
        WarmStep::Place { place: WarmPlace::Parts(vec![to]), kind: WarmKind::Pinned, at: UnixMillis(1) };
    for refused in [keep, whole, finish(2, 99, WarmKind::Pinned), finish(1, 100, WarmKind::Pinned)] {
        assert_eq!(one(store, warm("a", 7, refused)).await, Outcome::Moved);
    }
    let finished = || warm("a", 7, finish(2, 100, WarmKind::Prefetched));
    assert_eq!(commit(store, vec![finished(), finished()]).await, [DONE, Outcome::Moved]);
    let row = read(store, "a", 7).await.unwrap();
    assert_eq!(
        (row.kind, row.at, row.has_copy(), row.length_bytes()),
        (WarmKind::Prefetched, UnixMillis(9), true, 100)
    );
    assert_eq!(one(store, warm("a", 7, piece(1, 100, 3, 1))).await, Outcome::Moved);
    done(store, warm("a", 7, drop_it(WarmKind::Prefetched, 9))).await;
    assert_eq!((live(store, 2).await, live(store, 3).await), (0, 0));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// A copy that was begun for a restore is that restore's; one that nobody goes on with is dropped, and its bytes are garbage.
pub async fn begun_copies_are_restored_or_dropped(store: &dyn MetadataStore) {
    begin(store).await;
    for (name, tag) in [("a", 7), ("b", 8)] {
        done(store, w(put_blob(1, name, tag, 1, 100))).await;
        done(store, warm(name, tag, piece(0, 0, 2, 60))).await;
    }
    let want = WarmStep::Want { kind: WarmKind::WantedBulk, at: UnixMillis(3), days: 2 };
    done(store, warm("a", 7, want)).await;
    done(store, warm("a", 7, piece(0, 60, 3, 40))).await;
    let row = read(store, "a", 7).await.unwrap();
    assert_eq!(
        (row.kind, row.at, row.days, row.length_bytes()),
        (WarmKind::WantedBulk, UnixMillis(3), 2, 100)
    );
    assert_eq!(one(store, warm("a", 7, finish(1, 100, WarmKind::Pinned))).await, Outcome::Moved);
    done(store, warm("a", 7, finish(1, 100, WarmKind::Restored))).await;
    assert_eq!(one(store, warm("b", 8, drop_it(WarmKind::Read, 4))).await, Outcome::Moved, "it grew since");
    done(store, warm("b", 8, drop_it(WarmKind::Read, 5))).await;
    assert_eq!((live(store, 2).await, live(store, 3).await), (60, 40));
    // Nothing is added to it by who does not know that; a new one begins anew.
    assert_eq!(one(store, warm("b", 8, piece(0, 60, 3, 40))).await, Outcome::Moved);
    // Of a version that is gone nothing grows; what there is of it stays until it is dropped.
    done(store, warm("b", 8, piece(0, 0, 3, 5))).await;
    done(store, Write::Delete(delete(1, "b"))).await;
    assert_eq!(one(store, warm("b", 8, piece(0, 5, 3, 5))).await, Outcome::NoSuchKey);
    done(store, warm("b", 8, drop_it(WarmKind::Read, 5))).await;
    assert_eq!((live(store, 2).await, live(store, 3).await), (60, 40));
    assert_eq!(store.recount().await.unwrap(), []);
}

/// The row of a version that is gone stays until it is dropped, also when the bucket is gone; it is nobody else's.
pub async fn copies_outlive_their_version_until_dropped(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    done(store, warm("a", 1, packed(2, 0, WarmKind::Prefetched))).await;
    done(store, w(put_packed(1, "a", 2, 1, 50))).await;
    assert_eq!(read(store, "a", 2).await, None);
    let keep = WarmStep::Keep { from: WarmKind::Prefetched, kind: WarmKind::Pinned, at: UnixMillis(11) };
    assert_eq!(one(store, warm("a", 1, keep)).await, Outcome::NoSuchKey);
    done(store, Write::Delete(delete(1, "a"))).await;
    store.delete_bucket(&bucket(1).name).await.unwrap();
    assert_eq!(live(store, 2).await, 100);
    assert_eq!(store.recount().await.unwrap(), []);
    assert_eq!(store.warm_after(WarmAfter::default(), 10).await.unwrap().len(), 1);
    done(store, warm("a", 1, drop_it(WarmKind::Prefetched, 10))).await;
    assert_eq!(
        (live(store, 2).await, store.warm_after(WarmAfter::default(), 10).await.unwrap()),
        (0, vec![])
    );
}

/// A restore is wanted once, more urgently at most, becomes a restored copy and no other, and can be made longer.
pub async fn restores_are_wanted_and_done(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    let want = |kind, at| warm("a", 1, WarmStep::Want { kind, at: UnixMillis(at), days: 3 });
    assert_eq!(one(store, want(WarmKind::Pinned, 1)).await, Outcome::Moved);
    assert_eq!(one(store, want(WarmKind::WantedStandard, 1)).await, DONE);
    assert_eq!(one(store, want(WarmKind::WantedStandard, 2)).await, Outcome::Moved);
    assert_eq!(one(store, want(WarmKind::WantedBulk, 2)).await, Outcome::Moved);
    assert_eq!(one(store, want(WarmKind::WantedExpedited, 3)).await, DONE);
    let read_once = WarmStep::Read { reads: 1, at: UnixMillis(50), half_life_ms: 1_000 };
    done(store, warm("a", 1, read_once)).await;
    let row = read(store, "a", 1).await.unwrap();
    assert_eq!(
        (row.kind, row.at, row.days, row.place.is_some()),
        (WarmKind::WantedExpedited, UnixMillis(3), 3, false)
    );
    assert_eq!(one(store, warm("a", 1, packed(2, 0, WarmKind::Prefetched))).await, Outcome::Moved);
    assert_eq!(one(store, warm("a", 1, packed(2, 0, WarmKind::Restored))).await, DONE);
    let keep = |from, at| warm("a", 1, WarmStep::Keep { from, kind: WarmKind::Restored, at: UnixMillis(at) });
    assert_eq!(one(store, keep(WarmKind::Promoted, 20)).await, Outcome::Moved);
    assert_eq!(one(store, keep(WarmKind::Restored, 20)).await, DONE);
    let row = read(store, "a", 1).await.unwrap();
    assert_eq!((row.kind, row.at, row.heat.milli_reads), (WarmKind::Restored, UnixMillis(20), 1_000));
    // Restored again while the copy is still there: it is kept for that.
    assert_eq!(one(store, want(WarmKind::WantedBulk, 30)).await, DONE);
    assert_eq!(one(store, keep(WarmKind::WantedBulk, 40)).await, DONE);
    assert_eq!(live(store, 2).await, 100);
}

/// The transition of what write `tag` put as key `k` from GLACIER to another class.
fn from_glacier(k: &str, tag: u64, to: StorageClass) -> Write {
    Write::Transition(Box::new(Transition {
        bucket: bucket_id(1),
        key: key(k),
        version: version_id(0),
        write: WriteId::from_bytes(id(tag)),
        from: StorageClass::Glacier,
        to,
        place: None,
        moves: Vec::new(),
    }))
}

/// A move from one archive to another ended the restore, and its copy lived on until the restore would have ended by itself. It
/// expires with the move; what is restored anew until the same time is nothing that has expired.
pub async fn restored_copies_end_with_the_class_that_was_restored(store: &dyn MetadataStore) {
    begin(store).await;
    let want =
        |k, tag| warm(k, tag, WarmStep::Want { kind: WarmKind::WantedBulk, at: UnixMillis(3), days: 2 });
    let restored = |k, tag| warm(k, tag, packed(2, tag * 4096, WarmKind::Restored));
    for (k, tag) in [("alone", 1), ("together", 2), ("wanted", 3), ("stays", 4)] {
        let mut put = put_packed(1, k, tag, 1, 100);
        put.object.storage_class = StorageClass::Glacier;
        done(store, w(put)).await;
        done(store, want(k, tag)).await;
    }
    done(store, restored("alone", 1)).await;
    done(store, from_glacier("alone", 1, StorageClass::DeepArchive)).await;
    let both = vec![restored("together", 2), from_glacier("together", 2, StorageClass::DeepArchive)];
    assert_eq!(commit(store, both).await, [DONE, DONE]);
    done(store, from_glacier("wanted", 3, StorageClass::DeepArchive)).await;
    done(store, restored("stays", 4)).await;
    done(store, from_glacier("stays", 4, StorageClass::Glacier)).await;
    let seen = async |k, tag| read(store, k, tag).await.map(|row| (row.kind, row.at, row.length_bytes()));
    let expired = Some((WarmKind::Restored, UnixMillis(0), 100));
    assert_eq!((seen("alone", 1).await, seen("together", 2).await), (expired, expired));
    assert_eq!(seen("wanted", 3).await, Some((WarmKind::WantedBulk, UnixMillis(3), 0)), "it is not done yet");
    assert_eq!(seen("stays", 4).await, Some((WarmKind::Restored, UnixMillis(10), 100)));
    let query =
        WarmQuery { kind: WarmKind::Restored, from: UnixMillis(i64::MIN), until: UnixMillis(9), limit: 9 };
    assert_eq!(store.warm_of_kind(query).await.unwrap().len(), 2);
    assert_eq!((live(store, 2).await, store.recount().await.unwrap()), (300, vec![]));
    done(store, want("alone", 1)).await;
    let (from, kind) = (WarmKind::WantedBulk, WarmKind::Restored);
    done(store, warm("alone", 1, WarmStep::Keep { from, kind, at: UnixMillis(10) })).await;
    assert_eq!(
        one(store, warm("alone", 1, drop_it(kind, 0))).await,
        Outcome::Moved,
        "it is another restore's"
    );
    assert_eq!(one(store, warm("together", 2, drop_it(kind, 10))).await, Outcome::Moved);
    done(store, warm("together", 2, drop_it(kind, 0))).await;
    assert_eq!((live(store, 2).await, store.recount().await.unwrap()), (200, vec![]));
}

/// Reads are added up, and rows are found by kind and time, by place, and counted.
pub async fn rows_are_found_by_kind_and_place(store: &dyn MetadataStore) {
    begin(store).await;
    for n in 1..=6 {
        done(store, w(put_packed(1, &format!("k{n}"), n, 1, 100))).await;
        let read = WarmStep::Read { reads: 2, at: UnixMillis(n.cast_signed()), half_life_ms: 1_000 };
        done(store, warm(&format!("k{n}"), n, read.clone())).await;
    }
    for n in 1..=3 {
        let step = packed(2, n * 4096, WarmKind::Prefetched);
        done(store, warm(&format!("k{n}"), n, step)).await;
        let read = WarmStep::Read { reads: 1, at: UnixMillis(30 - n.cast_signed()), half_life_ms: 1_000 };
        done(store, warm(&format!("k{n}"), n, read)).await;
    }
    let of_kind = async |kind, from, until, limit| {
        let query = WarmQuery { kind, from: UnixMillis(from), until: UnixMillis(until), limit };
        let found = store.warm_of_kind(query).await.unwrap();
        found.iter().map(|found| found.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of_kind(WarmKind::Prefetched, 0, 100, 10).await, ["k3", "k2", "k1"], "by their last reads");
    assert_eq!(of_kind(WarmKind::Prefetched, 28, 28, 10).await, ["k2"]);
    assert_eq!(of_kind(WarmKind::Read, 5, 100, 1).await, ["k5"]);
    assert_eq!(of_kind(WarmKind::Pinned, 0, 100, 10).await, [""; 0]);
    let after = WarmAfter::prefix(bucket_id(1), "k2");
    let page = store.warm_after(after, 3).await.unwrap();
    assert_eq!(page.iter().map(|found| found.key.as_str()).collect::<Vec<_>>(), ["k2", "k3", "k4"]);
    let rest = store.warm_after(WarmAfter::behind(&page[2]), 9).await.unwrap();
    assert_eq!(rest.iter().map(|found| found.key.as_str()).collect::<Vec<_>>(), ["k5", "k6"]);
    let usage = store.warm_usage().await.unwrap();
    assert_eq!(
        usage,
        [
            WarmUsage { kind: WarmKind::Read, versions: 3, bytes: 0 },
            WarmUsage { kind: WarmKind::Prefetched, versions: 3, bytes: 300 }
        ]
    );
    assert_eq!(read(store, "k1", 1).await.unwrap().heat.milli_reads, 2_972);
}

/// The metadata refuses copies beyond the committed end of their volume, or in one that is not there.
pub async fn copies_need_their_volumes(store: &dyn MetadataStore) {
    begin(store).await;
    done(store, w(put_packed(1, "a", 1, 1, 100))).await;
    let beyond = packed(2, super::sample::FAR, WarmKind::Pinned);
    let refused = |step| crate::model::Commit { advances: Vec::new(), writes: vec![warm("a", 1, step)] };
    assert!(store.commit(refused(beyond)).await.is_err());
    assert!(store.commit(refused(packed(9, 0, WarmKind::Pinned))).await.is_err());
    assert_eq!(read(store, "a", 1).await, None);
}
