use super::*;

#[tokio::test]
async fn waits_count_for_the_request_of_their_task_alone() {
    let wait = |ms| Waits { flush: Duration::from_millis(ms), metadata: Duration::from_millis(2 * ms) };
    wait(1).note();
    let (output, waited) = Waits::during(async {
        wait(10).note();
        tokio::task::yield_now().await;
        wait(5).note();
        tokio::spawn(async move { wait(100).note() }).await.unwrap();
        let (_, inner) = Waits::during(async { wait(1000).note() }).await;
        inner
    })
    .await;
    assert_eq!((output, waited), (wait(1000), wait(15)));
}
