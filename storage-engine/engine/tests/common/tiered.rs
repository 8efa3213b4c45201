//! A store with SSDs and disks in temporary directories.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use granary_engine::{
    CompleteOptions, DayLength, Engine, EngineError, EngineOptions, PutOptions, UploadOptions,
};
use granary_types::{DriveClass, Etag, PartNumber, StorageClass};

use super::{Body, Store, bucket, bytes, drive, key};

pub(crate) const SSDS: usize = 3;
pub(crate) const HDDS: usize = 4;

pub(crate) fn options(dir: &std::path::Path) -> EngineOptions {
    let data: Vec<_> = (0..SSDS + HDDS).map(|slot| drive(dir, slot)).collect();
    let mut options = EngineOptions::new(data.clone());
    let class = |slot| if slot < SSDS { DriveClass::Ssd } else { DriveClass::Hdd };
    options.drive_classes = (0..).zip(data).map(|(slot, path)| (path, class(slot))).collect();
    options.grace = Duration::from_millis(300);
    options.maintenance_interval = Duration::from_millis(100);
    options.lifecycle_day = DayLength::Debug(Duration::from_secs(1));
    // What is checked by reading it would be copied.
    options.warm.cache_reads = 0;
    options
}

pub(crate) async fn tiered() -> Store {
    tiered_with(|_| {}).await
}

pub(crate) async fn tiered_with(change: impl FnOnce(&mut EngineOptions)) -> Store {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    change(&mut options);
    let engine = Engine::open(options.clone()).await.unwrap();
    engine.create_bucket(&bucket(), "us-east-1", "root").await.unwrap();
    Store { dir, options, engine }
}

pub(crate) async fn put(
    engine: &Engine,
    name: &str,
    body: &Bytes,
    storage_class: StorageClass,
) -> Result<(), EngineError> {
    let options = PutOptions { storage_class, ..PutOptions::default() };
    engine.put_object(&bucket(), &key(name), options, &mut Body::new(body.clone())).await.map(drop)
}

/// What lives on drives of each class; volumes that lie on several are a failure.
pub(crate) async fn live(engine: &Engine) -> HashMap<DriveClass, u64> {
    let tiers = engine.tier_status().await.unwrap();
    tiers.into_iter().map(|tier| (tier.class.unwrap(), tier.live_bytes)).collect()
}

/// An object of two parts.
pub(crate) async fn put_parts(engine: &Engine, name: &str, storage_class: StorageClass) -> Bytes {
    let options = UploadOptions { storage_class, ..UploadOptions::default() };
    let (upload, _) = engine.create_upload(&bucket(), &key(name), options).await.unwrap();
    let whole = bytes(3_000_000, 77);
    let mut parts = Vec::new();
    for (number, range) in [(1, 0..1_000_000), (2, 1_000_000..3_000_000)] {
        let number = PartNumber::new(number).unwrap();
        let mut body = Body::new(whole.slice(range));
        parts.push(engine.put_part(&bucket(), &key(name), (upload, number), None, &mut body).await.unwrap());
    }
    let options =
        CompleteOptions { parts, etag: Etag::new("x-2"), checksum: None, conditions: Default::default() };
    engine.complete_upload(&bucket(), &key(name), upload, options).await.unwrap();
    whole
}
