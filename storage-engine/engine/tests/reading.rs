//! Reading large objects through the engine's public API: ahead, in long runs, and within the budget.

use crate::common;

use common::{Store, bucket, bytes, drive, key, read};
use futures::StreamExt as _;
use granary_engine::ByteRange;

const LENGTH: usize = 19_000_003;

async fn range(store: &Store, start: usize, end: usize) -> bytes::Bytes {
    let object = store.engine.open_object(&bucket(), &key("k"), None).await.unwrap();
    read(object.read(ByteRange { start: start as u64, end: end as u64 })).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_over_many_runs_are_exact_on_whole_and_on_missing_drives() {
    for drives in [1, 3, 6] {
        let store = Store::open(drives).await;
        let body = bytes(LENGTH, 7);
        store.put("k", &body).await;
        let mut seed = 88_172_645_463_325_252_u64;
        let mut below = |limit: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % limit as u64).unwrap()
        };
        for lost in 0..2 {
            if lost == 1 && drives > 1 {
                std::fs::remove_dir_all(drive(store.dir.path(), drives - 1)).unwrap();
            }
            for _ in 0..40 {
                let start = below(LENGTH);
                let end = start + 1 + below(LENGTH - start);
                assert!(range(&store, start, end).await == body.slice(start..end), "{start}..{end}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_listen_leave_room_for_others() {
    let mut store = Store::open(6).await;
    store.options.read_budget_bytes = 0;
    store.restart().await;
    let body = bytes(LENGTH, 8);
    store.put("k", &body).await;
    // The smallest budget is 16 MiB: 32 stripes. Each of these holds at least one.
    let mut idle = Vec::new();
    for _ in 0..12 {
        let object = store.engine.open_object(&bucket(), &key("k"), None).await.unwrap();
        let mut stream = object.read(ByteRange { start: 0, end: LENGTH as u64 });
        let first = stream.next().await.unwrap().unwrap();
        idle.push((stream, first));
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let reading = range(&store, 0, LENGTH);
    let got = tokio::time::timeout(std::time::Duration::from_secs(60), reading).await;
    assert!(got.unwrap() == body);
    // What was read for them is still right, however late they take it.
    for (stream, first) in idle.drain(..) {
        let length = first.len();
        assert!(first == body.slice(..length));
        drop(first);
        assert!(read(stream).await.unwrap() == body.slice(length..));
    }
}
