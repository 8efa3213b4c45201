//! What the contents of buckets take, and how writes change it.

use std::collections::BTreeMap;

use granary_types::BucketId;

use super::object::{NewObject, VersionKind};
use crate::moving::Entry;

/// What a bucket holds, as its clients count it: before encoding, packing and copies by reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketUsage {
    /// The lengths of all versions, and of the parts of uploads in progress, in bytes.
    pub bytes: u64,
    /// Versions, without delete markers.
    pub objects: u64,
}

impl BucketUsage {
    /// Of sums as they are stored. What is below nothing, after a drift, is nothing.
    pub(crate) fn of_sums(bytes: i64, objects: i64) -> Self {
        Self { bytes: u64::try_from(bytes).unwrap_or(0), objects: u64::try_from(objects).unwrap_or(0) }
    }
}

/// What some writes add to a bucket's usage, or take from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsageDelta {
    pub(crate) bytes: i64,
    pub(crate) objects: i64,
}

/// What some writes add to the usage of buckets, or take from it.
#[derive(Debug, Default)]
pub(crate) struct UsageDeltas(BTreeMap<BucketId, UsageDelta>);

impl UsageDeltas {
    /// A version is there from now on.
    pub(crate) fn put(&mut self, bucket: BucketId, object: &NewObject) {
        self.add(bucket, object.length_bytes, i64::from(object.kind == VersionKind::Object));
    }

    /// A version is gone.
    pub(crate) fn gone(&mut self, bucket: BucketId, object: &NewObject) {
        self.take(bucket, object.length_bytes, i64::from(object.kind == VersionKind::Object));
    }

    /// A part of an upload is there from now on.
    pub(crate) fn part_put(&mut self, bucket: BucketId, length_bytes: u64) {
        self.add(bucket, length_bytes, 0);
    }

    /// A part of an upload is gone, or belongs to an object now.
    pub(crate) fn part_gone(&mut self, bucket: BucketId, length_bytes: u64) {
        self.take(bucket, length_bytes, 0);
    }

    /// An entry of another store is there from now on, or is counted.
    pub(crate) fn put_entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Object(version) | Entry::Version(version) => self.put(version.bucket, &version.row.object),
            Entry::Part(bucket, _, part) => self.part_put(*bucket, part.length_bytes),
            _ => {}
        }
    }

    fn add(&mut self, bucket: BucketId, bytes: u64, objects: i64) {
        let delta = self.0.entry(bucket).or_default();
        delta.bytes = delta.bytes.saturating_add_unsigned(bytes);
        delta.objects = delta.objects.saturating_add(objects);
    }

    fn take(&mut self, bucket: BucketId, bytes: u64, objects: i64) {
        let delta = self.0.entry(bucket).or_default();
        delta.bytes = delta.bytes.saturating_sub_unsigned(bytes);
        delta.objects = delta.objects.saturating_sub(objects);
    }

    /// The bucket is gone, and its usage with it.
    pub(crate) fn forget(&mut self, bucket: BucketId) {
        self.0.remove(&bucket);
    }

    /// What changed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BucketId, UsageDelta)> {
        let changed = self.0.iter().filter(|(_, delta)| **delta != UsageDelta::default());
        changed.map(|(bucket, delta)| (*bucket, *delta))
    }

    /// What these deltas differ by from the sums of one bucket, which are taken out.
    pub(crate) fn differ(&mut self, bucket: BucketId, stored: UsageDelta) {
        let delta = self.0.entry(bucket).or_default();
        delta.bytes = delta.bytes.saturating_sub(stored.bytes);
        delta.objects = delta.objects.saturating_sub(stored.objects);
    }
}
