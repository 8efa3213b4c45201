//! Nodes and networks that fail, and come back.

use std::time::{Duration, Instant};

use granary_cluster::access::{DriveAccess as _, LaneKind};
use granary_cluster::conformance::{FIRST_OFFSET, PROFILE, append, fresh_name, sample};
use granary_cluster::rpc::{Peer, PeerState};
use granary_drive::{DriveError, Resting};
use tokio::net::TcpListener;

use crate::support::{Node, PATIENCE, Proxy, Weather, impatient_options, only_drive, peer_options, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_accepts_and_says_nothing_never_lives() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    let peer = Peer::new(impatient_options(address)).unwrap();
    until("its silence is noted", || peer.problem().is_some()).await;
    assert_eq!(peer.state(), PeerState::Dead { quiet: None });
    assert!(peer.drives().is_empty());
    silent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_is_suspected_then_dead_then_comes_back() {
    let node = Node::start().await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let options = impatient_options(proxy.address);
    let timing = options.timing;
    let peer = Peer::new(options).unwrap();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 5000))).await.unwrap();

    proxy.set(Weather::BlackHole);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(peer.state().is_alive(), "one missed heartbeat is not a suspicion");
    let begun = Instant::now();
    let (read, appended) = tokio::join!(
        shard.read(FIRST_OFFSET, 5000),
        shard.append(append(LaneKind::Packed, FIRST_OFFSET + 5000, sample(2, 100)))
    );
    assert!(matches!(read, Err(DriveError::Stalled { .. })), "{read:?}");
    assert!(appended.is_err_and(|error| !error.is_lost()));
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    until("it is suspected", || !peer.state().is_alive()).await;
    assert!(!drive.is_usable());
    until("it is dead", || matches!(peer.state(), PeerState::Dead { quiet: Some(_) })).await;
    let begun = Instant::now();
    assert!(shard.read(FIRST_OFFSET, 5000).await.is_err_and(|error| !error.is_lost()));
    assert!(begun.elapsed() < timing.progress_deadline, "the dead are not waited for");

    proxy.set(Weather::Fair);
    until("it is back", || drive.is_usable()).await;
    // It is the same life: what was open is open.
    until_read(&shard, &sample(1, 5000)).await;
    let late = shard.append(append(LaneKind::Packed, FIRST_OFFSET + 5000, sample(2, 100))).await;
    assert!(late.is_err(), "nothing follows an append whose outcome is not known");
    let next = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    next.append(append(LaneKind::Packed, FIRST_OFFSET, sample(3, 100))).await.unwrap();
}

/// Connections are made anew one by one, so the first reads after a failure may still fail.
async fn until_read(
    shard: &std::sync::Arc<dyn granary_cluster::access::ShardAccess>,
    expected: &bytes::Bytes,
) {
    let begun = Instant::now();
    loop {
        match shard.read(FIRST_OFFSET, expected.len()).await {
            Ok(read) => return assert_eq!(read, expected),
            Err(error) => {
                assert!(!error.is_lost(), "{error}");
                assert!(begun.elapsed() < PATIENCE, "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_end_with_the_life_of_the_node_that_serves_them() {
    let mut node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    let name = fresh_name();
    let shard = drive.create_shard(name, PROFILE).await.unwrap();
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 5000))).await.unwrap();
    node.restart().await;
    until_read(&shard, &sample(1, 5000)).await;
    for _ in 0..2 {
        let error = shard.append(append(LaneKind::Packed, FIRST_OFFSET + 5000, sample(2, 10))).await;
        let error = error.unwrap_err();
        assert!(!error.is_lost() && !error.is_no_space(), "{error}");
    }
    let opened = drive.open_shard(name, PROFILE).await.unwrap();
    assert_eq!(opened.read(FIRST_OFFSET, 6000).await.unwrap(), sample(1, 5000), "nothing was written");
    assert!(opened.append(append(LaneKind::Packed, FIRST_OFFSET + 5000, sample(2, 10))).await.is_err());
    let fresh = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    fresh.append(append(LaneKind::Packed, FIRST_OFFSET, sample(3, 10))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_killed_in_the_middle_of_appends_fails_them_and_comes_back() {
    let mut node = Node::start().await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let mut options = peer_options(proxy.address);
    options.timing.suspect_after = Duration::from_secs(3);
    let peer = Peer::new(options).unwrap();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    // All of them take seconds: the node is killed before the last one.
    proxy.set(Weather::Slow(Duration::from_millis(5)));
    const LENGTH_BYTES: u64 = 1 << 20;
    let waits: Vec<_> = (0..48)
        .map(|number| {
            let bytes = sample(number, 1 << 20);
            tokio::spawn(shard.append(append(LaneKind::Bulk, FIRST_OFFSET + number * LENGTH_BYTES, bytes)))
        })
        .collect();
    let mut results = Vec::new();
    for (number, wait) in waits.into_iter().enumerate() {
        results.push(wait.await.unwrap());
        if number == 4 {
            node.kill().await;
        }
    }
    let written = results.iter().take_while(|result| result.is_ok()).count();
    assert!((5..48).contains(&written), "{written}");
    assert!(results[written..].iter().all(|result| result.as_ref().is_err_and(|error| !error.is_lost())));
    until("its death is seen", || !drive.is_usable()).await;
    node.restart().await;
    proxy.set(Weather::Fair);
    until("it is back", || drive.is_usable()).await;
    for number in 0..written as u64 {
        let read = shard.read(FIRST_OFFSET + number * LENGTH_BYTES, 1 << 20).await.unwrap();
        assert_eq!(read, sample(number, 1 << 20), "an acknowledged append is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_in_the_middle_of_an_append_writes_nothing_of_it() {
    let node = Node::start().await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let peer = Peer::new(peer_options(proxy.address)).unwrap();
    let drive = only_drive(&peer).await;
    let name = fresh_name();
    let shard = drive.create_shard(name, PROFILE).await.unwrap();
    proxy.set(Weather::CutAfter(1 << 20));
    let error = shard.append(append(LaneKind::Bulk, FIRST_OFFSET, sample(1, 4 << 20))).await.unwrap_err();
    assert!(!error.is_lost(), "{error}");
    proxy.set(Weather::Fair);
    until("it is back", || drive.is_usable()).await;
    let begun = Instant::now();
    let opened = loop {
        match drive.open_shard(name, PROFILE).await {
            Ok(opened) => break opened,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    until_read(&opened, &bytes::Bytes::new()).await;
    assert!(opened.read(FIRST_OFFSET, 4 << 20).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_that_moves_is_waited_for() {
    let node = Node::start().await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let mut options = peer_options(proxy.address);
    let progress_deadline = Duration::from_secs(4);
    options.timing.progress_deadline = progress_deadline;
    let peer = Peer::new(options).unwrap();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    // 64 KiB each 25 ms: 16 MiB take more than 6 s, beyond the deadline, but something always moves.
    proxy.set(Weather::Slow(Duration::from_millis(25)));
    let bytes = sample(1, 16 << 20);
    let begun = Instant::now();
    shard.append(append(LaneKind::Bulk, FIRST_OFFSET, bytes.clone())).await.unwrap();
    assert!(begun.elapsed() > progress_deadline, "{:?}", begun.elapsed());
    assert_eq!(shard.read(FIRST_OFFSET, bytes.len()).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_cut_again_and_again_are_made_again() {
    let node = Node::start().await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let peer = Peer::new(peer_options(proxy.address)).unwrap();
    let drive = only_drive(&peer).await;
    for round in 0..5 {
        until("it is there", || drive.is_usable()).await;
        let begun = Instant::now();
        loop {
            let written = async {
                let shard = drive.create_shard(fresh_name(), PROFILE).await?;
                shard.append(append(LaneKind::Bulk, FIRST_OFFSET, sample(round, 100_000))).await?;
                shard.read(FIRST_OFFSET, 100_000).await
            };
            match written.await {
                Ok(read) => break assert_eq!(read, sample(round, 100_000)),
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.set(Weather::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.set(Weather::Fair);
    }
    let accepted = proxy.accepted.load(std::sync::atomic::Ordering::Relaxed);
    assert!(accepted < 100, "attempts to connect are paced: {accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_order_answers_what_it_has() {
    let node = Node::start().await;
    let mut options = peer_options(node.address);
    options.timing.suspect_after = Duration::from_secs(3);
    let peer = Peer::new(options).unwrap();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    let wait = tokio::spawn(shard.append(append(LaneKind::Bulk, FIRST_OFFSET, sample(1, 2 << 20))));
    wait.await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE / 2, node.stop()).await.unwrap();
    until("its end is seen", || !drive.is_usable()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_drive_is_not_used_and_taken_back_when_it_is_well() {
    let node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    node.drive.mark_failed();
    until("the failure is heard of", || !drive.is_usable()).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    node.drive.probe(Resting::Skip).unwrap();
    until("it is well again", || drive.is_usable()).await;
    let marked = Instant::now();
    drive.mark_failed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // For two seconds at first.
    let is_usable = drive.is_usable() && marked.elapsed() < Duration::from_secs(2);
    assert!(!is_usable, "a failure that was seen from here counts for a while");
    until("it is taken back", || drive.is_usable()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_to_a_retired_drive_fail_before_its_heartbeat_says_so() {
    let node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    node.drive.retire();
    let error = shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 10))).await.unwrap_err();
    assert!(matches!(error, DriveError::Tampered { what: "taken out of use", .. }), "{error:?}");
    until("it is heard of", || drive.is_retired()).await;
}
