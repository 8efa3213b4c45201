#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use granary_cluster::access::{DriveAccess, ReplacementAccess, ShardAccess, ShardAppend};
use granary_drive::{BackupName, ShardName};
use granary_erasure::{Codec, Profile};
use granary_types::{ClusterId, DriveId, VolumeId};
use parking_lot::Mutex;

use super::*;
use crate::volume::{OpenColumn, Slot};

/// A drive in memory with one shard.
#[derive(Debug, Default)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    has_failed: AtomicBool,
}

/// A handle of it, as an open volume has two.
#[derive(Debug, Clone, Default)]
struct Handle(Arc<Memory>);

fn unused() -> DriveError {
    DriveError::Tampered { path: PathBuf::from("memory"), what: "not asked for this" }
}

#[async_trait]
impl ShardAccess for Handle {
    async fn read(&self, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError> {
        let bytes = self.0.bytes.lock();
        let from = bytes.len().min(offset as usize);
        let to = bytes.len().min(from + length_bytes);
        Ok(Bytes::copy_from_slice(&bytes[from..to]))
    }

    fn append(&self, append: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>> {
        let mut bytes = self.0.bytes.lock();
        bytes.resize(append.offset as usize, 0);
        bytes.extend_from_slice(&append.bytes);
        std::future::ready(Ok(())).boxed()
    }
}

#[async_trait]
impl DriveAccess for Handle {
    fn id(&self) -> DriveId {
        DriveId::from_bytes([1; 16])
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn is_usable(&self) -> bool {
        !self.0.has_failed.load(Ordering::Relaxed)
    }

    fn is_retired(&self) -> bool {
        false
    }

    fn mark_failed(&self) {
        self.0.has_failed.store(true, Ordering::Relaxed);
    }

    fn space_bytes(&self) -> (u64, u64) {
        (1 << 40, 1 << 40)
    }

    async fn create_shard(&self, _: ShardName, _: (u8, u8)) -> Result<Arc<dyn ShardAccess>, DriveError> {
        Err(unused())
    }

    async fn open_shard(&self, _: ShardName, _: (u8, u8)) -> Result<Arc<dyn ShardAccess>, DriveError> {
        Err(unused())
    }

    async fn remove_shard(&self, _: ShardName) -> Result<(), DriveError> {
        Err(unused())
    }

    async fn create_replacement(
        &self,
        _: ShardName,
        _: (u8, u8),
    ) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        Err(unused())
    }

    async fn create_backup_shard(&self, _: BackupName) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        Err(unused())
    }

    async fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError> {
        Err(unused())
    }

    async fn remove_backup_shards(&self, _: i64) -> Result<(), DriveError> {
        Err(unused())
    }
}

fn open(drives: &[Handle]) -> Arc<OpenVolume> {
    let column =
        |drive: &Handle| OpenColumn { drive: Arc::new(drive.clone()), shard: Arc::new(drive.clone()) };
    Arc::new(OpenVolume::new(
        VolumeId::from_bytes([2; 16]),
        Arc::new(Codec::new(Profile::new(4, 2).unwrap()).unwrap()),
        ClusterId::from_bytes([3; 16]),
        Slot { lane: LaneKind::Packed, tier: Tier::All },
        drives.iter().map(column).collect(),
        u64::MAX,
    ))
}

fn items(count: usize) -> Vec<Item> {
    let item = |number: usize| {
        let bytes = Bytes::from(vec![number as u8; 9_000 + number]);
        Item { hash: *blake3::hash(&bytes).as_bytes(), bytes, record: vec![7; 100] }
    };
    (0..count).map(item).collect()
}

/// The stripes of so many items that were read back.
async fn laid(count: usize, volume: &Arc<OpenVolume>) -> Vec<WrittenStripe> {
    let mut laying = append(&items(count), Arc::clone(volume), &mut 0, Proof::ReadBack).unwrap();
    laying.landed().await.unwrap();
    laying.stripes
}

/// Full stripes over several pieces of a megabyte, and a narrow one at the end.
#[tokio::test]
async fn what_was_packed_is_read_back_from_every_column() {
    let drives: Vec<Handle> = (0..6).map(|_| Handle::default()).collect();
    let volume = open(&drives);
    let mut turn = 0;
    for (count, proof) in [(900, Proof::ReadBack), (1, Proof::ReadBack), (300, Proof::Flushed)] {
        let items = items(count);
        let mut laying = append(&items, Arc::clone(&volume), &mut turn, proof).unwrap();
        let foreseen = laying.foresee().unwrap();
        assert_eq!(laying.landed().await.unwrap(), foreseen);
        let Laying { locations, mut stripes, .. } = laying;
        for (item, at) in items.iter().zip(&locations) {
            let column = drives[usize::from(at.column)].0.bytes.lock();
            assert!(column[at.offset as usize..][..at.length_bytes as usize] == item.bytes);
            assert!(stripes.iter().any(|stripe| stripe.offset == at.stripe_offset));
        }
        assert_eq!(locations.len(), count);
        stripes.sort_unstable_by_key(|stripe| stripe.offset);
        assert!(stripes.len() > count / 60);
        prove(&volume, &stripes).await.unwrap();
    }
    assert!(volume.has_room() && drives.iter().all(DriveAccess::is_usable));
}

#[tokio::test]
async fn a_column_that_reads_back_wrong_is_found_and_its_drive_gets_no_more() {
    for column in 0..6 {
        let drives: Vec<Handle> = (0..6).map(|_| Handle::default()).collect();
        let volume = open(&drives);
        let mut stripes = laid(300, &volume).await;
        stripes.sort_unstable_by_key(|stripe| stripe.offset);
        let last = stripes.last().unwrap().offset as usize;
        drives[column].0.bytes.lock()[last + 5_000] ^= 1;
        assert!(prove(&volume, &stripes).await.is_err());
        assert!(!volume.has_room());
        let failed: Vec<usize> = (0..6).filter(|number| !drives[*number].is_usable()).collect();
        assert_eq!(failed, [column]);
    }
}

#[tokio::test]
async fn a_column_that_was_cut_is_found() {
    let drives: Vec<Handle> = (0..6).map(|_| Handle::default()).collect();
    let volume = open(&drives);
    let stripes = laid(1, &volume).await;
    let parity = drives.last().unwrap();
    let length = parity.0.bytes.lock().len();
    parity.0.bytes.lock().truncate(length - 4096);
    assert!(prove(&volume, &stripes).await.is_err());
}
