use futures::future::join_all;

use super::*;

const PIECE_BYTES: u64 = 512 * 1024;

/// Moves so many pieces, each of which takes some time to copy and then to compare. How long that took.
async fn moved(pacer: &Pacer, pieces: u64, took: Duration, is_busy: bool) -> Duration {
    let (begun, mut turn) = (Instant::now(), Turn::default());
    for _ in 0..pieces {
        for length_bytes in [PIECE_BYTES, 0] {
            let began = Instant::now();
            if !took.is_zero() {
                tokio::time::sleep(took).await;
            }
            pacer.pace(&mut turn, began, length_bytes, is_busy).await;
        }
    }
    begun.elapsed()
}

fn assert_near(took: Duration, expected: Duration) {
    let (low, high) = (expected.mul_f64(0.95), expected.mul_f64(1.05));
    assert!(took >= low && took <= high, "{took:?}, not {expected:?}");
}

fn at_rate(pieces: u64, rate_bytes: u64) -> Duration {
    Duration::from_nanos(pieces * PIECE_BYTES * 1_000_000_000 / rate_bytes)
}

#[tokio::test(start_paused = true)]
async fn moves_take_what_their_bytes_take_at_the_rate() {
    for (rate_bytes, pieces) in [(65_536, 4), (7_000_000, 50), (100_000_000, 1_000), (500_000_000, 5_000)] {
        let pacer = Pacer::new(rate_bytes);
        let took = moved(&pacer, pieces, Duration::ZERO, false).await;
        assert_near(took, at_rate(pieces, rate_bytes));
    }
}

/// What the work itself takes is part of it, and is not slept once more.
#[tokio::test(start_paused = true)]
async fn work_counts_towards_the_time() {
    let pacer = Pacer::new(100_000_000);
    let took = moved(&pacer, 1_000, Duration::from_millis(2), false).await;
    assert_near(took, at_rate(1_000, 100_000_000));
}

#[tokio::test(start_paused = true)]
async fn two_moves_together_make_the_rate() {
    let (rate_bytes, pieces) = (200_000_000, 1_000);
    let pacer = Pacer::new(rate_bytes);
    let begun = Instant::now();
    let each = join_all((0..2).map(|_| moved(&pacer, pieces, Duration::ZERO, false))).await;
    assert_near(begun.elapsed(), at_rate(2 * pieces, rate_bytes));
    // Neither has to wait until the other one is done.
    each.into_iter().for_each(|took| assert_near(took, at_rate(2 * pieces, rate_bytes)));
}

/// Many moves of one short piece each.
#[tokio::test(start_paused = true)]
async fn short_moves_keep_to_the_rate_as_well() {
    let (rate_bytes, moves) = (200_000_000, 4_000);
    let (pacer, begun) = (Pacer::new(rate_bytes), Instant::now());
    for _ in 0..moves {
        moved(&pacer, 1, Duration::ZERO, false).await;
    }
    assert_near(begun.elapsed(), at_rate(moves, rate_bytes));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_moved_is_not_caught_up_with() {
    let (rate_bytes, pieces) = (100_000_000, 400);
    let pacer = Pacer::new(rate_bytes);
    moved(&pacer, pieces, Duration::ZERO, false).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_near(moved(&pacer, pieces, Duration::ZERO, false).await, at_rate(pieces, rate_bytes));
}

/// Half of the time is work, be it copying or comparing, and no rest is longer than two seconds.
#[tokio::test(start_paused = true)]
async fn beside_clients_half_of_the_time_is_rest() {
    let pacer = Pacer::new(500_000_000);
    let work = Duration::from_millis(8);
    assert_near(moved(&pacer, 100, work, true).await, work * 2 * 100 * 2);
    let long = Duration::from_secs(3);
    assert_near(moved(&pacer, 5, long, true).await, (long + REST_MAX) * 2 * 5);
}

/// Several moves at the same time each took a part of the time for themselves.
#[tokio::test(start_paused = true)]
async fn beside_clients_moves_rest_together() {
    let (pacer, work, begun) = (Pacer::new(500_000_000), Duration::from_millis(8), Instant::now());
    let each = join_all((0..3).map(|_| moved(&pacer, 100, work, true))).await;
    assert_near(begun.elapsed(), work * 2 * 100 * 2 * 3);
    each.into_iter().for_each(|took| assert_near(took, work * 2 * 100 * 2 * 3));
}

#[tokio::test(start_paused = true)]
async fn who_hung_on_a_drive_keeps_no_other_move_for_long() {
    let (pacer, hung) = (Pacer::new(500_000_000), Duration::from_mins(1));
    let each = join_all((0..2).map(|_| moved(&pacer, 1, hung, true))).await;
    each.into_iter().for_each(|took| assert!(took <= hung * 2 + REST_MAX * 2 * 2, "{took:?}"));
}

/// The rest that the rate asks for is not added to the one that clients are left.
#[tokio::test(start_paused = true)]
async fn the_longer_rest_counts() {
    let (rate_bytes, pieces) = (10_000_000, 100);
    let pacer = Pacer::new(rate_bytes);
    let took = moved(&pacer, pieces, Duration::from_millis(1), true).await;
    assert_near(took, at_rate(pieces, rate_bytes));
}
