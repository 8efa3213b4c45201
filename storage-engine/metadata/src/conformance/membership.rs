//! Nodes, leases, and who owns what: for stores that several nodes share.

use granary_types::{ClusterId, DriveClass, DriveId, Epoch, NodeId, UnixMillis};

use super::sample::{id, volume, volume_id};
use crate::membership::Membership;
use crate::model::{Drain, DriveRow, DriveState, LeaseRow, NewNode, NodeState};
use crate::store::MetadataStore;

/// A node of a number.
#[must_use]
pub fn node_id(n: u64) -> NodeId {
    NodeId::from_bytes(id(n))
}

fn node(n: u64) -> NewNode {
    NewNode {
        id: node_id(n),
        address: format!("10.0.0.{n}:9100"),
        zone: "a".to_owned(),
        version: "1".to_owned(),
        schema: 2,
    }
}

/// A database belongs to the store that was first.
pub async fn the_first_store_keeps_the_database(members: &dyn Membership) {
    let store = |n| ClusterId::from_bytes(id(n));
    assert_eq!(members.cluster().await.unwrap(), None);
    assert_eq!(members.found(store(1)).await.unwrap(), store(1));
    assert_eq!(members.found(store(2)).await.unwrap(), store(1));
    assert_eq!(members.cluster().await.unwrap(), Some(store(1)));
}

/// Nodes join, beat, move, and are removed for good with their drives.
pub async fn nodes_come_and_go(one: (&dyn MetadataStore, &dyn Membership), two: &dyn MetadataStore) {
    let (store, members) = one;
    assert_eq!(members.beat(node_id(1), 0, 0).await.unwrap(), None);
    for n in [2, 1] {
        assert!(members.join(node(n)).await.unwrap());
    }
    assert_eq!(members.beat(node_id(2), 1, 70).await.unwrap(), Some(2));
    assert!(members.join(NewNode { address: "10.0.0.9:9100".to_owned(), ..node(1) }).await.unwrap());
    let nodes = members.nodes().await.unwrap();
    let seen: Vec<_> =
        nodes.iter().map(|n| (n.node.address.as_str(), n.state, n.beats, n.oldest_read_ms)).collect();
    let active = NodeState::Active;
    assert_eq!(seen, [("10.0.0.9:9100", active, 2, 0), ("10.0.0.2:9100", active, 2, 70)]);
    let drive = |n, slot| DriveRow {
        id: DriveId::from_bytes(id(n)),
        slot,
        path: String::new(),
        state: DriveState::Active,
        class: DriveClass::Hdd,
    };
    store.put_drive(drive(1, 0)).await.unwrap();
    two.put_drive(drive(2, 0)).await.unwrap();
    assert!(members.remove_node(node_id(2)).await.unwrap());
    assert!(!members.remove_node(node_id(7)).await.unwrap());
    let drives = members.node_drives().await.unwrap();
    let seen: Vec<_> = drives.iter().map(|d| (d.drive.id, d.node, d.drive.state)).collect();
    let expected = [(1, DriveState::Active), (2, DriveState::Retired)];
    assert_eq!(seen, expected.map(|(n, state)| (DriveId::from_bytes(id(n)), Some(node_id(n)), state)));
    assert_eq!(store.drives().await.unwrap().len(), 2);
    assert_eq!(members.beat(node_id(2), 2, 0).await.unwrap(), None);
    assert!(!members.join(node(2)).await.unwrap());
    assert_eq!(members.nodes().await.unwrap()[1].state, NodeState::Removed);
}

/// Open volumes say whose they are; sealed ones are not listed.
pub async fn open_volumes_have_an_owner(one: (&dyn MetadataStore, &dyn Membership), two: &dyn MetadataStore) {
    let (store, members) = one;
    store.open_volume(volume(1)).await.unwrap();
    two.open_volume(volume(2)).await.unwrap();
    two.open_volume(volume(3)).await.unwrap();
    store.seal_volume(volume_id(3)).await.unwrap();
    let open = members.open_volumes().await.unwrap();
    assert_eq!(open, [(volume_id(1), Some(node_id(1))), (volume_id(2), Some(node_id(2)))]);
}

/// A sign of life counts once however often it is sent, and one that comes after a later one counts for nothing.
pub async fn signs_of_life_count_once(members: &dyn Membership) {
    assert!(members.join(node(1)).await.unwrap());
    let beat = async |answered, age| members.beat(node_id(1), answered, age).await.unwrap();
    let seen = async || members.nodes().await.unwrap().first().map(|row| (row.beats, row.oldest_read_ms));
    // A new life learns where the counter is.
    assert_eq!(beat(0, 5).await, Some(1));
    assert_eq!(beat(1, 10).await, Some(2));
    assert_eq!(beat(1, 20).await, Some(2));
    assert_eq!(seen().await, Some((2, 20)));
    assert_eq!(beat(2, 30).await, Some(3));
    assert_eq!(beat(1, 0).await, Some(3));
    assert_eq!(seen().await, Some((3, 30)));
}

/// A lease has one holder; whoever takes it has seen how it was.
pub async fn leases_have_one_holder(members: &dyn Membership) {
    let take = async |n, seen| members.take_lease("work", node_id(n), seen).await.unwrap();
    assert_eq!(members.lease("work").await.unwrap(), None);
    let begun = take(1, None).await.unwrap();
    assert_eq!(take(2, None).await, None);
    let first = LeaseRow { holder: node_id(1), epoch: begun, beats: 0 };
    assert_eq!(members.lease("work").await.unwrap(), Some(first));
    assert!(members.renew_lease("work", node_id(1), begun).await.unwrap());
    assert!(!members.renew_lease("work", node_id(2), begun).await.unwrap());
    // It went on meanwhile.
    assert_eq!(take(2, Some(first)).await, None);
    let renewed = LeaseRow { beats: 1, ..first };
    let next = begun.next().unwrap();
    assert_eq!(take(2, Some(renewed)).await, Some(next));
    assert_eq!(take(3, Some(renewed)).await, None);
    assert!(!members.renew_lease("work", node_id(1), begun).await.unwrap());
    assert!(members.renew_lease("work", node_id(2), next).await.unwrap());
    // One that was let go is free at once, and only its holder lets go.
    assert!(!members.release_lease("work", node_id(1), next).await.unwrap());
    assert!(!members.release_lease("work", node_id(2), begun).await.unwrap());
    assert!(members.release_lease("work", node_id(2), next).await.unwrap());
    assert!(!members.renew_lease("work", node_id(2), next).await.unwrap());
    assert!(take(3, None).await.is_some());
}

/// A node that slept holds nothing of a lease that was let go and taken anew by the same node, however often.
pub async fn who_held_a_lease_once_does_not_hold_the_next(members: &dyn Membership) {
    let mut before: Vec<Epoch> = Vec::new();
    for _ in 0..8 {
        let epoch = members.take_lease("again", node_id(1), None).await.unwrap().unwrap();
        for old in &before {
            assert!(!members.renew_lease("again", node_id(1), *old).await.unwrap(), "{old} of {before:?}");
            assert!(!members.release_lease("again", node_id(1), *old).await.unwrap(), "{old} of {before:?}");
        }
        assert!(members.release_lease("again", node_id(1), epoch).await.unwrap());
        before.push(epoch);
    }
}

/// Drives are emptied, are so no more, and are retired for good.
pub async fn drives_are_emptied_and_retired(
    one: (&dyn MetadataStore, &dyn Membership),
    two: &dyn Membership,
) {
    let (store, members) = one;
    let drive = |n| DriveId::from_bytes(id(n));
    for (n, slot) in [(1, 0), (2, 1)] {
        let row = DriveRow {
            id: drive(n),
            slot,
            path: format!("/{n}"),
            state: DriveState::Active,
            class: DriveClass::Ssd,
        };
        store.put_drive(row).await.unwrap();
    }
    let drain = |n, target: Option<DriveId>| Drain {
        drive: drive(n),
        target,
        began: UnixMillis(7),
        shards: 3,
        length_bytes: 1 << 40,
    };
    assert_eq!(members.drains().await.unwrap(), []);
    members.put_drain(drain(2, None)).await.unwrap();
    members.put_drain(drain(1, None)).await.unwrap();
    members.put_drain(drain(2, Some(drive(9)))).await.unwrap();
    assert_eq!(two.drains().await.unwrap(), [drain(1, None), drain(2, Some(drive(9)))]);
    // What a node says of its drives when it starts does not end it.
    let row = DriveRow {
        id: drive(2),
        slot: 1,
        path: "/new".to_owned(),
        state: DriveState::Active,
        class: DriveClass::Ssd,
    };
    store.put_drive(row).await.unwrap();
    assert!(two.end_drain(drive(1)).await.unwrap());
    assert!(!two.end_drain(drive(1)).await.unwrap());
    assert_eq!(members.drains().await.unwrap(), [drain(2, Some(drive(9)))]);
    assert!(two.retire_drive(drive(2)).await.unwrap());
    assert!(!two.retire_drive(drive(8)).await.unwrap());
    assert_eq!(members.drains().await.unwrap(), []);
    let drives = members.node_drives().await.unwrap();
    let seen: Vec<_> = drives.iter().map(|d| (d.drive.id, d.node, d.drive.state)).collect();
    let expected = [(1, DriveState::Active), (2, DriveState::Retired)];
    assert_eq!(seen, expected.map(|(n, state)| (drive(n), Some(node_id(1)), state)));
}
