#![allow(clippy::unwrap_used, reason = "tests")]

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::*;
use crate::nodes::simulation::calm_nodes;
use crate::upkeep::Upkeep;

#[tokio::test]
async fn a_lease_was_not_let_go_when_the_threads_of_its_work_were_ended() {
    const WORK: &str = "work";
    let (nodes, upkeep) = (calm_nodes(), Upkeep::start().unwrap());
    let (taken, told) = oneshot::channel();
    let working = Arc::clone(&nodes);
    upkeep.spawn(async move {
        let claim = working.claim(WORK).await.unwrap();
        let _told = taken.send(claim.is_some());
        std::future::pending::<()>().await;
        drop(claim);
    });
    assert!(told.await.unwrap());
    assert!(nodes.claim(WORK).await.unwrap().is_none());
    upkeep.stop();
    let again = async {
        while nodes.claim(WORK).await.unwrap().is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), again).await.expect("the lease is not let go");
}

#[tokio::test]
async fn a_lease_was_renewed_on_the_threads_that_its_work_kept_busy() {
    const WORK: &str = "busy";
    let (nodes, upkeep) = (calm_nodes(), Upkeep::start().unwrap());
    let (taken, told) = oneshot::channel();
    let working = Arc::clone(&nodes);
    upkeep.spawn(async move { taken.send(working.claim(WORK).await.unwrap()).ok() });
    let claim = told.await.unwrap().unwrap();
    // With the threads gone nothing is done on them any more.
    upkeep.stop();
    let renewed = async {
        while nodes.membership.lease(WORK).await.unwrap().unwrap().beats == 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(5), renewed).await.unwrap();
    assert!(claim.is_held());
}
