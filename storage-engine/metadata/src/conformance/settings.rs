//! The settings of buckets.

use super::Harness;
use super::sample::{bucket, name, one, put_empty, w};
use crate::model::{BucketChange, BucketLock, Outcome, Versioning};

/// Settings are what they were after a restart, and writes are decided by them.
pub async fn survive_a_restart(harness: &mut dyn Harness) {
    let mut made = bucket(2);
    made.settings.versioning = Versioning::Enabled;
    made.settings.lock = Some(BucketLock::default());
    harness.store().create_bucket(bucket(1)).await.unwrap();
    harness.store().create_bucket(made.clone()).await.unwrap();
    let change = BucketChange::EnableVersioning;
    harness.store().change_bucket(&name("bucket-1"), change).await.unwrap();
    harness.restart().await;
    let store = harness.store();
    let one_bucket = store.bucket(&name("bucket-1")).await.unwrap().unwrap();
    assert_eq!(one_bucket.settings.versioning, Versioning::Enabled);
    assert_eq!(store.bucket(&name("bucket-2")).await.unwrap(), Some(made));
    assert_eq!(one(&*store, w(put_empty(1, "a", 1))).await, Outcome::VersioningChanged);
}
