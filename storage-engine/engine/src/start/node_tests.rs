#![allow(clippy::unwrap_used, clippy::unimplemented, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use granary_metadata::{Drain, DriveRow, LeaseRow, MetadataError, NodeDrive, NodeRow};
use granary_types::{DriveClass, Epoch, VolumeId};

use super::*;

type Answer<T> = Result<T, MetadataError>;

const FOUNDED: ClusterId = ClusterId::from_bytes([7; 16]);

/// A database in which another node founds a store right after somebody has looked whose it is.
#[derive(Default)]
struct FoundedMeanwhile {
    is_founded: AtomicBool,
}

#[async_trait]
impl Membership for FoundedMeanwhile {
    async fn cluster(&self) -> Answer<Option<ClusterId>> {
        Ok(self.is_founded.swap(true, Ordering::Relaxed).then_some(FOUNDED))
    }

    async fn node_drives(&self) -> Answer<Vec<NodeDrive>> {
        let drive = DriveRow {
            id: DriveId::from_bytes([1; 16]),
            slot: 0,
            path: String::new(),
            state: DriveState::Active,
            class: DriveClass::Ssd,
        };
        Ok(vec![NodeDrive { drive, node: None }])
    }

    async fn found(&self, _: ClusterId) -> Answer<ClusterId> {
        unimplemented!()
    }

    async fn join(&self, _: NewNode) -> Answer<bool> {
        unimplemented!()
    }

    async fn beat(&self, _: NodeId, _: u64, _: u64) -> Answer<Option<u64>> {
        unimplemented!()
    }

    async fn nodes(&self) -> Answer<Vec<NodeRow>> {
        unimplemented!()
    }

    async fn remove_node(&self, _: NodeId) -> Answer<bool> {
        unimplemented!()
    }

    async fn open_volumes(&self) -> Answer<Vec<(VolumeId, Option<NodeId>)>> {
        unimplemented!()
    }

    async fn lease(&self, _: &str) -> Answer<Option<LeaseRow>> {
        unimplemented!()
    }

    async fn take_lease(&self, _: &str, _: NodeId, _: Option<LeaseRow>) -> Answer<Option<Epoch>> {
        unimplemented!()
    }

    async fn renew_lease(&self, _: &str, _: NodeId, _: Epoch) -> Answer<bool> {
        unimplemented!()
    }

    async fn release_lease(&self, _: &str, _: NodeId, _: Epoch) -> Answer<bool> {
        unimplemented!()
    }

    async fn put_drain(&self, _: Drain) -> Answer<()> {
        unimplemented!()
    }

    async fn end_drain(&self, _: DriveId) -> Answer<bool> {
        unimplemented!()
    }

    async fn drains(&self) -> Answer<Vec<Drain>> {
        unimplemented!()
    }

    async fn retire_drive(&self, _: DriveId) -> Answer<bool> {
        unimplemented!()
    }
}

#[tokio::test]
async fn a_node_that_starts_while_another_founds_the_store_joins_it() {
    let joined = decide(&FoundedMeanwhile::default(), None, Join::Allowed).await.unwrap();
    assert_eq!(joined, FOUNDED);
    let refused = decide(&FoundedMeanwhile::default(), None, Join::Never).await.unwrap_err();
    assert!(refused.to_string().contains("--join"), "{refused}");
}
