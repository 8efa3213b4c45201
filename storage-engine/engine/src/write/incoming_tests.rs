use bytes::Bytes;
use granary_metadata::{BlobMove, Write};
use granary_types::BlobId;
use tokio::sync::oneshot;

use super::*;
use crate::write::Recorded;

const KIB: usize = 1024;

/// A request of so many bytes and writes.
fn request(bytes: usize, writes: usize) -> Request {
    let blob = BlobMove { blob: BlobId::from_bytes([1; 16]), from: Vec::new(), to: Vec::new() };
    let writes = vec![Write::MoveBlob(Box::new(blob)); writes];
    Request {
        items: vec![Item { bytes: Bytes::from(vec![0; bytes]), hash: [0; 32], record: Vec::new() }],
        write: PackWrite::Recorded(Recorded { writes, ..Recorded::default() }),
        room: None,
        reply: oneshot::channel().0,
        _waiting: None,
    }
}

fn lot(count: usize, bytes: usize) -> Vec<Request> {
    (0..count).map(|_| request(bytes, 1)).collect()
}

/// The next groups, each as how many requests it has.
async fn groups(incoming: &mut Incoming, data_columns: u8, count: usize) -> Vec<usize> {
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(incoming.group(data_columns).await.unwrap().len());
    }
    groups
}

#[tokio::test]
async fn a_lot_is_one_group_that_is_the_longer_the_wider_the_code() {
    for (data_columns, bytes) in [(2, 8 << 20), (4, 8 << 20), (8, 16 << 20), (9, 18 << 20)] {
        assert_eq!(lot_bytes(data_columns), bytes);
        let (entrance, mut incoming) = Incoming::new();
        // A stripe more than it is measured by.
        let count = bytes / (10 * KIB) + 100;
        entrance.lots.send(lot(count, 10 * KIB)).await.unwrap();
        drop(entrance);
        assert_eq!(groups(&mut incoming, data_columns, 1).await, [count]);
        assert!(incoming.group(data_columns).await.is_none());
    }
}

#[tokio::test]
async fn what_is_more_than_a_group_makes_equal_ones() {
    let (entrance, mut incoming) = Incoming::new();
    entrance.lots.send(lot(2_100, KIB)).await.unwrap();
    assert_eq!(groups(&mut incoming, 8, 2).await, [1_050; 2]);
    entrance.lots.send(lot(4 * 1_638, 10 * KIB)).await.unwrap();
    assert_eq!(groups(&mut incoming, 8, 4).await, [1_638; 4]);
    let many: Vec<Request> = (0..1_000).map(|_| request(KIB, 5)).collect();
    entrance.lots.send(many).await.unwrap();
    assert_eq!(groups(&mut incoming, 8, 3).await, [334, 333, 333]);
}

#[tokio::test]
async fn clients_and_lots_take_turns_and_clients_wait_for_no_long_group() {
    let (entrance, mut incoming) = Incoming::new();
    entrance.lots.send(lot(1_638, 10 * KIB)).await.unwrap();
    entrance.lots.send(lot(1_638, 10 * KIB)).await.unwrap();
    for _ in 0..1_500 {
        entrance.requests.send(request(KIB, 1)).await.unwrap();
    }
    // Of clients 1,024, half of a lot, the clients' rest, and the other half.
    assert_eq!(groups(&mut incoming, 8, 4).await, [1_024, 819, 476, 819]);
    // Nobody came since then.
    assert_eq!(groups(&mut incoming, 8, 1).await, [1_638]);
    entrance.lots.send(lot(10, KIB)).await.unwrap();
    entrance.requests.send(request(KIB, 1)).await.unwrap();
    drop(entrance);
    assert_eq!(groups(&mut incoming, 8, 2).await, [1, 10]);
    assert!(incoming.group(8).await.is_none());
}

#[tokio::test]
async fn a_group_waits_for_whatever_comes_first() {
    let (entrance, mut incoming) = Incoming::new();
    for _ in 0..2 {
        let (group, _) = tokio::join!(incoming.group(4), entrance.lots.send(lot(3, KIB)));
        assert_eq!(group.unwrap().len(), 3);
        let (group, _) = tokio::join!(incoming.group(4), entrance.requests.send(request(KIB, 1)));
        assert_eq!(group.unwrap().len(), 1);
    }
}

#[test]
fn what_is_queued_counts_until_it_is_taken() {
    let count = Arc::new(AtomicUsize::new(0));
    let requests: Vec<Request> =
        (0..3).map(|_| Request { _waiting: Some(Waiting::of(&count)), ..request(KIB, 1) }).collect();
    assert_eq!(count.load(Ordering::Relaxed), 3);
    drop(requests);
    assert_eq!(count.load(Ordering::Relaxed), 0);
}
