//! What one node hands over to another, and what it knows of it afterwards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use granary_cluster::conformance::sample;
use granary_cluster::rpc::{
    HAND_OVER_LENGTH_BYTES_MAX, HAND_OVER_PIECES_MAX, HandOverError, NotTaken, Peer, PeerOptions, TakesOver,
};
use granary_types::NodeId;

use crate::support::{CLIENT_NODE, Node, PATIENCE, Proxy, Weather, impatient_options, server_options, until};

/// What becomes of what is handed over.
#[derive(Debug, Clone, Copy)]
enum Taker {
    /// It comes back behind the sender's name, after a while.
    Echo(Duration),
    Refuses(NotTaken),
}

#[async_trait]
impl TakesOver for Taker {
    async fn take_over(&self, sender: NodeId, pieces: Vec<Bytes>) -> Result<Bytes, NotTaken> {
        match self {
            Self::Echo(after) => {
                tokio::time::sleep(*after).await;
                Ok([&sender.as_bytes()[..], &pieces.concat()].concat().into())
            }
            Self::Refuses(why) => Err(*why),
        }
    }
}

async fn node(taker: Option<Taker>) -> Node {
    let mut options = server_options();
    options.takes_over = taker.map(|taker| Arc::new(taker) as Arc<dyn TakesOver>);
    Node::start_with(options).await
}

async fn met(options: PeerOptions) -> Peer {
    let peer = Peer::new(options).unwrap();
    until("the node answers", || peer.state().is_alive()).await;
    peer
}

fn echo_of(pieces: &[Bytes]) -> Bytes {
    [&CLIENT_NODE.as_bytes()[..], &pieces.concat()].concat().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_arrive_as_they_were_and_the_answer_comes_back() {
    let node = node(Some(Taker::Echo(Duration::ZERO))).await;
    let peer = node.peer();
    until("the node answers", || peer.state().is_alive()).await;
    let pieces = vec![sample(1, 300), sample(2, 16 << 10), Bytes::new(), sample(3, 500_000)];
    assert_eq!(peer.hand_over(pieces.clone()).await.unwrap(), echo_of(&pieces));
    assert_eq!(peer.hand_over(Vec::new()).await.unwrap(), echo_of(&[]));
    let beside = (0..20).map(|number| {
        let (peer, pieces) = (&peer, vec![sample(number, 40_000)]);
        async move { assert_eq!(peer.hand_over(pieces.clone()).await.unwrap(), echo_of(&pieces)) }
    });
    futures::future::join_all(beside).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_taken_is_known_not_to_have_been() {
    let is_free = |error: &HandOverError| matches!(error, HandOverError::NotTaken(_));
    let is_strange = |error: &HandOverError| matches!(error, HandOverError::NotUnderstood(_));
    let pieces = || vec![sample(1, 5_000)];
    for (taker, strange) in [
        (None, false),
        (Some(Taker::Refuses(NotTaken::Closed)), false),
        (Some(Taker::Refuses(NotTaken::Malformed)), true),
    ] {
        let mut node = node(taker).await;
        let peer = node.peer();
        let error = peer.hand_over(pieces()).await;
        assert!(error.is_err(), "{taker:?}");
        until("the node answers", || peer.state().is_alive()).await;
        let error = peer.hand_over(pieces()).await.unwrap_err();
        assert_eq!((is_free(&error), is_strange(&error)), (!strange, strange), "{taker:?}: {error}");
        for too_much in [
            vec![sample(1, HAND_OVER_LENGTH_BYTES_MAX + 1)],
            vec![Bytes::from_static(b"1"); HAND_OVER_PIECES_MAX + 1],
        ] {
            assert!(peer.hand_over(too_much).await.is_err_and(|error| is_free(&error)));
        }
        node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_not_answered_is_of_unknown_outcome() {
    let is_unknown = |error: HandOverError| matches!(error, HandOverError::Unknown(_));
    let node = node(Some(Taker::Echo(PATIENCE))).await;
    let proxy = Proxy::start(node.address, Weather::Fair).await;
    let options = impatient_options(proxy.address);
    let peer = met(options).await;
    for weather in [Weather::Cut, Weather::BlackHole] {
        let turn = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(weather);
        };
        let (handed, ()) = tokio::join!(peer.hand_over(vec![sample(1, 20_000)]), turn);
        assert!(handed.is_err_and(is_unknown), "{weather:?}");
        if weather == Weather::Cut {
            proxy.set(Weather::Fair);
            // Connections are made anew after a pause.
            until("it answers on a new connection", || peer.state().is_alive() && peer.problem().is_none())
                .await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    until("it is suspected", || !peer.state().is_alive()).await;
    let late = peer.hand_over(vec![sample(1, 20_000)]).await;
    assert!(matches!(late, Err(HandOverError::NotTaken(_))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lives_is_waited_for_beyond_the_deadline() {
    let mut node_options = server_options();
    let slow = Taker::Echo(Duration::from_secs(3));
    node_options.takes_over = Some(Arc::new(slow));
    let node = Node::start_with(node_options).await;
    let mut options = impatient_options(node.address);
    options.timing.suspect_after = PATIENCE;
    options.timing.progress_deadline = Duration::from_secs(1);
    let peer = met(options).await;
    let pieces = vec![sample(1, 20_000)];
    assert_eq!(peer.hand_over(pieces.clone()).await.unwrap(), echo_of(&pieces));
}
