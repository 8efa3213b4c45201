use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream;

use super::*;

fn counted(pieces: usize, piece_bytes: usize) -> (Body, Arc<AtomicUsize>) {
    let polled = Arc::new(AtomicUsize::new(0));
    let count = polled.clone();
    let items = (0..pieces).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from(vec![0; piece_bytes]))
    });
    (Body::from_stream(stream::iter(items)), polled)
}

#[tokio::test]
async fn what_was_not_read_is_discarded() {
    let (body, polled) = counted(10, 100);
    let leftover = Leftover::default();
    let mut watched = leftover.watch(body);
    watched.frame().await.unwrap().unwrap();
    drop(watched);
    assert_eq!(polled.load(Ordering::Relaxed), 1);
    leftover.discard().await;
    assert_eq!(polled.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn only_so_much_is_discarded() {
    let (body, polled) = counted(1_000, 1024 * 1024);
    let leftover = Leftover::default();
    drop(leftover.watch(body));
    leftover.discard().await;
    assert_eq!(polled.load(Ordering::Relaxed), 9);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_not_waited_for() {
    let leftover = Leftover::default();
    drop(leftover.watch(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())));
    leftover.discard().await;
}
