use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A piece of work that takes so long.
async fn work(rate: &Rate, length_bytes: u64, seconds: u32) {
    let began = Instant::now();
    tokio::time::advance(SECOND * seconds).await;
    rate.add(length_bytes, began);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_that_of_the_last_minutes() {
    let rate = Rate::default();
    assert_eq!(rate.bytes_per_second(), 0);
    for _ in 0..10 {
        work(&rate, 1_000, 2).await;
    }
    assert_eq!(rate.bytes_per_second(), 500);
    work(&rate, 50_000, 20).await;
    assert_eq!(rate.bytes_per_second(), 1_500, "60,000 bytes in 40 seconds");
    tokio::time::advance(WINDOW).await;
    assert_eq!(rate.bytes_per_second(), 2_500, "the last piece alone");
    tokio::time::advance(SECOND).await;
    assert_eq!(rate.bytes_per_second(), 0);
}

/// Restores of a minute ago, and none since, made those of now seem to take longer and longer.
#[tokio::test(start_paused = true)]
async fn time_without_work_slowed_what_was_left_down() {
    let rate = Rate::default();
    work(&rate, 10_000, 10).await;
    for _ in 0..4 {
        tokio::time::advance(SECOND * 50).await;
        assert_eq!(rate.bytes_per_second(), 1_000, "nothing is to be done");
    }
    work(&rate, 10_000, 10).await;
    assert_eq!(rate.bytes_per_second(), 1_000);
}
