use std::time::Duration;

use futures::future::join_all;
use md5::Digest as _;
use proptest::prelude::*;

use super::queue::Queue;
use super::*;
use bytes::Bytes;

const MIB: usize = 1024 * 1024;

fn pool() -> Md5Pool {
    Md5Pool::with_threads(1, Kernel::detect()).unwrap()
}

fn expected(data: &[u8]) -> [u8; 16] {
    md5::Md5::digest(data).into()
}

fn data(length: usize, seed: usize) -> Bytes {
    (0..length).map(|byte| u8::try_from((byte * 31 + byte / 256 + seed) % 251).unwrap()).collect()
}

async fn hash(pool: &Md5Pool, mut data: Bytes, piece_bytes: usize) -> [u8; 16] {
    let mut md5 = pool.body(u64::MAX).unwrap();
    while !data.is_empty() {
        let piece = data.split_to(piece_bytes.min(data.len()));
        md5.update(&piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    md5.finish().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_hashed_together_get_their_own_digests() {
    for kernel in Kernel::available() {
        let pool = Md5Pool::with_threads(2, kernel).unwrap();
        let bodies: Vec<_> = (0..40).map(|body| data(body * 70_001, body)).collect();
        let hashes =
            bodies.iter().enumerate().map(|(body, data)| hash(&pool, data.clone(), 1000 + body * 3001));
        for (found, body) in join_all(hashes).await.into_iter().zip(&bodies) {
            assert_eq!(found, expected(body), "{} bytes, {}", body.len(), kernel.name());
        }
    }
}

#[tokio::test]
async fn bodies_of_any_length_give_right_digests_alone() {
    let pool = pool();
    for length in [0, 1, 63, 64, 65, 32 * 1024, 32 * 1024 + 1, 70_000, 3 * MIB] {
        assert_eq!(hash(&pool, data(length, 1), 10_000).await, expected(&data(length, 1)), "{length}");
    }
}

#[tokio::test]
async fn short_bodies_stay_with_their_task() {
    let pool = pool();
    let mut md5 = pool.body(SHORT_BYTES_MAX).unwrap();
    assert_eq!(pool.workers[0].open_bodies(), 0);
    md5.update(&Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(md5.finish().await.unwrap(), expected(b"abc"));
}

#[tokio::test]
async fn a_stalled_body_holds_nobody_up() {
    let pool = pool();
    let mut stalled = pool.body(u64::MAX).unwrap();
    stalled.update(&data(100, 0)).await.unwrap();
    let body = data(8 * MIB, 3);
    let found = tokio::time::timeout(Duration::from_mins(1), hash(&pool, body.clone(), 100_000)).await;
    assert_eq!(found.unwrap(), expected(&body));
    assert_eq!(stalled.finish().await.unwrap(), expected(&data(100, 0)));
}

#[tokio::test]
async fn a_dropped_body_gives_its_lane_up() {
    let pool = pool();
    for _ in 0..50 {
        let mut md5 = pool.body(u64::MAX).unwrap();
        // Cancelled in the middle of anything, waiting for room too.
        let _ = tokio::time::timeout(Duration::from_micros(200), async {
            loop {
                md5.update(&data(300_000, 0)).await.unwrap();
            }
        })
        .await;
    }
    assert_eq!(pool.workers[0].open_bodies(), 0);
    assert_eq!(hash(&pool, data(MIB, 5), 50_000).await, expected(&data(MIB, 5)));
}

#[tokio::test]
async fn tiny_pieces_do_not_pile_up() {
    let pool = pool();
    let body = data(20_000, 9);
    assert_eq!(hash(&pool, body.clone(), 1).await, expected(&body));
    let mut queue = Queue::default();
    let (id, _) = queue.open();
    let pushed = (0..10_000).take_while(|_| {
        queue.push(id, Bytes::from_static(b"x"));
        queue.has_room(id) == Some(true)
    });
    assert_eq!(pushed.count(), QUEUE_PIECES_MAX);
    assert!(queue.is_worth_a_round());
}

#[test]
fn a_round_waits_for_all_open_bodies_unless_one_is_urgent() {
    let mut queue = Queue::default();
    let ((first, _), (second, _)) = (queue.open(), queue.open());
    assert!(!queue.push(first, data(READY_BYTES, 0)));
    assert!(!queue.push(second, data(READY_BYTES - 1, 0)));
    assert!(queue.push(second, data(1, 0)));
    let round = queue.take_round();
    assert_eq!(round.len(), 2);
    round.into_iter().for_each(|taken| queue.put_back(taken.id, taken.md5));
    assert!(!queue.push(first, data(URGENT_BYTES - 1, 0)));
    assert!(queue.push(first, data(1, 0)));
    let round = queue.take_round();
    assert_eq!(
        round.iter().map(|taken| taken.pieces.iter().map(Bytes::len).sum::<usize>()).sum::<usize>(),
        ROUND_BYTES_MAX
    );
    assert!(!queue.is_worth_a_round());
    assert!(!queue.close(first));
    assert!(!queue.close(second));
}

#[tokio::test]
async fn bodies_are_told_when_their_thread_is_gone() {
    let pool = pool();
    let mut md5 = pool.body(u64::MAX).unwrap();
    md5.update(&data(100, 0)).await.unwrap();
    let worker = Arc::clone(&pool.workers[0]);
    drop(pool);
    // The thread outlives the pool until its last body has ended.
    assert_eq!(md5.finish().await.unwrap(), expected(&data(100, 0)));
    while BodyMd5::on_thread(Arc::clone(&worker)).is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn any_bodies_in_any_pieces(bodies in prop::collection::vec((0_usize..400_000, 1_usize..100_000), 1..24)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let pool = pool();
            let hashes = bodies.iter().map(|&(length, piece)| hash(&pool, data(length, piece), piece));
            for (found, &(length, piece)) in join_all(hashes).await.into_iter().zip(&bodies) {
                assert_eq!(found, expected(&data(length, piece)));
            }
        });
    }
}
