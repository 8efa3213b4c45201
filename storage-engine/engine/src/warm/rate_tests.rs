use super::*;

#[tokio::test(start_paused = true)]
async fn a_rate_is_that_of_the_last_minutes() {
    let rate = Rate::default();
    assert_eq!(rate.bytes_per_second(), 0);
    rate.add(1_000_000);
    assert_eq!(rate.bytes_per_second(), 0, "nobody knows how long it took");
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(2)).await;
        rate.add(500);
        rate.add(500);
    }
    assert_eq!(rate.bytes_per_second(), 500);
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(rate.bytes_per_second(), 250, "nothing is done any more");
    tokio::time::advance(WINDOW).await;
    assert_eq!(rate.bytes_per_second(), 0);
}
