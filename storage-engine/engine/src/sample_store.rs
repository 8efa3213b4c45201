//! A store for unit tests.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_types::{BucketName, DriveClass, ObjectKey, StorageClass};

use crate::api::PutOptions;
use crate::sample_body::SampleBody;
use crate::warm::WarmJobState;
use crate::{Engine, EngineOptions};

/// Drives of a store that has both tiers.
pub(crate) const TIERED: [DriveClass; 2] = [DriveClass::Ssd, DriveClass::Hdd];

/// How long an object is that is not packed with others.
pub(crate) const LARGE_BYTES: usize = 300_000;

/// The bucket of a store that was made here, and the key of the object that [`put_large`] stores.
pub(crate) fn place() -> (BucketName, ObjectKey) {
    (BucketName::new("bucket").unwrap(), ObjectKey::new("k").unwrap())
}

/// What is stored.
pub(crate) fn large_body() -> SampleBody {
    SampleBody(Some(Bytes::from(vec![7; LARGE_BYTES])))
}

/// A new store with a bucket, as [`open`] opens it.
pub(crate) async fn make(dir: &Path, classes: &[DriveClass]) -> Engine {
    let engine = open(dir, classes).await;
    engine.create_bucket(&place().0, "us-east-1", "root").await.unwrap();
    engine
}

/// A store on drives of these classes, `d0` and so on, in which nothing happens by itself.
pub(crate) async fn open(dir: &Path, classes: &[DriveClass]) -> Engine {
    let data: Vec<_> = (0..classes.len()).map(|slot| dir.join(format!("d{slot}"))).collect();
    let mut options = EngineOptions::new(data.clone());
    options.drive_classes = data.into_iter().zip(classes.iter().copied()).collect();
    options.maintenance_interval = Duration::from_hours(1);
    Engine::open(options).await.unwrap()
}

/// Stores an object that is not packed with others.
pub(crate) async fn put_large(engine: &Engine, storage_class: StorageClass) {
    let ((bucket, key), options) = (place(), PutOptions { storage_class, ..PutOptions::default() });
    engine.put_object(&bucket, &key, options, &mut large_body()).await.unwrap();
}

/// A new store on an SSD and a disk, with a large object on the disk that was copied to the SSD.
pub(crate) async fn make_warm(dir: &Path) -> Engine {
    let engine = make(dir, &TIERED).await;
    put_large(&engine, StorageClass::StandardIa).await;
    let (job, begun) = (engine.prefetch(&place().0, "").await.unwrap(), Instant::now());
    while engine.warm_job(job).unwrap().state == WarmJobState::Running {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is not copied");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    engine
}
