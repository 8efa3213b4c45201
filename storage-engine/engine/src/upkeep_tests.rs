use std::sync::Arc;

use super::*;

fn niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap()
}

#[tokio::test]
async fn its_threads_give_way_and_no_others() {
    let before = niceness();
    let upkeep = Arc::new(Upkeep::start().unwrap());
    let of_tasks = upkeep.spawn(async { niceness() }).await.unwrap();
    let blocking = async { tokio::task::spawn_blocking(niceness).await.unwrap() };
    let of_blocking = upkeep.spawn(blocking).await.unwrap();
    let outside = Arc::clone(&upkeep);
    let of_outside = upkeep.spawn(async move { outside.outside(niceness).await.unwrap() }).await.unwrap();
    assert_eq!(of_outside, before);
    let lower = (before + NICER).min(NICEST);
    assert_eq!((of_tasks, of_blocking), (lower, lower));
    assert_eq!(niceness(), before);
    assert_eq!(tokio::task::spawn_blocking(niceness).await.unwrap(), before);
}

#[tokio::test]
async fn it_ends_when_it_is_dropped_even_by_one_of_its_threads() {
    let upkeep = Arc::new(Upkeep::start().unwrap());
    let held = Arc::clone(&upkeep);
    let (dropped, told) = tokio::sync::oneshot::channel();
    upkeep.spawn(async move {
        tokio::task::yield_now().await;
        drop(held);
        let _told = dropped.send(());
    });
    drop(upkeep);
    told.await.unwrap();
}

#[tokio::test]
async fn what_it_runs_ends_when_it_is_stopped_by_whoever_else_holds_it() {
    let upkeep = Arc::new(Upkeep::start().unwrap());
    let held = Arc::clone(&upkeep);
    let work = upkeep.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    upkeep.stop();
    assert!(work.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&upkeep), 1);
    assert!(upkeep.spawn(async {}).await.unwrap_err().is_cancelled());
    upkeep.spawn_serving(async {}).await.unwrap();
}
